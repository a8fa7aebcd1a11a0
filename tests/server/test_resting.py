"""What is held for a session that nobody looks at, what is dropped, and what takes everything with it."""

from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import Ticket
from quietwire.server import resting
from quietwire.server.account import Account, Session
from quietwire.server.resting import NOTICED, rest, rests, wake
from quietwire.server.roster import Roster
from quietwire.store.ports import Entry
from quietwire.testing.services import Inbox

ALICE = parse_jid("alice@a.example/phone")
BODY = "<message from='bob@b.example/x' type='chat'><body>hi</body></message>"


class World:
    def __init__(self) -> None:
        self.inbox = Inbox()
        self.session = Session(ALICE, Account(ALICE.bare, Roster()), self.inbox)
        rest(self.session)

    def put(self, *texts: str) -> list[str]:
        for text in texts:
            self.session.outlet.put(text.encode(), None)
        return self.inbox.take()


def presence(who: str, more: str = "", inner: str = "") -> str:
    return f"<presence from='{who}'{more}>{inner}</presence>"


def event(node: str, item: str, payload: str = "<x xmlns='urn:x'/>") -> str:
    return (
        f"<message type='headline' from='bob@b.example'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
        f"<items node='{node}'><item id='{item}'>{payload}</item></items></event></message>"
    )


def test_presence_waits_and_the_latest_of_each_sender_goes_out() -> None:
    world = World()
    bob, carol = "bob@b.example/x", "carol@c.example/y"
    assert (
        world.put(presence(bob), presence(carol), presence(bob, " type='unavailable'"), presence(bob, inner="<a/>"))
        == []
    )
    wake(world.session)
    assert world.inbox.take() == [presence(carol), presence(bob, inner="<a/>")]
    assert world.session.outlet is world.inbox, "an active session has nothing before its outlet"
    assert world.put(presence(bob)) == [presence(bob)]


def test_what_matters_takes_everything_with_it_in_order() -> None:
    world = World()
    world.put(presence("bob@b.example/x"), event("n", "1"))
    assert world.put(BODY) == [presence("bob@b.example/x"), event("n", "1"), BODY]
    assert world.put(BODY) == [BODY]
    assert rests(world.session), "it goes on resting"


def test_a_kept_message_is_never_held() -> None:
    world = World()
    entry = Entry(b"alice", b"k", b"v", Ticket())
    typing = "<message from='b@b.example/x'><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    world.session.outlet.put(typing.encode(), entry)
    assert world.inbox.take() == [typing]


@pytest.mark.parametrize(
    "text",
    [
        presence("bob@b.example", " type='subscribe'"),
        presence("bob@b.example", " type='subscribed'"),
        presence("room@r.example/me", " type='error'"),
        presence("room@r.example/me", inner="<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>"),
        presence("room@r.example/me", inner='<x xmlns="http://jabber.org/protocol/muc#user"><status code="110"/></x>'),
        "<presence type='subscribe' id='a>b' from='bob@b.example'/>",
        "<presence/>",
        "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<message type='error' from='b@b.example'><error type='cancel'/></message>",
        "<message type='groupchat' from='room@r.example/bob'><subject>s</subject></message>",
        "<message from='b@b.example/x'><propose xmlns='urn:xmpp:jingle-message:0' id='1'/>"
        "<active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message from='b@b.example/x'><received xmlns='urn:xmpp:receipts' id='1'/></message>",
        "<not xml",
    ],
)
def test_this_matters(text: str) -> None:
    assert World().put(text) == [text]


TYPING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


@pytest.mark.parametrize(
    "text",
    [
        f"<message type='chat' from='b@b.example/x'>{TYPING}<no-store xmlns='urn:xmpp:hints'/></message>",
        f"<message type='groupchat' from='room@r.example/bob'>{TYPING}</message>",
        f"<message type='chat' from='alice@a.example'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns="
        f"'urn:xmpp:forward:0'><message xmlns='jabber:client'>{TYPING}</message></forwarded></sent></message>",
    ],
)
def test_notices_of_typing_are_dropped(text: str) -> None:
    world = World()
    assert world.put(text) == []
    wake(world.session)
    assert world.inbox.take() == []


def test_events_are_replaced_by_later_ones_of_the_same_item_only() -> None:
    world = World()
    gone = event("n", "1").replace("<item id='1'>", "<retract id='1'/><item id='1'>")
    two = event("n", "3").replace("</items>", "<item id='4'/></items>")
    world.put(event("n", "1", "<a xmlns='x'/>"), event("n", "2"), event("m", "1"), event("n", "1"), gone, two, two)
    wake(world.session)
    assert world.inbox.take() == [event("n", "2"), event("m", "1"), event("n", "1"), gone, two, two]


def test_what_is_held_is_bounded_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "HELD_STANZAS", 3)
    world = World()
    texts = [presence(f"u{number}@b.example/x") for number in range(4)]
    assert world.put(*texts) == texts
    monkeypatch.setattr(resting, "HELD_BYTES", 200)
    big = presence("bob@b.example/x", inner="<status>" + "a" * 100 + "</status>")
    assert world.put(big, big) == [], "a replaced one counts no more"
    assert len(world.put(big.replace("bob", "eve"))) == 2


def test_resting_twice_is_resting_once() -> None:
    world = World()
    rest(world.session)
    wake(world.session)
    assert not rests(world.session)
    wake(world.session)


def test_what_is_said_in_a_room_is_noticed() -> None:
    world = World()
    noticed: list[int] = []
    world.session.memory[NOTICED] = lambda: noticed.append(1)
    said = "<message type='groupchat' from='room@r.example/bob'><body>hi</body></message>"
    world.put(said.replace("</message>", "<delay xmlns='urn:xmpp:delay' stamp='x'/></message>"))
    world.put(BODY, presence("bob@b.example/x"), "<message type='groupchat'><subject/></message>")
    assert noticed == []
    assert world.put(said)[-1] == said
    assert noticed == [1]
