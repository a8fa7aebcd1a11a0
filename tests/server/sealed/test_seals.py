from __future__ import annotations

import pytest
from sealed_world import ALICE, KEYS, MALLORY, ROOM, World

from quietwire.core.jid import parse_jid
from quietwire.seal import arrivals, rows
from quietwire.seal.wraps import SealError
from quietwire.server.sealed.seals import BEGUN, DAY, HANDLE, REMEMBERED, Sealed

KEY = b"k" * 16


def test_names_are_hashes_of_table_and_owner_and_handles_stand_for_them() -> None:
    seals = World().seals
    hashed = seals.owner("account", ALICE)
    assert hashed == KEYS.owner("account", ALICE) != seals.owner("push", ALICE)
    assert seals.handle(parse_jid("alice@a.example")) == seals.handle_of(ALICE) == HANDLE + hashed
    assert seals.owner("account", HANDLE + hashed) == hashed
    assert (seals.account(ALICE), seals.account(HANDLE + hashed)) == (HANDLE + hashed, HANDLE + hashed)
    assert seals.account(ROOM) is None
    for number in range(REMEMBERED + 2):
        seals.owner("account", b"%d" % number)
    assert seals.owner("account", ALICE) == hashed
    assert len(seals._hashes["account"]) <= REMEMBERED


def test_what_comes_for_an_account_only_its_owner_opens() -> None:
    world = World().make(ALICE)
    row = world.seals.seal("spool", ALICE, KEY, b"hello")
    assert row[0] == arrivals.FORM
    with pytest.raises(Sealed):
        world.seals.open("spool", ALICE, KEY, row)
    lease = world.unlock(ALICE)
    assert world.seals.open("spool", ALICE, KEY, row) == b"hello"
    for table, owner, key in (("archive", ALICE, KEY), ("spool", ALICE, b"K" * 16)):
        with pytest.raises(SealError):
            world.seals.open(table, owner, key, row)
    world.unlock(MALLORY)
    with pytest.raises(SealError):
        world.seals.open("spool", MALLORY, KEY, row)
    lease.release()
    assert not world.seals.is_open(ALICE)


def test_a_chain_lasts_a_day_or_as_many_rows_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World().make(ALICE)

    def chain() -> bytes:
        return arrivals.chain_of(world.seals.seal("spool", ALICE, KEY, b""))[0]

    first = chain()
    assert chain() == first
    world.now += DAY
    second = chain()
    assert second != first
    monkeypatch.setattr("quietwire.server.sealed.seals.LONGEST_CHAIN", 2)
    assert chain() == second
    assert chain() != second


def test_another_public_key_begins_another_chain_at_once() -> None:
    world = World().make(ALICE)
    world.seals.learn(world.seals.handle_of(ALICE), world.seals.publics[world.seals.owner("account", ALICE)] + BEGUN)
    world.seals.seal("spool", ALICE, KEY, b"")
    forged = World().make(MALLORY).seals.publics[world.seals.owner("account", MALLORY)]
    world.seals.learn(world.seals.handle_of(ALICE), forged)
    row = world.seals.seal("spool", ALICE, KEY, b"for mallory")
    world.unlock(ALICE)  # puts it right
    with pytest.raises(SealError):
        world.seals.open("spool", ALICE, KEY, row)
    assert world.seals.open("spool", ALICE, KEY, world.seals.seal("spool", ALICE, KEY, b"mine")) == b"mine"


@pytest.mark.parametrize("public", [b"", bytes(32), b"short"])
def test_without_a_public_key_it_is_the_servers(public: bytes) -> None:
    world = World()
    world.seals.learn(world.seals.handle_of(ALICE), public)
    row = world.seals.seal("spool", ALICE, KEY, b"hello")
    assert row[0] == rows.SERVER
    assert world.seals.open("spool", ALICE, KEY, row) == b"hello"


def test_the_owners_own() -> None:
    world = World().make(ALICE)
    with pytest.raises(Sealed):
        world.seals.seal_own("archive", ALICE, KEY, b"page")
    world.unlock(ALICE)
    row = world.seals.seal_own("archive", ALICE, KEY, b"page")
    assert world.seals.open("archive", ALICE, KEY, row) == b"page"
    with pytest.raises(SealError):
        world.seals.open_server("archive", ALICE, KEY, row)
    world.keyring.close()
    with pytest.raises(Sealed):
        world.seals.open("archive", ALICE, KEY, row)


def test_the_servers_own_and_rooms() -> None:
    seals = World().seals
    row = seals.seal_own("preference", b"a.example", KEY, b"7")
    assert seals.open("preference", b"a.example", KEY, row) == seals.open_server("preference", b"a.example", KEY, row)
    with pytest.raises(SealError):
        seals.open("room", ROOM, KEY, row)  # reading makes no secret
    said = seals.seal("archive", ROOM, KEY, b"said")
    assert seals.open("archive", ROOM, KEY, said) == b"said"
    with pytest.raises(SealError):
        seals.open("archive", ROOM, KEY, seals.seal_server("archive", ROOM, KEY, b"forged"))
    seals.forget(ROOM)
    with pytest.raises(SealError):
        seals.open("archive", ROOM, KEY, said)


def test_chains_of_former_days_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quietwire.server.sealed.seals.REMEMBERED", 3)
    world = World().make(*(b"%d@a.example" % number for number in range(9)))
    for number in range(8):
        world.seals.seal("spool", b"%d@a.example" % number, KEY, b"")
    world.now += DAY
    world.seals.seal("spool", b"8@a.example", KEY, b"")
    assert len(world.seals._chains) == 1
