from __future__ import annotations

import pytest
from sealed_world import ALICE, MALLORY, ROOM, World, run, secret

from quietwire.core.errors import StanzaError
from quietwire.seal.keys import AccountKeys
from quietwire.server.accounts import ARRIVALS, CREDENTIALS
from quietwire.server.sealed.own import KINDS
from quietwire.server.sealed.seals import BEGUN, HANDLE
from quietwire.server.sealed.store import DAMAGED, PLACES, SERVER, places, vouched
from quietwire.store.ports import LOGICAL, LONGEST_NAME, TABLES

NODE, DOMAIN = b"urn:xmpp:omemo:2:devices", b"a.example"


def test_every_table_of_modules_has_its_place() -> None:
    assert {*SERVER, *KINDS, "room"} == set(LOGICAL) - {"archive"}  # which is kept past this
    assert set(PLACES) <= {*TABLES, "spool"}
    assert places(("roster", "node", "room")) == {
        "sealed",
        "body",
        "node",
        "room",
        "account",
        "server",
        "arrival",
        "roster",
    }


@pytest.mark.parametrize("table", sorted(SERVER))
def test_what_is_the_servers_can_be_read_while_its_owner_is_away(table: str) -> None:
    world = World()
    store = world.store
    store.put(table, ALICE, NODE, b"devices")
    store.put(table, ALICE, b"other", b"more")
    store.put(table, MALLORY, NODE, b"hers")
    assert store.get(table, ALICE, NODE).result() == b"devices"
    assert store.get_many(table, ALICE, (NODE, b"none")).result() == {NODE: b"devices"}
    assert sorted(store.scan(table, ALICE, b"o", b"p").result()) == [(b"other", b"more")]
    assert sorted(store.scan(table, ALICE, head=2).result()) == [(b"other", b"mo"), (NODE, b"de")]
    assert store.scan_many([(table, ALICE, 1), (table, b"nobody@a.example", None)]).result()[1] == []
    first, second = sorted(store.owners(table).result())
    assert {first, second} == {HANDLE + world.seals.owner(SERVER[table], owner) for owner in (ALICE, MALLORY)}
    assert sorted(len(store.scan(table, handle).result()) for handle in (first, second)) == [1, 2]
    store.delete(table, ALICE, NODE)
    assert store.get(table, ALICE, NODE).result() is None
    for key, row in world.rows(SERVER[table], ALICE).items():
        assert (len(key), len(row)) == (16, 253)


def test_what_is_the_owners_is_nothing_to_anybody_while_they_are_away() -> None:
    world = World().make(ALICE)
    store = world.store
    world.log_in(ALICE)
    store.put("roster", ALICE, b"romeo@b.example", b"friend")
    assert store.get("roster", ALICE, b"romeo@b.example").result() == b"friend"
    assert store.get_many("roster", ALICE, (b"romeo@b.example", b"x")).result() == {b"romeo@b.example": b"friend"}
    assert store.scan_many([("roster", ALICE, 2), ("block", ALICE, None)]).result() == [
        [(b"romeo@b.example", b"fr")],
        [],
    ]
    world.keyring.close()
    for owner in (ALICE, b"nobody@a.example"):
        assert store.get("roster", owner, b"romeo@b.example").result() is None
        assert store.get_many("roster", owner, (b"romeo@b.example",)).result() == {}
        assert store.scan("roster", owner).result() == []
        with pytest.raises(StanzaError):
            store.put("roster", owner, b"k", b"v")
        with pytest.raises(StanzaError):
            store.delete("roster", owner, b"k")


def test_names_that_are_too_long_and_tables_that_are_not_there() -> None:
    store = World().store
    for owner, key in ((b"o" * (LONGEST_NAME + 1), b"k"), (ALICE, b"k" * (LONGEST_NAME + 1)), (ALICE, b"k" * 70_000)):
        with pytest.raises(ValueError, match="4,096"):
            store.put("account", owner, key, b"v")
    with pytest.raises(KeyError):
        store.put("sealed", ALICE, b"k", b"v")
    with pytest.raises(KeyError):
        store.get("nothing", ALICE, b"k").result()


def test_the_servers_own_settings_are_the_servers() -> None:
    world = World()
    world.store.put("preference", DOMAIN, b"starts", b"7")
    assert world.store.get("preference", DOMAIN, b"starts").result() == b"7"
    after = world.restart()
    assert after.store.get("preference", DOMAIN, b"starts").result() == b"7"
    assert after.rows("sealed", DOMAIN) == {}


def test_the_first_login_makes_what_an_account_has_from_then_on() -> None:
    world = World().make(ALICE)
    keys = AccountKeys(secret(ALICE))
    public = keys.arrival_public()
    begun = vouched(keys, public)
    assert world.store.get("account", ALICE, ARRIVALS).result() == public
    world.log_in(ALICE)
    assert world.store.get("account", ALICE, ARRIVALS).result() == begun
    assert world.isolated == 0
    old = World()  # whose database knows of no such keys
    old.log_in(ALICE)
    assert (old.store.get("account", ALICE, ARRIVALS).result(), old.isolated) == (begun, 0)


def test_a_public_key_that_is_not_the_accounts_is_told_and_put_right() -> None:
    forged = AccountKeys(secret(MALLORY)).arrival_public()
    for value in (forged, forged + BEGUN, b""):
        world = World().make(ALICE)
        world.log_in(ALICE)
        world.keyring.close()
        world.store.put("account", ALICE, ARRIVALS, value) if value else world.store.delete("account", ALICE, ARRIVALS)
        world = world.restart()
        world.learn()
        world.seals.seal("spool", ALICE, b"k" * 16, b"")
        world.log_in(ALICE)
        keys = AccountKeys(secret(ALICE))
        right = vouched(keys, keys.arrival_public())
        assert (world.isolated, world.store.get("account", ALICE, ARRIVALS).result()) == (1, right)
        assert world.store.findings.take(ALICE) == 1
        row = world.seals.seal("spool", ALICE, b"k" * 16, b"hello")
        assert world.seals.open("spool", ALICE, b"k" * 16, row) == b"hello"


def test_erase_leaves_nothing_and_others_keep_theirs() -> None:
    world = World().make(ALICE, MALLORY)
    for owner in (ALICE, MALLORY):
        world.log_in(owner)
        for table in (*SERVER, *KINDS):
            world.store.put(table, owner, b"k", b"v")
        world.store.put("vcard", owner, b"", b"v" * 9_000)
        world.spool.keep(owner, b"hello")
    world.store.erase(ALICE)
    world.storage.commit()
    raw = world.storage
    left = {table for table in PLACES if table != "spool" and world.rows(table, ALICE)}
    assert (left, raw.usage(world.seals.owner("spool", ALICE))) == (set(), (0, 0))
    assert world.keyring.get(ALICE) is None
    after = world.restart()
    after.log_in(MALLORY)
    assert (after.store.get("roster", MALLORY, b"k").result(), after.isolated) == (b"v", 0)


def test_a_new_secret_begins_anew() -> None:
    world = World().make(ALICE)
    world.log_in(ALICE)
    world.store.put("account", ALICE, CREDENTIALS, b"record")
    world.store.put("roster", ALICE, b"k", b"v")
    world.store.put("account", ALICE, ARRIVALS, AccountKeys(secret(ALICE)).arrival_public())
    world.store.renew(ALICE, AccountKeys(secret(ALICE)).arrival_public())
    world = world.restart()
    world.log_in(ALICE)
    assert (world.store.get("roster", ALICE, b"k").result(), world.isolated) == (None, 0)
    assert world.store.get("account", ALICE, CREDENTIALS).result() == b"record"


# -- one damaged row


def test_one_damaged_row_hides_no_other() -> None:
    for forged in (
        b"",
        b"\x01",
        b"\x02" + bytes(300),
        b"\x01" + bytes(300),
        b"\x03" + bytes(300),
        bytes(300),
        b"x" * 100_000,
    ):
        world = World().make(ALICE)
        for key in (b"1", b"2"):
            world.store.put("push", ALICE, key, key)
        name = next(iter(world.rows("push", ALICE)))
        world.set("push", ALICE, name, forged)
        world = world.restart()
        assert len(world.store.scan("push", ALICE).result()) == 1
        assert len(world.store.get_many("push", ALICE, (b"1", b"2")).result()) == 1
        assert sum(world.store.get("push", ALICE, key).result() is not None for key in (b"1", b"2")) == 1
        assert world.isolated == 1


def test_rows_of_the_servers_class_cannot_be_moved() -> None:
    world = World().make(ALICE, MALLORY)
    world.store.put("account", ALICE, CREDENTIALS, b"hers")
    world.store.put("account", MALLORY, CREDENTIALS, b"mallory's")
    key = {
        owner: world.seals.keys.key("account", world.seals.owner("account", owner), CREDENTIALS)
        for owner in (ALICE, MALLORY)
    }
    world.set("account", ALICE, key[ALICE], world.rows("account", MALLORY)[key[MALLORY]])
    assert world.store.get("account", ALICE, CREDENTIALS).result() == DAMAGED  # which is no record: nobody logs in
    assert world.store.get("account", MALLORY, CREDENTIALS).result() == b"mallory's"
    assert world.isolated == 1


def test_a_room_whose_secret_is_damaged_is_lost_and_no_other() -> None:
    other = b"hall@rooms.a.example"
    world = World()
    for room in (ROOM, other):
        world.store.put("room", room, b"config", room)
    world.set("room", ROOM, world.store.rooms.key(ROOM), b"\x03" + bytes(252))
    world = world.restart()
    run(world.store.open())
    assert world.store.owners("room").result() == [other]
    assert world.store.get("room", other, b"config").result() == other
    assert world.store.get("room", ROOM, b"config").result() is None
    assert world.isolated >= 1
