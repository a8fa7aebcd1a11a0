from __future__ import annotations

from quietwire.store.group import OVERHEAD, Group
from quietwire.store.ports import Entry


def kept(group: Group, owner: bytes, key: bytes, value: bytes = b"value") -> Entry:
    entry = group.kept[key] = Entry(owner, key, value, group.ticket)
    group.weight += len(value) + OVERHEAD
    return entry


def test_a_group_is_empty_until_something_is_in_it() -> None:
    assert Group().empty
    for name, content in (("kept", b"k"), ("gone", b"k"), ("rows", ("item", b"o", b"k"))):
        group = Group()
        getattr(group, name)[content] = None
        assert not group.empty
    group = Group()
    group.erase(b"o")
    assert not group.empty


def test_only_rows_and_erasures_matter_to_reads() -> None:
    group = Group()
    kept(group, b"o", b"1")
    group.gone[b"2"] = b"o"
    assert not group.matters_to([("item", b"o")])
    group.put("item", b"o", b"k", None)
    assert group.matters_to([("item", b"o")])
    assert group.matters_to([("item", None)])
    assert not group.matters_to([("item", b"p")])
    assert not group.matters_to([("node", b"o")])
    assert not group.matters_to([("node", None)])
    erasing = Group()
    erasing.erase(b"o")
    assert erasing.matters_to([("node", b"o")])
    assert erasing.matters_to([("node", None)])
    assert not erasing.matters_to([("node", b"p")])


def test_erase_takes_the_owner_out_of_the_group() -> None:
    group = Group()
    alice, bob = kept(group, b"alice", b"1"), kept(group, b"bob", b"2")
    group.gone |= {b"3": b"alice", b"4": b"bob"}
    group.rows |= {("item", b"alice", b"k"): b"v", ("item", b"bob", b"k"): b"v"}
    group.erase(b"alice")
    assert (alice.confirmed, bob.confirmed) == (True, False)
    assert group.kept == {b"2": bob}
    assert group.gone == {b"4": b"bob"}
    assert list(group.rows) == [("item", b"bob", b"k")]
    assert group.weight == len(b"value") + 2 * OVERHEAD  # bob's entry and the erasure


def test_absorbing_is_as_if_it_had_been_one_group() -> None:
    older, newer = Group(), Group()
    confirmed, staying = kept(older, b"o", b"1"), kept(older, b"o", b"2")
    older.rows |= {("item", b"o", b"k"): b"old", ("item", b"o", b"l"): b"old"}
    newer.gone |= {confirmed.key: b"o", b"on the disk": b"o"}
    newer.put("item", b"o", b"k", None)
    late = kept(newer, b"o", b"3")
    older.absorb(newer)
    assert older.kept == {b"2": staying, b"3": late}
    assert older.gone == {b"on the disk": b"o"}
    assert older.rows == {("item", b"o", b"k"): None, ("item", b"o", b"l"): b"old"}
    assert older.weight == 2 * (len(b"value") + OVERHEAD)


def test_an_erasure_that_is_absorbed_spares_what_came_after_it() -> None:
    older, newer = Group(), Group()
    before = kept(older, b"o", b"1")
    older.put("item", b"o", b"k", b"before")
    newer.erase(b"o")
    after = kept(newer, b"o", b"2")
    newer.put("item", b"o", b"k", b"after")
    older.absorb(newer)
    assert before.confirmed
    assert older.kept == {b"2": after}
    assert older.rows == {("item", b"o", b"k"): b"after"}
    assert older.erased == {b"o"}


def test_settling_settles_the_tickets_of_all_groups_absorbed() -> None:
    first, second, third = Group(), Group(), Group()
    second.absorb(third)
    first.absorb(second)
    first.settle()
    assert first.ticket.settled
    assert second.ticket.settled
    assert third.ticket.settled
