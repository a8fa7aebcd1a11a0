from __future__ import annotations

import pytest
from den import jid

from quietwire.seal.wraps import SealError
from quietwire.server.rooms.ranks import Affiliation
from quietwire.server.rooms.standings import Standing, Standings

ALICE, BOB, CAROL, DAVE = (jid(f"{name}@a.example") for name in ("alice", "bob", "carol", "dave"))
SECRET = bytes(range(32))


def some() -> Standings:
    standings = Standings(SECRET)
    standings.set(ALICE, Standing(Affiliation.OWNER))
    standings.set(BOB, Standing(Affiliation.MEMBER, "Bob"))
    standings.set(CAROL, Standing(Affiliation.OUTCAST, reason="loud"))
    return standings


def test_who_comes_is_looked_up() -> None:
    standings = some()
    ranks = [Affiliation.OWNER, Affiliation.MEMBER, Affiliation.OUTCAST, Affiliation.NONE]
    assert [standings.rank(each) for each in (ALICE, BOB, CAROL, DAVE)] == ranks
    assert [each in standings for each in (ALICE, BOB, CAROL, DAVE)] == [True, True, True, False]
    assert standings.get(CAROL) == Standing(Affiliation.OUTCAST, reason="loud")
    assert standings.get(DAVE) is None
    assert len(standings) == 3
    assert standings.count(Affiliation.MEMBER) == 2
    assert standings.others(Affiliation.OWNER, BOB)
    assert not standings.others(Affiliation.OWNER, ALICE)


def test_who_may_have_the_list_gets_it_by_address() -> None:
    standings = some()
    assert list(standings.opened()) == [ALICE, BOB, CAROL]
    assert standings.opened(Affiliation.MEMBER) == {BOB: Standing(Affiliation.MEMBER, "Bob")}
    assert standings.with_nicks() == {BOB: Standing(Affiliation.MEMBER, "Bob")}


def test_nicknames_are_reserved() -> None:
    standings = some()
    assert standings.reserved(" BOB") == (BOB, Standing(Affiliation.MEMBER, "Bob"))
    assert standings.taken("bob", ALICE)
    assert not standings.taken("bob", BOB)
    assert not standings.taken("al", BOB)
    standings.set(BOB, Standing(Affiliation.MEMBER, "Bobby"))
    assert standings.reserved("bob") is None
    assert standings.taken("bobby", ALICE)
    standings.set(BOB, None)
    assert not standings.taken("bobby", ALICE)
    assert standings.reserved("bobby") is None


def test_nothing_that_lies_in_memory_names_anybody() -> None:
    held = repr([(standings._rows, standings._nicks) for standings in (some(),)]).encode()
    for word in (b"alice", b"bob", b"Bob", b"carol", b"loud"):
        assert word not in held


def test_rows_come_back() -> None:
    standings, again = some(), Standings(SECRET)
    for member, row in standings.rows():
        again.read(member, row)
    assert again == standings
    assert again.opened() == standings.opened()
    assert again.taken("bob", ALICE)
    member, kept = standings.row(BOB)
    assert (member, kept) in list(standings.rows())
    standings.set(BOB, None)
    assert standings.row(BOB) == (member, None)
    assert again != standings


def test_what_is_no_row_is_refused_and_a_box_that_does_not_open_is_nobody() -> None:
    standings = some()
    for row in (b"", b"\x09" + bytes(16), bytes(5)):
        with pytest.raises(SealError):
            standings.read(bytes(16), row)
    standings.read(bytes(16), b"\x01" + bytes(16) + b"no box")
    assert len(standings.opened()) == 3
    assert standings.count(Affiliation.MEMBER) == 3
