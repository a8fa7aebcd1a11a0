"""Promises of uploads, and the sweep."""

from __future__ import annotations

from sealed_world import World

from quietwire.core.jid import parse_jid
from quietwire.core.later import Ticket, drive
from quietwire.server.uploads import DAY, TABLE, Row, Slot, Uploads, sweep
from quietwire.store.memory import MemoryStorage
from quietwire.testing.web import FakeFiles

ALICE, BOB = parse_jid("alice@a.example"), parse_jid("bob@a.example")


def slot(owner: str = "alice@a.example", until: float = 100.0) -> Slot:
    return Slot(parse_jid(owner), 10, "", 1000, until, Ticket())


def test_a_slot_is_for_one_upload_at_a_time_and_for_a_while() -> None:
    uploads = Uploads(None)
    uploads.add(b"n", slot())
    assert uploads.take(b"other", 0) is None
    taken = uploads.take(b"n", 50)
    assert taken is not None
    assert uploads.take(b"n", 51) is None
    uploads.give_back(b"n")
    assert uploads.take(b"n", 101) is None
    assert uploads.take(b"n", 100) is taken


def test_what_is_finished_is_gone() -> None:
    uploads = Uploads(None)
    uploads.add(b"n", slot())
    uploads.take(b"n", 0)
    assert uploads.finish(b"n")
    assert not uploads.finish(b"n")
    uploads.give_back(b"n")
    assert uploads.take(b"n", 0) is None


def test_promises_that_nobody_used_lapse_and_uploads_under_way_do_not() -> None:
    uploads = Uploads(None)
    for name in (b"a", b"b", b"c"):
        uploads.add(name, slot(until=300.0 if name == b"c" else 100.0))
    uploads.take(b"b", 0)
    assert uploads.lapse(200) == [(ALICE, b"a")]
    assert uploads.count(ALICE) == 2
    assert uploads.lapse(200) == []


def test_an_account_that_is_gone_has_no_promises() -> None:
    uploads = Uploads(None)
    uploads.add(b"a", slot())
    uploads.add(b"b", slot("bob@a.example"))
    uploads.take(b"a", 0)
    uploads.forget(ALICE)
    assert (uploads.count(ALICE), uploads.count(BOB)) == (0, 1)
    assert not uploads.finish(b"a")


def test_a_row_as_bytes() -> None:
    row = Row(20_000, 20_030, 1 << 33)
    assert Row.from_bytes(row.to_bytes()) == row


def test_the_sweep_takes_what_has_expired_and_what_belongs_to_nothing() -> None:
    store = MemoryStorage(bytes).store
    store.put(TABLE, b"alice@a.example", b"kept", Row(1, 10, 5).to_bytes())
    store.put(TABLE, b"alice@a.example", b"old", Row(1, 9, 5).to_bytes())
    store.put(TABLE, b"bob@a.example", b"coming", Row(1, 11, 5).to_bytes())
    files = FakeFiles(b"kept", b"old", b"orphan")
    drive(sweep(Uploads(files), store, 10 * DAY + 5.0), lambda value, error: None)
    assert files.whole == {b"kept"}
    assert [key for key, _ in store.scan(TABLE, b"alice@a.example").result()] == [b"kept"]
    assert store.scan(TABLE, b"bob@a.example").result()


def test_without_a_disk_there_is_nothing_to_sweep() -> None:
    store = MemoryStorage(bytes).store
    store.put(TABLE, b"alice@a.example", b"old", Row(1, 2, 5).to_bytes())
    drive(sweep(Uploads(None), store, 10 * DAY), lambda value, error: None)
    assert store.scan(TABLE, b"alice@a.example").result()


def test_the_sweep_needs_nobodys_name_and_the_store_tells_none() -> None:
    """As the sealed store has it: what stands for an owner in place of the owner."""
    world = World()
    store, alice, bob = world.store, b"alice@a.example", b"bob@a.example"
    for owner, name, day in ((alice, b"kept", 10), (alice, b"gone", 9), (bob, b"his", 11)):
        store.put(TABLE, owner, name, Row(1, day, 5).to_bytes())
    files = FakeFiles(b"kept", b"gone", b"his", b"orphan")
    drive(sweep(Uploads(files), store, 10 * DAY + 5.0), lambda value, error: None)
    assert files.whole == {b"kept", b"his"}
    assert [key for key, _ in store.scan(TABLE, b"alice@a.example").result()] == [b"kept"]
    disk = repr(world.storage._now.rows).encode()
    for word in (b"alice", b"bob", b"'kept'", b"'his'"):
        assert word not in disk
