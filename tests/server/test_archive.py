"""The archive over a storage in memory: what is written, read, expired and survives."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from itertools import count
from typing import Any

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.later import drive
from quietwire.server import archive as module
from quietwire.server.archive import Archive
from quietwire.server.archive_index import Query
from quietwire.server.archive_shelf import TABLE
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import StorageError
from quietwire.testing.assembly import Slow
from quietwire.testing.safe import PlainSafe

ALICE, ROOM = b"alice@a.example", b"room@rooms.a.example"
NOW = 1_790_000_000.0  # in September 2026
DAY = 86_400.0


def run(work: Awaitable[Any]) -> Any:
    ended: list[tuple[Any, BaseException | None]] = []

    async def wrapped() -> Any:
        return await work

    assert drive(wrapped(), lambda value, error: ended.append((value, error)))
    if ended[0][1] is not None:
        raise ended[0][1]
    return ended[0][0]


class World:
    def __init__(self, storage: MemoryStorage | None = None) -> None:
        numbers = count(1)
        self.storage = storage or MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))
        self.store = Slow(self.storage)
        self.safe = PlainSafe()
        self.faults: list[tuple[bytes, bytes]] = []
        seed = id(self).to_bytes(8, "big")

        def randomness(size: int) -> bytes:
            return b"".join(seed + next(numbers).to_bytes(8, "big") for _ in range(-(-size // 16)))[:size]

        self.archive = Archive("a.example", self.store, self.store, self.safe, randomness, run, self.report)
        run(self.archive.open())

    def report(self, owner: bytes, found: Iterable[tuple[str, bytes, bytes]]) -> None:
        self.faults += [(owner, key) for _, key, _ in found]

    def say(self, text: str, now: float = NOW, owner: bytes = ALICE, with_: str = "bob@b.example", **more: Any) -> str:
        id = self.archive.new_id()
        self.archive.append(owner, id, now, with_, f"<message>{text}</message>".encode(), **more)
        return id

    def texts(self, query: Query = Query(), owner: bytes = ALICE) -> list[str]:  # noqa: B008 - frozen
        return [item.message.decode()[9:-10] for item in run(self.archive.query(owner, query)).items]

    def rows(self, owner: bytes = ALICE) -> list[tuple[bytes, bytes]]:
        return self.storage.scan(TABLE, owner).result()

    def restarted(self) -> World:
        return World(self.storage.crash())


def test_messages_come_back_as_they_were() -> None:
    world = World()
    first, second = world.say("one"), world.say("two", NOW + 0.0015, with_="carol@c.example/" + "x" * 200)
    for _ in range(2):
        page = run(world.archive.query(ALICE, Query()))
        assert [(item.id, item.stamp, item.message) for item in page.items] == [
            (first, int(NOW * 1000), b"<message>one</message>"),
            (second, int(NOW * 1000) + 1, b"<message>two</message>"),
        ]
        assert (page.complete, page.index, page.count) == (True, 0, 2)
        assert run(world.archive.ends(ALICE)) == ((first, int(NOW * 1000)), (second, int(NOW * 1000) + 1))
        assert world.texts(Query(with_=parse_jid("carol@c.example"))) == ["two"]
        world.storage.commit()
        world = world.restarted()
    assert run(world.archive.ends(ROOM)) is None


def test_a_page_from_the_end_has_no_index() -> None:
    world = World()
    world.say("one")
    assert run(world.archive.query(ALICE, Query(before=""))).index is None
    assert run(world.archive.query(ALICE, Query(max=1))).index == 0


def test_what_comes_after_the_first_question_is_there_too() -> None:
    world = World()
    assert world.texts() == []
    world.say("one")
    world.say("elsewhere", owner=ROOM)
    assert world.texts() == ["one"]
    assert world.texts(owner=ROOM) == ["elsewhere"]
    world.archive.release(ALICE)
    world.say("two")
    assert world.texts() == ["one", "two"]


def test_what_comes_while_the_index_is_read_is_there_once() -> None:
    world = World()
    world.say("one")
    world.store.held = True
    pages: list[Any] = []

    async def ask() -> None:
        pages.append(await world.archive.query(ALICE, Query()))

    for _ in range(2):
        drive(ask(), lambda value, error: None)
    world.say("two")
    world.store.release()
    world.say("three")
    assert [[item.message for item in page.items] for page in pages] == [
        [b"<message>one</message>", b"<message>two</message>"]
    ] * 2
    assert world.texts() == ["one", "two", "three"]


def test_a_fault_of_the_storage_is_told_and_the_next_question_tries_again() -> None:
    world = World()
    world.say("one")
    world.storage.close()
    with pytest.raises(StorageError):
        world.texts()
    world.storage._closed = False
    assert world.texts() == ["one"]


def test_the_clock_set_back_changes_no_order() -> None:
    world = World()
    world.say("one", NOW)
    world.say("two", NOW - 3600)
    world.storage.commit()
    world = world.restarted()
    world.say("three", NOW - 40 * DAY)
    assert world.texts() == ["one", "two", "three"]
    world.storage.commit()
    world = world.restarted()
    assert world.texts() == ["one", "two", "three"]
    assert world.texts(Query(start=int((NOW - 60) * 1000))) == ["one"]


def test_keys_tell_the_month_and_nothing_else() -> None:
    world = World()
    for number in range(50):
        world.say(str(number), NOW + number)
        world.say(str(number), NOW + number, owner=ROOM)
        world.storage.commit()
    month = (2026 * 12 + 8).to_bytes(2, "big")
    for owner, letters in ((ALICE, b"aps"), (ROOM, b"APS")):
        keys = [key for key, _ in world.rows(owner)]
        assert {key[:3] for key in keys} == {letters[:1] + month}
        assert len({key[3:] for key in keys}) == 50
        run(world.archive.fold(owner))
        keys = [key for key, _ in world.rows(owner) if key[:1] != b"C"]
        assert {key[:3] for key in keys} == {letters[1:2] + month, letters[2:] + month}
        assert all(len(key) == 19 for key in keys)


def test_a_message_that_is_sent_again_after_a_crash_is_in_the_archive_once() -> None:
    world = World()
    first = world.say("one", token=77)
    world.storage.commit()
    world = world.restarted()
    again = world.say("one", NOW + 900, token=77)
    world.say("two", NOW + 901, token=78)
    assert first != again
    for _ in range(2):
        assert world.texts() == ["one", "two"]
        assert world.texts(Query(after=again)) == ["two"], "its device was told the second id"
        assert world.texts(Query(ids=(again,))) == ["one"]
        world.archive.release(ALICE)


def test_expiry_takes_what_is_old_from_the_disk_and_the_index() -> None:
    world = World()
    world.say("ancient", NOW - 90 * DAY)
    world.say("old", NOW - 31 * DAY)
    world.say("young", NOW - 29 * DAY)
    world.say("in a room", NOW - 90 * DAY, owner=ROOM)
    assert world.texts() == ["ancient", "old", "young"]
    run(world.archive.sweep(NOW - 30 * DAY))
    assert world.texts() == ["young"]
    assert [b"young" in value for key, value in world.rows() if key[:1] == b"s"] == [True]
    assert not any(b"old" in value for _, value in world.rows())
    assert world.texts(owner=ROOM) == ["in a room"]
    run(world.archive.sweep(NOW - 30 * DAY, rooms=True))
    assert world.texts(owner=ROOM) == []
    world.archive.release(ALICE)
    run(world.archive.expire(ALICE, NOW + 2 * DAY))
    assert world.texts() == []
    assert world.rows() == []
    assert world.faults == []


def test_expiry_of_many_waits_for_the_disk_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PORTION", 10)
    world = World()
    for number in range(25):
        world.say(str(number), NOW - 40 * DAY)
        world.storage.commit()
    world.safe.locked.add(ALICE)
    ended: list[bool] = []
    drive(world.archive.expire(ALICE, NOW), lambda value, error: ended.append(error is None))
    left = [len(world.rows())]
    while not ended:
        world.storage.commit()
        left.append(len(world.rows()))
    assert left == [15, 5, 0]


def test_an_archive_that_grows_too_large_loses_its_oldest() -> None:
    world = World()
    world.archive.stanzas = 80
    for number in range(100):
        world.say(str(number))
    texts = world.texts()
    assert len(texts) <= 90
    assert texts == [str(number) for number in range(100 - len(texts), 100)]
    world.archive.stanzas, world.archive.bytes = 1_000_000, 3_000
    for number in range(100):
        world.say(str(number) + "x" * 80)
    assert sum(map(len, world.texts(Query(max=250)))) < 3_000 * 1.2


def test_wishes_are_applied_to_what_came_before_they_were_known() -> None:
    world = World()
    world.say("spam", with_="eve@e.example", provisional=True)
    world.say("mail", provisional=True)
    world.say("known", with_="eve@e.example")
    run(world.archive.settle(ALICE, lambda with_: with_ != "eve@e.example"))
    assert world.texts() == ["mail", "known"]
    world.storage.commit()
    world = world.restarted()
    run(world.archive.settle(ALICE, lambda with_: False))
    assert world.texts() == ["mail", "known"], "what was wanted then stays"
    world.say("new", provisional=True)
    run(world.archive.settle(ALICE, lambda with_: False))
    assert world.texts() == ["mail", "known"]


def test_erasing_forgets_the_index() -> None:
    world = World()
    world.say("one")
    assert world.texts() == ["one"]
    world.storage.erase(ALICE)
    world.archive.forget(ALICE)
    assert world.texts() == []


def test_damaged_rows_do_not_hide_the_others() -> None:
    world = World()
    world.say("one")
    world.storage.put(TABLE, ALICE, b"m\x5f\x00" + bytes(16), b"")
    world.storage.put(TABLE, ALICE, b"m\x5f\x00" + bytes(15) + b"\1", b"\x09" + bytes(60))
    assert world.texts() == ["one"]
    run(world.archive.expire(ALICE, NOW + 90 * DAY))
    assert world.texts() == []


def test_indexes_that_nobody_used_for_long_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEADERS_IN_MEMORY", 2)
    world = World()
    for owner in (b"a", b"b", b"c"):
        world.say("one", owner=owner)
    for owner in (b"a", b"b", b"a", b"c"):
        world.texts(owner=owner)
    assert set(world.archive._indexes) == {b"a", b"c"}


def test_a_page_leaves_out_what_was_deleted_meanwhile() -> None:
    world = World()
    world.say("one")
    world.say("two")
    world.storage.commit()
    world.say("three")
    assert world.texts() == ["one", "two", "three"]
    world.storage.delete(TABLE, ALICE, next(key for key, value in world.rows() if b">one</message>" in value))
    assert world.texts() == ["three"]


def test_an_id_of_another_archive_is_not_found() -> None:
    world = World()
    elsewhere = world.say("one", owner=ROOM)
    with pytest.raises(StanzaError):
        world.texts(Query(after=elsewhere))


def test_a_message_is_replaced_where_it_stands() -> None:
    world = World()
    first, second, third = (world.say(text, owner=ROOM, token=n) for n, text in enumerate(("one", "two", "three"), 1))
    run(world.archive.rewrite(ROOM, second, lambda data: data.replace(b"two", b"taken back")))
    assert world.texts(owner=ROOM) == ["one", "taken back", "three"]
    assert run(world.archive.index(ROOM)).total == sum(
        len(f"<message>{t}</message>") for t in ("one", "taken back", "three")
    )
    again = World(world.storage)
    assert again.texts(owner=ROOM) == ["one", "taken back", "three"]
    assert [item.id for item in run(again.archive.query(ROOM, Query())).items] == [first, second, third]


@pytest.mark.parametrize("id", ["f" * 32, "no id", ""])
def test_what_is_not_there_is_not_replaced(id: str) -> None:
    world = World()
    world.say("one", owner=ROOM)
    with pytest.raises(StanzaError, match="item-not-found"):
        run(world.archive.rewrite(ROOM, id, lambda data: b""))
    assert world.texts(owner=ROOM) == ["one"]
