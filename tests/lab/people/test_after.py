from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from people_world import DESK, PHONE, World

from quietwire.lab.people.after import After
from quietwire.lab.people.devices import Machine
from quietwire.lab.people.talk import Text


def run(
    world: World, texts: list[Text], rooms: list[tuple[int, ...]] | None = None, new: Iterable[tuple[int, int]] = ()
) -> After:
    after = After(world.dice, world.owners, world.calendar, world.parameters, world.put, new)
    after.of(texts, rooms or [])
    return after


def text(
    world: World,
    at: float,
    author: int,
    peer: int,
    *,
    device: int = 0,
    length: int = 30,
    file: int = 0,
    room: bool = False,
    took: float = 5.0,
) -> Text:
    return Text(at, at - took, author, world.owners[author].machines[device], peer, room, length, file)


def test_a_message_and_what_it_causes() -> None:
    world = World((PHONE,), (PHONE, DESK))
    run(world, [text(world, 100.0, 0, 1)])
    assert [(e.at, e.kind, e.peer, e.size) for e in world.of("typing", "message")] == [
        (95.0, "typing", 1, 0), (100.0, "message", 1, 30),
    ]  # fmt: skip
    receipts = world.of("receipt")
    assert {(e.user, e.device, e.peer) for e in receipts} == {(1, 0, 0), (1, 1, 0)}
    assert all(100.0 < e.at < 103.0 for e in receipts)
    assert {e.user for e in world.of("marker")} <= {1}


def test_short_texts_and_some_clients_show_no_typing() -> None:
    world = World((PHONE,), (PHONE,))
    run(world, [text(world, 100.0, 0, 1, took=0.9)])
    assert not world.of("typing")


def test_one_has_read_what_one_answers_and_a_marker_stands_for_all_before() -> None:
    world = World((PHONE,), (PHONE,), reaction_share=0.0, correction_share=0.0)
    said = []
    for n in range(40):
        at = 100.0 * n + 50.0
        said += [text(world, at, 0, 1), text(world, at + 6.0, 0, 1, took=4.0), text(world, at + 30.0, 1, 0)]
    run(world, said)
    markers = [e.at for e in world.of("marker", user=1)]
    for n in range(40):
        at = 100.0 * n + 50.0
        assert any(at < marker <= at + 25.0 for marker in markers), n
    assert len(markers) < 80  # two in a row are often seen together
    assert len(world.of("receipt", user=1)) == 80


def test_who_is_in_the_conversation_reads_at_once_and_others_later() -> None:
    waits = []
    for engaged in (True, False):
        world = World((PHONE,), (PHONE,), seconds=1e6, notice=200.0)
        before = 20.0 if engaged else 5000.0
        starts = [10_000.0 * n for n in range(1, 60)]
        said = [one for at in starts for one in (text(world, at - before, 1, 0), text(world, at, 0, 1))]
        run(world, said)
        markers = np.array([e.at for e in world.of("marker", user=1)])
        found = [markers[markers > at].min() - at for at in starts if (markers > at).any()]
        waits.append(np.median(found))
    assert waits[0] < 8.0 < 60.0 < waits[1]


def test_who_is_offline_gets_it_when_the_first_device_comes() -> None:
    world = World((PHONE,), (PHONE, DESK))
    world.owners[1].machines = [Machine(0, PHONE, [(500.0, 9000.0)]), Machine(1, DESK, [(800.0, 9000.0)])]
    run(world, [text(world, 100.0, 0, 1)])
    (receipt,) = world.of("receipt")
    assert (receipt.device, 500.8 < receipt.at < 505.0) == (0, True)


def test_files() -> None:
    world = World((PHONE,), (PHONE,), (PHONE,))
    run(world, [text(world, 100.0, 0, 1, file=7000)])
    (upload,) = world.of("upload")
    (download,) = world.of("download")
    assert (upload.at, upload.peer, upload.size) == (95.0, 1, 7000)
    assert (download.user, download.peer, download.size, download.at > 100.0) == (1, 0, 7000, True)
    assert not world.of("typing", "correction")
    rooms = World((PHONE,), (PHONE,))
    run(rooms, [text(rooms, 100.0, 0, 0, file=7000, room=True)], [(0, 1)])
    assert [e.peer for e in rooms.of("upload")] == [-1]


def test_rooms_get_no_receipts() -> None:
    world = World((PHONE,), (PHONE,), (PHONE,), seconds=1e6)
    after = run(world, [text(world, 50.0 * n + 100, 0, 0, room=True) for n in range(200)], [(0, 1, 2)])
    assert {e.kind for e in world.events} == {"room-typing", "room-message"}
    assert {user for _, user, _ in after.looks} == {1, 2}


def test_reactions_and_corrections() -> None:
    world = World((PHONE,), (PHONE,), seconds=1e7, reaction_share=0.5, correction_share=0.25)
    run(world, [text(world, 10_000.0 * n + 100, 0, 1) for n in range(400)])
    assert len(world.of("reaction", user=1)) == pytest.approx(200, rel=0.2)
    assert len(world.of("correction", user=0)) == pytest.approx(100, rel=0.3)
    assert all(26 <= e.size <= 34 for e in world.of("correction"))


def test_keys_and_pictures_are_fetched_once_of_a_new_contact() -> None:
    world = World((PHONE,), (PHONE,))
    run(world, [text(world, 100.0 * n, 0, 1) for n in range(1, 5)], new=[(0, 1), (1, 0)])
    (bundle,) = world.of("bundle")
    (profile,) = world.of("profile")
    assert (bundle.user, bundle.peer, 95.0 <= bundle.at < 100.0) == (0, 1, True)
    assert (profile.user, profile.peer, profile.at > 100.0) == (1, 0, True)
    known = World((PHONE,), (PHONE,))
    run(known, [text(known, 100.0, 0, 1)])
    assert not known.of("bundle", "profile")


def test_without_consequences_there_are_texts_only() -> None:
    world = World((PHONE,), (PHONE,), consequences=False)
    run(world, [text(world, 100.0, 0, 1), text(world, 100.0, 0, 0, room=True)], [(0, 1)])
    assert [e.kind for e in world.events] == ["message", "room-message"]
