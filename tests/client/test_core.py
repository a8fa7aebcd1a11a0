"""The client on a server in memory: what it tells, what it keeps, and what it does not believe."""

from __future__ import annotations

from pathlib import Path

import pytest
from omemo_world import ALICE, BOB
from town import Run, Town, adapter_of, next_of

from quietwire.client import events, pubsub
from quietwire.client.core import Client, Settings
from quietwire.client.errors import ClientError
from quietwire.client.omemo_xml import DEVICES
from quietwire.core import ns
from quietwire.core.xml import build


def test_own_devices_hear_what_this_one_says(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, second, _ = await t.move_in(ALICE, "a1"), await t.move_in(ALICE, "a2"), await t.move_in(BOB, "b")
        id = await alice.send_text(BOB, "hi")
        sent = await next_of(second, events.Sent)
        assert (sent.what.id, sent.what.peer, sent.what.sender) == (id, BOB, ALICE)
        assert [event.what.text for event in second.history(BOB)] == ["hi"]  # type: ignore[attr-defined]

    town(test)


def test_a_device_that_appears_is_heard_of_and_written_to(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b1")
        await alice.send_text(BOB, "one")
        assert (await next_of(alice, events.DeviceAnnounced)).device == bob.device
        second = await t.move_in(BOB, "b2")
        item = build(f"{{{pubsub.EVENT}}}item", {"id": "current"}, t.server.nodes.items[BOB, DEVICES]["current"])
        items = build(f"{{{pubsub.EVENT}}}items", {"node": DEVICES}, item)
        event = build(f"{{{pubsub.EVENT}}}event", None, items)
        adapter_of(alice).deliver(build(f"{{{ns.CLIENT}}}message", {"from": BOB, "type": "headline"}, event))
        assert (await next_of(alice, events.DeviceAnnounced)).device == second.device
        await alice.send_text(BOB, "two")
        assert (await next_of(second, events.Message)).text == "two"
        assert {device.device for device in await alice.devices(BOB)} == {bob.device, second.device}

    town(test)


def test_closing_twice_and_using_after_it(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        await alice.close()
        await alice.close()
        with pytest.raises(ClientError, match="not connected"):
            await alice.send_text(BOB, "x")
        assert [event async for event in alice.events()][-1:] == [events.Connected(resent=0)]

    town(test)


def test_an_address_that_is_none() -> None:
    with pytest.raises(ClientError, match="not a JID"):
        Client(Settings(jid="@", password="p", store=Path("s")))


def test_on_a_steady_link_nobody_hears_of_typing(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "one")
        await next_of(bob, events.Message)
        adapter_of(alice).steady = True
        before = len(t.server.passed)
        assert await alice.send_chat_state(BOB, "composing") == ""
        with pytest.raises(ValueError, match="chat state"):
            await alice.send_chat_state(BOB, "yawning")  # type: ignore[arg-type]
        assert len(t.server.passed) == before
        adapter_of(alice).steady = False
        assert await alice.send_chat_state(BOB, "composing")
        assert (await next_of(bob, events.ChatState)).state == "composing"

    town(test)


def test_a_file_within_a_steady_link_is_read_and_kept(town: Run, tmp_path: Path) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        adapter_of(alice).steady = True
        id = await alice.send_file(BOB, picture)
        event = await next_of(bob, events.File)
        assert (event.id, event.name, event.size, event.media, event.url) == (id, "a.png", 3, "image/png", "")
        assert bob.history(ALICE) == [event]
        got = await bob.fetch(event, folder)
        assert got == folder / "a.png"
        with pytest.raises(ClientError, match="leaves the steady link"):
            await alice.send_file(BOB, large)

    picture, large, folder = tmp_path / "a.png", tmp_path / "large", tmp_path / "got"
    picture.write_bytes(b"png")
    large.write_bytes(bytes(20_000))
    folder.mkdir()
    town(test)
    assert (folder / "a.png").read_bytes() == b"png"
