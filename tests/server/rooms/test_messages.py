"""Messages to everybody, to one occupant, and the subject (XEP-0045 §7.4, §7.5, §8.1)."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SEMI, Den, said

from quietwire.core import ns
from quietwire.server.rooms.messages import worth_keeping
from quietwire.server.rooms.model import MAX_SUBJECT
from quietwire.server.rooms.names import BODY, SUBJECT, THREAD

STRANGE = "{urn:example}thing"


def test_everybody_gets_it_as_it_was_said() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    inner = "<body xml:lang='de'>Tee?</body><x xmlns='urn:e'/>"
    bob.write(f"<message type='groupchat' id='m7' to='{ROOM}'>{inner}</message>")
    [heard], [own] = alice.take(), bob.take()
    assert heard.replace("alice", "bob") == own
    assert f"<message to='alice@a.example/x' from='{ROOM}/bo' type='groupchat' id='m7'>{inner}" in heard
    assert f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}'" in heard
    assert den.room.tag(bob.session.jid.bare).decode() in heard


@pytest.mark.parametrize(
    ("name", "to", "condition"),
    [
        ("carol", ROOM, "not-acceptable"),
        ("bob", f"{ROOM}/al", "bad-request"),
        ("carol", "nowhere@conference.a.example", "item-not-found"),
        ("carol", "conference.a.example", "service-unavailable"),
    ],
)
def test_who_may_not_say_it(name: str, to: str, condition: str) -> None:
    den = Den()
    alice, _ = den.full("bob", **OPEN)
    den.say(den.guest(name), "hello?", to)
    assert said(den.guest(name)) == [f"message error {condition}"]
    assert said(alice) == []


def test_visitors_are_not_heard() -> None:
    den = Den()
    alice, bob = den.full("bob", moderatedroom="1", **OPEN)
    den.say(bob, "hello?")
    assert said(bob) == ["message error forbidden"]
    assert said(alice) == []


@pytest.mark.parametrize(
    "forged",
    [
        f"<x xmlns='{MUC}#user'><status code='110'/></x>",
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>",
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='forged'/>",
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM.upper()}/x' id='forged'/>",
        "<delay xmlns='urn:xmpp:delay' stamp='2001-01-01T00:00:00Z'/>",
        "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='c@a.example'/></addresses>",
    ],
)
def test_what_only_the_room_may_say_is_left_out(forged: str) -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(bob, "hello", more=forged)
    [heard] = alice.take()
    assert "<body>hello</body>" in heard
    assert "forged" not in heard
    assert forged not in heard
    assert heard.count("occupant-id ") == 1


def test_an_owner_may_bring_an_older_conversation_along() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    theirs = "<delay xmlns='urn:xmpp:delay' from='alice@a.example/x' stamp='2004-09-29T01:54:37Z'/>"
    den.say(alice, "then", more=theirs)
    den.say(alice, "now", more=f"<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2004-09-29T01:54:37Z'/>")
    then, now = bob.take()
    assert theirs in then
    assert "urn:xmpp:delay" not in now


def test_anothers_stanza_id_passes() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(bob, "hello", more="<stanza-id xmlns='urn:xmpp:sid:0' by='bob@a.example' id='his'/>")
    assert "id='his'" in alice.take()[0]


@pytest.mark.parametrize(
    ("children", "kept"),
    [
        ((BODY,), True),
        ((SUBJECT, THREAD), True),
        ((STRANGE,), True),
        ((), False),
        ((THREAD,), False),
        (("{http://jabber.org/protocol/chatstates}composing",), False),
        (("{http://jabber.org/protocol/chatstates}active", "{urn:xmpp:hints}store"), True),
        ((BODY, "{urn:xmpp:hints}no-store"), False),
        ((BODY, "{urn:xmpp:hints}no-permanent-store"), False),
        (("{urn:xmpp:chat-markers:0}displayed",), False),
    ],
)
def test_what_is_kept_for_those_who_come_later(children: tuple[str, ...], kept: bool) -> None:
    assert worth_keeping(children) is kept


def test_typing_has_no_past() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.write(
        f"<message type='groupchat' to='{ROOM}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    [heard] = alice.take()
    assert "composing" in heard
    assert "stanza-id" not in heard
    assert len(den.room.history) == 0


# -- how much --


def test_a_flood_is_refused_and_time_helps() -> None:
    den = Den(burst=3, rate=1)
    alice, bob = den.full("bob", **OPEN)
    for n in range(4):
        den.say(bob, str(n))
    assert said(bob)[-1] == "message error policy-violation"
    assert said(alice) == ["bo: 0", "bo: 1", "bo: 2"]
    den.pass_time(1)
    den.say(bob, "again")
    assert said(alice) == ["bo: again"]


def test_no_limit() -> None:
    den = Den(burst=1, rate=0)
    _, bob = den.full("bob", **OPEN)
    for _ in range(5):
        den.say(bob, "x")
    assert said(bob) == ["bo: x"] * 5


def test_slow_mode() -> None:
    den = Den()
    alice, bob = den.full("bob", slow_mode_duration="30", **OPEN)
    typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    den.say(bob, "one")
    bob.write(f"<message type='groupchat' to='{ROOM}'>{typing}</message>")
    den.say(bob, "two")
    assert said(bob)[-1] == "message error policy-violation"
    den.pass_time(30)
    den.say(bob, "three")
    for text in ("a", "b"):
        den.say(alice, text)  # owners need not wait
    assert said(alice) == ["bo: one", "bo composing occupant-id", "bo: three", "al: a", "al: b"]


# -- the subject --


def subject(text: str, more: str = "") -> str:
    return f"<message type='groupchat' to='{ROOM}'><subject>{text}</subject>{more}</message>"


def test_moderators_set_the_subject() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    alice.write(subject("Cats"))
    assert said(bob) == ["al subject 'Cats'"]
    bob.write(subject("Dogs"))
    assert said(bob) == ["message error forbidden"]
    alice.write(subject(""))
    assert said(den.enter("carol"))[-1] == "al subject '' (old)"


def test_everybody_may_where_it_is_configured() -> None:
    den = Den()
    alice, bob = den.full("bob", changesubject="1", **OPEN)
    bob.write(subject("Dogs"))
    assert said(alice) == ["bo subject 'Dogs'"]


@pytest.mark.parametrize("more", ["<body>look</body>", "<thread>t</thread>"])
def test_a_subject_with_more_is_a_message(more: str) -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.write(subject("Dogs", more))
    assert len(alice.take()) == 1
    assert den.room.subject is None


def test_a_subject_has_a_length() -> None:
    den = Den()
    alice = den.make()
    alice.write(subject("x" * MAX_SUBJECT))
    assert said(alice) == ["message error policy-violation"]
    alice.write(subject("Cats", "<delay xmlns='urn:xmpp:delay' stamp='x'/>"))
    assert "urn:xmpp:delay" not in alice.take()[0]


# -- private messages --


def test_a_private_message_comes_from_the_nickname() -> None:
    den = Den()
    alice, bob, carol = den.full("bob", "carol", **SEMI)
    den.say(bob, "psst", f"{ROOM}/ca", "chat")
    [heard] = carol.take()
    assert heard.startswith(f"<message from='{ROOM}/bo' to='carol@a.example/x' type='chat' id='m'>")
    assert f"<x xmlns='{MUC}#user'/>" in heard
    assert "bob@a.example" not in heard
    assert said(alice) == said(bob) == []


def test_all_devices_get_it() -> None:
    den = Den()
    _, bob = den.full("bob", **OPEN)
    desk = den.enter("bob/desk", "bo")
    den.quiet()
    den.say(den.guest("alice"), "psst", f"{ROOM}/bo", "chat", f"<x xmlns='{MUC}#user'/>")
    [one], [other] = bob.take(), desk.take()
    assert one.count("muc#user") == other.count("muc#user") == 1


@pytest.mark.parametrize(
    ("name", "nick", "condition"), [("dave", "al", "not-acceptable"), ("bob", "nobody", "item-not-found")]
)
def test_it_must_be_from_and_to_somebody_who_is_there(name: str, nick: str, condition: str) -> None:
    den = Den()
    den.full("bob", **OPEN)
    den.say(den.guest(name), "psst", f"{ROOM}/{nick}", "chat")
    assert said(den.guest(name)) == [f"message error {condition}"]


@pytest.mark.parametrize(
    ("allowed", "name", "nick", "heard"),
    [
        ("anyone", "carol", "bo", True),
        ("participants", "carol", "bo", False),
        ("participants", "bob", "ca", True),
        ("moderators", "bob", "ca", False),
        ("moderators", "bob", "al", True),
        ("moderators", "alice", "bo", True),
        ("none", "alice", "bo", False),
    ],
)
def test_who_may(allowed: str, name: str, nick: str, heard: bool) -> None:
    """bob is a member, carol a visitor."""
    den = Den()
    alice = den.make(moderatedroom="1", allowpm=allowed, **OPEN)
    den.admin(alice, "affiliation='member' jid='bob@a.example'")
    den.enter("bob")
    den.enter("carol")
    den.quiet()
    den.say(den.guest(name), "psst", f"{ROOM}/{nick}", "chat")
    assert said(den.guest(name)) == ([] if heard else ["message error forbidden"])


def test_a_refusal_comes_back_from_the_nickname() -> None:
    den = Den()
    _, bob, carol = den.full("bob", "carol", **SEMI)
    error = f"<error type='cancel'><service-unavailable xmlns='{ns.STANZAS}'/></error>"
    carol.write(f"<message type='error' id='m' to='{ROOM}/bo'><body>carol@a.example</body>{error}</message>")
    [back] = bob.take()
    assert "carol@a.example" not in back
    assert back.startswith(f"<message to='bob@a.example/x' from='{ROOM}/ca' type='error' id='m'>")


def test_what_somebody_takes_back_is_not_repeated() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(bob, "oops")
    [line] = den.room.history
    retract = f"<retract xmlns='urn:xmpp:message-retract:1' id='{line.id}'/>"
    den.say(alice, "not hers", more=retract)
    assert den.room.history.find(line.id) is not None
    den.say(bob, "taken back", more=retract)
    assert den.room.history.find(line.id) is None
    assert "al: not hers (old)" in said(den.enter("carol"))


@pytest.mark.parametrize("blocked", [f"{ROOM}/al", ROOM])
def test_a_blocked_occupant_or_room_is_not_heard(blocked: str) -> None:
    den = Den()
    alice, bob, carol = den.full("bob", "carol", **OPEN)
    account = bob.session.account
    account.blocks.add(blocked)
    den.say(alice, "to all")
    den.say(alice, "to one", f"{ROOM}/bo", "chat")
    assert bob.take() == []
    assert len(carol.take()) == 1
    den.say(carol, "to all")
    assert len(bob.take()) == (0 if blocked == ROOM else 1)
    assert len(den.room.occupants) == 3
    bob.write(f"<presence to='{ROOM}/bo'><x xmlns='{MUC}'/></presence>")  # what was said before comes again
    assert not any("al'" in text.partition(">")[0] for text in bob.take())
    account.blocks.discard(blocked)
    den.say(alice, "again")
    assert len(bob.take()) == 1
