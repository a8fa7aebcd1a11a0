"""A database that the last version before the sealed store left (`before.json`: its tables, by owner and key), with a
server started on it. Whatever names somebody or was said has the word quux in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.xml import Element, serialise
from quietwire.seal.keys import AccountKeys
from quietwire.server.node_config import NodeConfig
from quietwire.server.nodes import Node
from quietwire.server.sealed.keeper import MARK, OWNER, TABLE, mark
from quietwire.store.memory import MemoryStorage
from quietwire.testing.playbook import KEYS, Client, Playbook

BEFORE: dict[str, Any] = json.loads((Path(__file__).parent / "before.json").read_text())
WORD = b"quux"
ROOM = "den-quux@conference.a.example"
PEOPLE = ("alice-quux", "bob-quux", "carol-quux")
"""Those who have something in clear; dave has an account and nothing else."""
MUC = "http://jabber.org/protocol/muc"


def before() -> MemoryStorage:
    numbers = iter(range(10**6, 10**9))
    storage = MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))
    for table, owners in BEFORE["tables"].items():
        for owner, rows in owners.items():
            for key, value in rows.items():
                storage.put(f"old_{table}", owner.encode(), bytes.fromhex(key), bytes.fromhex(value))
    storage.put(TABLE, OWNER, MARK, mark(KEYS, lambda size: next(numbers).to_bytes(size, "big")))
    storage.commit()
    return storage


class Moved(Playbook):
    def __init__(self, storage: MemoryStorage | None = None) -> None:
        super().__init__(storage=storage or before())
        self.now = BEFORE["now"]

    def clear(self) -> set[str]:
        """Tables in which something lies in clear."""
        self.storage.commit()
        state = self.storage._durable
        found = {
            table
            for table, owners in state.rows.items()
            for owner, rows in owners.items()
            for key, value in rows.items()
            if WORD in owner + key + value
        }
        return found | {"spool" for rows in state.spool.values() for value in rows.values() if WORD in value}

    def restart(self) -> Moved:
        return Moved(self.storage.crash())


def ask(client: Client, kind: str, payload: str, to: str = "") -> list[Element]:
    """Everything that came after the question."""
    client.take()
    client >> f"<iq type='{kind}' id='q' {f'to={to!r}' if to else ''}>{payload}</iq>"
    return [each for each in client.take() if isinstance(each, Element)]


def text(elements: list[Element]) -> str:
    return b"".join(serialise(each, ns.CLIENT) for each in elements).decode()


def items(client: Client, node: str, of: str = "") -> str:
    inner = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'/></pubsub>"
    return text(ask(client, "get", inner, of))


def test_what_is_the_servers_is_sealed_at_its_start() -> None:
    play = Moved()
    assert play.server.migration.left == {f"{name}@a.example".encode() for name in PEOPLE}
    assert ("accounts-not-sealed", {"count": "3"}) in play.notes
    assert {name.removeprefix("old_") for name in play.clear()} == {
        "archive", "block", "device", "item", "node", "preference", "private", "roster", "spool", "vcard",
    }  # fmt: skip
    assert len(play.server.accounts.names) == 4


def test_an_owner_finds_everything_at_the_first_login() -> None:
    play = Moved()
    alice = play.client("alice-quux/phone")
    roster = text(ask(alice, "get", "<query xmlns='jabber:iq:roster'/>"))
    assert roster.count("<item") == 32
    assert "friend29-quux@b.example" in roster
    assert 'subscription="both"' in roster.replace("'", '"')
    assert "troll-quux" in text(ask(alice, "get", "<blocklist xmlns='urn:xmpp:blocking'/>"))
    assert "a quux note" in text(
        ask(alice, "get", "<query xmlns='jabber:iq:private'><notes xmlns='quux:notes'/></query>")
    )
    assert "Alice Quux" in text(ask(alice, "get", "<vCard xmlns='vcard-temp'/>"))
    assert "Den quux" in items(alice, "urn:xmpp:bookmarks:1")
    assert "Ali quux" in items(alice, "http://jabber.org/protocol/nick")
    assert "secret-quux" in text(ask(alice, "get", "<prefs xmlns='urn:xmpp:mam:2'/>"))
    history = text(ask(alice, "set", "<query xmlns='urn:xmpp:mam:2'/>"))
    assert [history.index(f"quux words {n}<") for n in range(20)] == sorted(
        history.index(f"quux words {n}<") for n in range(20)
    )
    assert "waiting quux 2" in history
    assert play.server.migration.left == {b"bob-quux@a.example", b"carol-quux@a.example"}


def test_what_waited_for_somebody_comes_in_its_order_and_once() -> None:
    play = Moved()
    bob = play.client("bob-quux/desk")
    bob >> "<presence/>"
    came = text([each for each in bob.take() if isinstance(each, Element)])
    places = [came.index(f"waiting quux {n}<") for n in range(3)]
    assert places == sorted(places)
    assert came.count("waiting quux") == 3
    bob >> "</stream:stream>"
    again = play.client("bob-quux/desk")
    again >> "<presence/>"
    assert "waiting quux" not in text([each for each in again.take() if isinstance(each, Element)])


def test_what_all_may_read_is_there_while_its_owner_has_not_come_yet() -> None:
    play = Moved()
    dave = play.client("dave-quux/x")
    assert "label" in items(dave, "urn:xmpp:omemo:2:devices", "alice-quux@a.example")
    assert "<spk" in items(dave, "urn:xmpp:omemo:2:bundles", "bob-quux@a.example")
    assert "item-not-found" in items(dave, "urn:xmpp:bookmarks:1", "alice-quux@a.example")
    assert "service-unavailable" in text(ask(dave, "get", "<vCard xmlns='vcard-temp'/>", "alice-quux@a.example"))
    alice = play.client("alice-quux/phone")
    assert "label" in items(alice, "urn:xmpp:omemo:2:devices")
    assert "label" in items(dave, "urn:xmpp:omemo:2:devices", "alice-quux@a.example")
    alice >> "</stream:stream>"
    assert "label" in items(dave, "urn:xmpp:omemo:2:devices", "alice-quux@a.example")


def test_a_vcard_that_all_may_read_stays_so() -> None:
    storage = before()
    [(key, value)] = storage.scan("old_node", b"alice-quux@a.example", b"urn:xmpp:vcard4", b"urn:xmpp:vcard5").result()
    node = Node.decode(key, value)
    storage.put("old_node", b"alice-quux@a.example", *replace(node, config=NodeConfig(access_model="open")).encode())
    storage.commit()
    play = Moved(storage)
    dave = play.client("dave-quux/x")
    for _ in range(2):
        assert "Alice Quux" in text(ask(dave, "get", "<vCard xmlns='vcard-temp'/>", "alice-quux@a.example"))
        assert "Alice Quux" in text(ask(play.client("alice-quux/x"), "get", "<vCard xmlns='vcard-temp'/>"))


def test_a_room_is_as_it_was() -> None:
    play = Moved()
    alice, bob = play.client("alice-quux/phone"), play.client("bob-quux/desk")
    bob >> f"<presence to='{ROOM}/bob'><x xmlns='{MUC}'/></presence>"
    came = text([each for each in bob.take() if isinstance(each, Element)])
    assert all(f"room says quux {n}" in came for n in range(5))
    assert "Cats quux" in came
    listed = "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{}'/></query>"
    assert "Bobby-quux" in text(ask(alice, "get", listed.format("member"), ROOM))
    assert "loud quux" in text(ask(alice, "get", listed.format("outcast"), ROOM))
    history = text(ask(alice, "set", "<query xmlns='urn:xmpp:mam:2'/>", ROOM))
    assert history.count("room says quux") == 5
    again = play.restart()
    carol = again.client("alice-quux/x")
    carol >> f"<presence to='{ROOM}/alice'><x xmlns='{MUC}'/></presence>"
    assert "room says quux 4" in text([each for each in carol.take() if isinstance(each, Element)])


def test_an_invitation_push_and_upload_are_good() -> None:
    play = Moved()
    found = play.server.invitations.find(BEFORE["token"])
    assert found is not None
    assert (found.inviter.text, found.name) == ("alice-quux@a.example", "guest-quux")
    assert play.server.invitations.reserved("guest-quux")
    store = play.server.store
    assert len(store.scan("upload", b"alice-quux@a.example").result()) == 1
    assert len(store.scan("push", b"bob-quux@a.example").result()) == 1


def test_nothing_is_left_in_clear_when_all_have_come() -> None:
    play = Moved()
    for name in PEOPLE:
        client = play.client(f"{name}/x")
        client >> "<presence/>"
        client.take()
        client >> "</stream:stream>"
    play.settle()
    assert play.server.migration.left == set()
    assert play.notes.count(("accounts-sealed", {})) == 1
    assert play.clear() == set()
    again = play.restart()
    assert again.server.migration.left == set()
    assert "accounts-not-sealed" not in dict(again.notes)
    assert "friend0-quux" in text(ask(again.client("alice-quux/y"), "get", "<query xmlns='jabber:iq:roster'/>"))


def test_a_crash_in_the_midst_loses_nothing_and_doubles_nothing() -> None:
    """Each commit of the migration is the last one of a server, and the next goes on."""
    commits = 0
    while True:
        storage, left = before(), commits
        commit = storage.commit

        class Stop(Exception):
            pass

        def count(commit: Any = commit) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Stop
            commit()

        storage.commit = count  # type: ignore[method-assign]
        try:
            play = Moved(storage)
            alice = play.client("alice-quux/phone")
            ended = True
        except Stop:
            ended = False
        storage.commit = commit  # type: ignore[method-assign]
        if ended:
            break
        commits += 1
        again = Moved(storage.crash())
        alice = again.client("alice-quux/phone")
        roster = text(ask(alice, "get", "<query xmlns='jabber:iq:roster'/>"))
        assert roster.count("<item") == 32
        history = text(ask(alice, "set", "<query xmlns='urn:xmpp:mam:2'/>"))
        assert history.count("quux words") == 20
    assert commits > 3


def test_an_account_that_is_erased_before_its_owner_came_leaves_nothing() -> None:
    play = Moved()
    for name in PEOPLE:
        play.run(play.server.admin.delete(name))
    play.settle()
    assert play.clear() == set()
    assert play.server.migration.left == set()


def test_an_account_that_gets_another_secret_before_its_owner_came_loses_what_it_had() -> None:
    """As any sealed account does: nobody gets at it by a reset."""
    play = Moved()
    play.server.store.renew(b"alice-quux@a.example", AccountKeys(bytearray(32)).arrival_public())
    play.settle()
    assert not play.storage.scan("old_roster", b"alice-quux@a.example").result()
    assert play.server.migration.left == {b"bob-quux@a.example", b"carol-quux@a.example"}


def test_what_nobody_owns_is_erased() -> None:
    storage = before()
    storage.put("old_roster", b"ghost-quux@a.example", b"x", b"y")
    storage.commit()
    play = Moved(storage)
    assert storage.scan("old_roster", b"ghost-quux@a.example").result() == []
    assert len(play.server.migration.left) == 3


# -- rows in clear that somebody else has put there


def planted(storage: MemoryStorage, name: str) -> None:
    """A record with another password, and a contact."""
    tables = BEFORE["tables"]
    [record] = tables["account"]["dave-quux@a.example"].values()
    storage.put("old_account", name.encode(), b"credentials", bytes.fromhex(record))
    storage.put("old_roster", name.encode(), b"mallory@b.example", b'\x01{"subscription":"both"}')
    storage.commit()


def test_once_all_is_sealed_nothing_in_clear_is_taken() -> None:
    play = Playbook(accounts=["alice"])
    play.client("alice/phone")
    play = Moved(play.storage.crash())
    assert play.storage.get(TABLE, OWNER, MARK).result() is None
    planted(play.storage, "alice@a.example")
    planted(play.storage, "eve@a.example")
    play = play.restart()
    assert ("rows-in-clear-ignored", {"tables": "2"}) in play.notes
    assert "mallory" not in text(ask(play.client("alice/phone"), "get", "<query xmlns='jabber:iq:roster'/>"))
    assert not play.server.accounts.exists(parse_jid("eve@a.example"))


def test_the_mark_goes_with_the_last_account_and_cannot_be_made() -> None:
    play = Moved()
    for name in PEOPLE:
        assert play.storage.get(TABLE, OWNER, MARK).result() is not None
        play.client(f"{name}/phone")
    assert play.storage.get(TABLE, OWNER, MARK).result() is None
    play.storage.put(TABLE, OWNER, MARK, b"\x03" + bytes(252))
    planted(play.storage, "eve@a.example")
    assert not play.restart().server.accounts.exists(parse_jid("eve@a.example"))


def test_while_some_are_in_clear_a_sealed_account_keeps_its_password() -> None:
    play = Moved()
    play.client(f"{PEOPLE[0]}/phone")
    planted(play.storage, f"{PEOPLE[0]}@a.example")
    again = play.restart().client(f"{PEOPLE[0]}/phone")
    assert "mallory" not in text(ask(again, "get", "<query xmlns='jabber:iq:roster'/>"))
