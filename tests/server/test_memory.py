"""What sessions, rooms, queries and failures leave in memory when they are over: nothing that grows with their number.

The whole server, in memory; objects are counted by the collector. Two things are kept on purpose and bounded: how many
stanzas sessions had that nobody resumed, and addresses that were parsed. They are few here, and are taken off.
"""

from __future__ import annotations

import base64
import gc
from collections import Counter

from quietwire.core import jid, ns
from quietwire.core.jid import parse_jid
from quietwire.testing.playbook import Client, Playbook

MUC = "http://jabber.org/protocol/muc"
WARM, ROUNDS = 3, 12


def talk(play: Playbook, number: int) -> None:
    """What two people do in a day; nothing has the name that it had before."""
    room = f"room{number}@conference.a.example"
    alice = play.client(f"alice/r{number}", "<presence/>")
    bob = play.client(f"bob/r{number}")
    bob >> f"<enable xmlns='{ns.SM}' resume='true'/>"
    bob >> "<presence/>"
    for client, nick in ((alice, "al"), (bob, "bo")):
        client >> f"<presence to='{room}/{nick}'><x xmlns='{MUC}'/></presence>"
        if client is alice:
            alice >> (
                f"<iq type='set' id='c' to='{room}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>"
                "<field var='muc#roomconfig_membersonly'><value>0</value></field></x></query></iq>"
            )
    for text in ("one", "two"):
        alice >> f"<message to='{room}' type='groupchat' id='{text}'><body>{text}</body></message>"
        alice >> f"<message to='bob@a.example' type='chat' id='{text}{number}'><body>{text}</body></message>"
    assert "two" in said(bob)
    for to in ("", f" to='{room}'"):
        alice >> f"<iq type='set' id='q'{to}><query xmlns='urn:xmpp:mam:2'/></iq>"
    alice >> f"<iq type='set' id='t' to='{room}'><query xmlns='{MUC}#admin'><item nick='no' role='none'/></query></iq>"
    alice >> f"<message to='x@nowhere{number}.example' type='chat' id='x'><body>anybody?</body></message>"
    alice >> f"<iq type='get' id='v' to='nobody{number}@a.example'><vCard xmlns='vcard-temp'/></iq>"
    alice >> f"<presence to='stranger{number}@a.example' type='subscribe'/>"
    alice >> "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
    alice >> f"<presence to='{room}/al' type='unavailable'/>"
    bob.cut()  # what it has not confirmed waits for the next one
    alice >> "</stream:stream>"
    for name in ("alice", f"nobody{number}"):
        wrong = base64.b64encode(f"\0{name}\0wrong".encode()).decode()
        failing = play.connect().header()
        failing >> f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{wrong}</auth>"
        failing.cut()
    play.connect().cut()
    play.pass_time(4_000)
    again = play.client("bob/desk", "<presence/>")
    again.cut()
    assert tuple(play.storage.spool.usage(b"bob@a.example")) == (0, 0)
    assert not play.server.accounts.loaded
    assert not play.server.sessions


def said(client: Client) -> list[str]:
    return [text for each in client.take() if not isinstance(each, str)
            for text in (getattr(each, "findtext", lambda _: "")("{jabber:client}body"),) if text]  # fmt: skip


def census(play: Playbook) -> Counter[str]:
    play.clients.clear()
    play.notes.clear()
    play.known.clear()
    play.server._over.clear()
    jid._young.clear()
    jid._old.clear()
    gc.collect()
    return Counter(type(each).__qualname__ for each in gc.get_objects())


def test_rounds_of_everything_leave_nothing() -> None:
    play = Playbook("a.example", ("alice", "bob"), token_seconds=60.0)
    for number in range(WARM):
        talk(play, number)
    census(play)  # counting makes objects of its own the first time
    before = census(play)
    for number in range(WARM, WARM + ROUNDS):
        talk(play, number)
    after = census(play)
    grown = {kind: count - before[kind] for kind, count in after.items() if count > before[kind]}
    assert sum(grown.values()) < ROUNDS, grown
    rooms = play.server.router.hosted["conference.a.example"][1].state
    assert rooms.rooms == {}
    assert play.server.router._asked == {}
    assert play.server.archive._indexes.keys() <= {b"alice@a.example", b"bob@a.example"}
    assert parse_jid("alice@a.example") not in play.server.accounts.loaded


def test_a_session_is_gone_with_its_connection() -> None:
    play = Playbook("a.example", ("alice",))

    def sessions() -> int:
        gc.collect()
        return sum(type(each).__qualname__ in ("Session", "ClientStream", "Outgoing") for each in gc.get_objects())

    before = sessions()
    for number in range(50):
        play.client(f"alice/{number}", "<presence/>").cut()
    play.clients.clear()
    assert sessions() == before
