"""The archive of a room (XEP-0313)."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, Den, jid, said

from quietwire.server.rooms import operator
from quietwire.server.rooms.ranks import Affiliation
from quietwire.testing.assembly import Client

QUERY = "<query xmlns='urn:xmpp:mam:2' queryid='f1'/>"
KEPT = {"persistentroom": "1"}


def archived(guest: Client, query: str = QUERY) -> list[str]:
    """The messages in the results; the answer is a result."""
    guest.write(f"<iq type='set' id='q' to='{ROOM}'>{query}</iq>")
    *results, answer = guest.take()
    assert " type='result'" in answer, answer
    assert all(f" from='{ROOM}'" in result and "queryid='f1'" in result for result in results)
    return [result.partition("<forwarded")[2] for result in results]


def test_what_was_said_can_be_asked_for() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(alice, "one")
    typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    bob.write(f"<message type='groupchat' to='{ROOM}'>{typing}</message>")
    den.say(bob, "two")
    ids = [line.id for line in den.room.history]
    den.quiet()
    alice.write(f"<iq type='set' id='q' to='{ROOM}'>{QUERY}</iq>")
    first, second, fin = alice.take()
    assert f"id='{ids[0]}'" in first
    assert f"from='{ROOM}/al'" in first
    assert "<body>two</body>" in second
    assert den.room.tag(jid("bob@a.example")).decode() in second
    assert "complete='true'" in fin


def test_members_find_real_addresses_where_everybody_saw_them() -> None:
    den = Den()
    alice = den.make(**OPEN)
    den.say(alice, "open")
    den.configure(alice, whois="moderators")
    den.say(alice, "discreet")
    carol = den.enter("carol")
    den.quiet()
    open_, discreet = archived(alice)
    assert f"<x xmlns='{MUC}#user'><item affiliation='owner' role='moderator' jid='alice@a.example'/></x>" in open_
    assert "alice@a.example" not in discreet
    assert "alice@a.example" not in str(archived(carol))
    den.configure(alice, whois="anyone")
    den.quiet()
    assert "alice@a.example" in archived(carol)[0]


@pytest.mark.parametrize(
    ("name", "fields", "condition"),
    [
        ("carol", {}, "forbidden"),
        ("carol", OPEN, "forbidden"),
        ("dave", OPEN, "forbidden"),
        ("alice", {"enablearchiving": "0"}, "service-unavailable"),
        ("bob", {}, ""),
    ],
)
def test_who_may_ask(name: str, fields: dict[str, str], condition: str) -> None:
    """bob is a member who is not in the room, carol a stranger, dave is banned."""
    den = Den()
    alice = den.make(**fields)
    den.admin(alice, "affiliation='member' jid='bob@a.example'", "affiliation='outcast' jid='dave@a.example'")
    den.say(alice, "hello")
    den.quiet()
    metadata = "<metadata xmlns='urn:xmpp:mam:2'/>"
    for kind, payload in (("set", QUERY), ("get", "<query xmlns='urn:xmpp:mam:2'/>"), ("get", metadata)):
        answer = den.ask(den.guest(name), kind, payload)[-1]
        assert answer == (f"iq error {condition}" if condition else "result")


def test_who_is_banned_while_the_disk_is_read_gets_nothing() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(alice, "hello")
    den.quiet()
    den.store.held = True
    bob.write(f"<iq type='set' id='q' to='{ROOM}'>{QUERY}</iq>")
    den.admin(alice, "affiliation='outcast' jid='bob@a.example'")
    bob.take()
    den.store.release()
    assert said(bob) == ["iq error forbidden"]


def test_a_room_that_is_destroyed_meanwhile_does_not_answer() -> None:
    den = Den()
    alice = den.make()
    den.say(alice, "hello")
    den.quiet()
    den.store.held = True
    alice.write(f"<iq type='set' id='q' to='{ROOM}'>{QUERY}</iq>")
    alice.write(f"<iq type='set' id='d' to='{ROOM}'><query xmlns='{MUC}#owner'><destroy/></query></iq>")
    alice.take()
    den.store.release()
    assert said(alice) == ["iq error item-not-found"]


def test_history_comes_back_after_a_restart() -> None:
    den = Den()
    alice = den.make(**KEPT, **OPEN)
    den.say(alice, "one")
    alice.write(f"<message type='groupchat' to='{ROOM}'><subject>Cats</subject></message>")
    den.say(alice, "two")
    id = [line.id for line in den.room.history][-1]
    other = den.restart()
    bob = other.enter("bob")
    old = [text for text in said(bob) if "(old)" in text]
    assert old == ["al: one (old)", "al: two (old)", "al subject 'Cats' (old)"]
    [line] = [line for line in other.room.history if line.id == id]
    assert line.sender == jid("alice@a.example")
    assert b"muc#user" not in line.message.inner
    other.enter("bob")
    assert len([text for text in said(bob) if "(old)" in text]) == 3


def test_who_enters_while_it_is_read_waits_and_so_do_others() -> None:
    den = Den()
    alice = den.make(**KEPT, **OPEN)
    den.say(alice, "before")
    other = den.restart()
    other.store.held = True
    bob, carol = other.enter("bob"), other.enter("carol")
    other.say(bob, "hello")
    other.say(other.guest("dave"), "hello?")
    bob.write(f"<iq type='get' id='p' to='{ROOM}'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert said(bob) == said(carol) == []
    other.store.release()
    assert said(bob) == [
        "bo here none/participant jid=bob@a.example/x 100 110",
        "al: before (old)",
        "room subject ''",
        "ca here none/participant jid=carol@a.example/x",
        "bo: hello",
        "result",
    ]
    assert said(other.guest("dave")) == ["message error not-acceptable"]


def test_what_a_moderator_took_back_is_replaced() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(bob, "buy my pills")
    [line] = den.room.history
    retract = "<retract xmlns='urn:xmpp:message-retract:1'/><reason>Spam</reason>"
    den.ask(alice, "set", f"<moderate xmlns='urn:xmpp:message-moderate:1' id='{line.id}'>{retract}</moderate>")
    den.quiet()
    grave, told = archived(alice)
    assert "pills" not in grave
    assert "<retracted xmlns='urn:xmpp:message-retract:1' stamp='2001-09-09T01:46:40Z'><moderated" in grave
    assert den.room.tag(jid("bob@a.example")).decode() in grave
    assert f"<retract xmlns='urn:xmpp:message-retract:1' id='{line.id}'>" in told


def test_what_somebody_took_back_is_replaced_and_nobody_elses() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(bob, "oops")
    [line] = den.room.history
    retract = f"<retract xmlns='urn:xmpp:message-retract:1' id='{line.id}'/>"
    den.say(alice, "not hers", more=retract)
    den.quiet()
    assert "oops" in archived(alice)[0]
    den.say(bob, "gone", more=retract)
    den.say(bob, "no such", more=retract.replace(line.id, "f" * 32))
    den.quiet()
    assert "oops" not in archived(alice)[0]
    assert "id='m'/></message>" in archived(alice)[0]


def test_it_ends_with_the_room() -> None:
    den = Den()
    alice = den.make()
    den.say(alice, "hello")
    assert den.storage.store.scan("archive", ROOM.encode()).result()
    alice.write(f"<presence type='unavailable' to='{ROOM}/al'/>")
    assert den.storage.store.scan("archive", ROOM.encode()).result() == []
    assert den.rooms.rooms == {}


def test_membership_is_what_counts() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(alice, "hello")
    bob.write(f"<presence type='unavailable' to='{ROOM}/bo'/>")
    den.quiet()
    assert den.ask(bob, "set", QUERY) == ["iq error forbidden"]
    assert den.room.affiliation(jid("bob@a.example")) is Affiliation.NONE


RETRACT = "<retract xmlns='urn:xmpp:message-retract:1' id='{}'/>"
FORGED = "<q xmlns='urn:q'><x xmlns='http://jabber.org/protocol/muc#user'><item jid='carol@a.example'/></x></q>"


def test_what_looks_like_the_rooms_mark_inside_of_something_else_is_left_alone() -> None:
    """Cutting there would leave half an element, on which every reader's stream would break."""
    den = Den(days=1)
    _, bob = den.full("bob", **OPEN, **KEPT, whois="moderators")
    den.say(bob, "hello", more=FORGED)
    den.quiet()
    assert FORGED in archived(bob)[0]
    again = den.restart(days=1)
    again.enter("bob")
    assert [line.sender for line in again.room.history] == [None]


def test_nobody_takes_back_what_somebody_else_quotes_of_him() -> None:
    den = Den(days=1)
    alice, bob = den.full("bob", **OPEN)
    den.say(bob, "mine")
    quoted = bob.take()[-1]
    inner = quoted[quoted.index("<occupant-id") : quoted.rindex("</message>")]
    den.say(alice, "look what bob said", more=f"<quote xmlns='urn:q'>{inner}</quote>")
    [_, line] = den.room.history
    den.quiet()
    bob.write(f"<message type='groupchat' to='{ROOM}'>{RETRACT.format(line.id)}</message>")
    den.quiet()
    assert den.room.history.find(line.id) is not None
    assert any("look what bob said" in each for each in archived(alice))


def test_what_is_left_of_a_message_names_its_author_not_whom_it_quotes() -> None:
    den = Den(days=1)
    alice, bob = den.full("bob", **OPEN)
    forged = den.room.tag(jid("alice@a.example")).decode()
    den.say(bob, "mine", more=f"<q xmlns='urn:q'>{forged}</q>")
    [line] = den.room.history
    bob.write(f"<message type='groupchat' to='{ROOM}'>{RETRACT.format(line.id)}</message>")
    den.quiet()
    tombstone = archived(alice)[0]
    assert "<retracted" in tombstone
    assert forged not in tombstone
    assert den.room.tag(jid("bob@a.example")).decode() in tombstone


def test_a_room_that_ends_while_its_past_is_read_answers_nobody_who_waited() -> None:
    den = Den()
    alice = den.make(**KEPT, **OPEN)
    den.say(alice, "before")
    other = den.restart()
    other.store.held = True
    other.enter("bob")
    owner = other.guest("alice")
    owner.write(f"<iq type='get' id='c' to='{ROOM}'><query xmlns='{MUC}#owner'/></iq>")
    operator.destroy(other.rooms, other.room.jid)
    owner.take()
    other.store.release()
    assert said(owner) == ["iq error item-not-found"]
