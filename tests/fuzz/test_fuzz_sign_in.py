"""Logins by SASL2, mutated: whatever comes before login has a defined answer, leaves no session that nobody has, and
lets nobody in without a password or a token. Bounded (longer with QUIETWIRE_FUZZ_SECONDS)."""

from __future__ import annotations

import base64
import os
import random
import time
from xml.etree.ElementTree import Element

from quietwire.core.jid import parse_jid
from quietwire.core.sasl import initiator
from quietwire.testing.dialogue import HEADER
from quietwire.testing.playbook import Client, Playbook, authenticate

SECONDS = float(os.environ.get("QUIETWIRE_FUZZ_SECONDS", "3"))
ALICE = parse_jid("alice@a.example")
AGENT = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>s</software><device>d</device></user-agent>"
ALONG = [
    AGENT,
    "<user-agent/>",
    "<bind xmlns='urn:xmpp:bind:0'/>",
    "<bind xmlns='urn:xmpp:bind:0'><tag>t</tag><enable xmlns='urn:xmpp:sm:3' resume='1'/></bind>",
    "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:carbons:2'/><inactive xmlns='urn:xmpp:csi:0'/></bind>",
    "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
    "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>",
    "<fast xmlns='urn:xmpp:fast:0' count='1' invalidate='1'/>",
    "<fast xmlns='urn:xmpp:fast:0'/>",
]
SPICE = [
    "<",
    ">",
    "/",
    "'",
    "=",
    "",
    "\0",
    "&amp;",
    "\u2028",
    "😀",
    "HT-SHA-256-ENDP",
    "PLAIN",
    "SCRAM-SHA-1",
    "urn:xmpp:sasl:2",
]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def request(chance: random.Random, token: bytes) -> str:
    along = "".join(chance.sample(ALONG, chance.randint(0, 4)))
    match chance.randrange(5):
        case 0:
            return authenticate("alice", along, "wrong")
        case 1:
            return f"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'>{along}</authenticate>"
        case 2:
            first = b64(b"n,,n=alice,r=" + chance.randbytes(6).hex().encode())
            return (
                "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'>"
                f"<initial-response>{first}</initial-response>{along}</authenticate>"
                f"<response xmlns='urn:xmpp:sasl:2'>{b64(chance.randbytes(40))}</response>"
            )
        case 3:
            return "<abort xmlns='urn:xmpp:sasl:2'/>"
        case _:
            proof = b"alice\0" + initiator(token[: chance.randint(0, len(token) - 1)], b"")
            return (
                "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'>"
                f"<initial-response>{b64(proof)}</initial-response>{along}</authenticate>"
            )


def mutated(chance: random.Random, text: str) -> str:
    for _ in range(chance.choice((0, 0, 1, 2, 5))):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(SPICE) + text[at + chance.randrange(4) :]
    return text


def token(play: Playbook) -> bytes:
    client = play.connect()
    client.sign_in("alice", AGENT + "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>")
    (told, _) = client.take()
    assert isinstance(told, Element)
    given = told.find("{urn:xmpp:fast:0}token")
    assert given is not None
    client.cut()
    return given.get("token", "").encode()


def succeeded(client: Client) -> bool:
    return any(isinstance(each, Element) and each.tag.endswith("}success") for each in client.take())


def test_nobody_gets_in_and_nothing_is_left() -> None:
    chance, end, rounds = random.Random(388), time.monotonic() + SECONDS, 0
    play = Playbook("a.example", ["alice"], login_attempts=8)
    secret = token(play)
    while time.monotonic() < end or rounds < 200:
        rogue = play.connect()
        play.clients = [rogue]
        rogue >> HEADER
        for _ in range(chance.randint(1, 5)):
            rogue >> mutated(chance, request(chance, secret))
        assert not succeeded(rogue)
        if not rogue.link.gone:
            rogue.cut()
        assert ALICE not in play.server.accounts.loaded
        rounds += 1


def test_whoever_gets_in_with_mutated_wishes_leaves_nothing_behind() -> None:
    chance, end, rounds = random.Random(386), time.monotonic() + SECONDS, 0
    play = Playbook("a.example", ["alice"])
    entered = 0
    while time.monotonic() < end or rounds < 200:
        client = play.connect()
        play.clients = [client]
        along = mutated(chance, "".join(chance.sample(ALONG, chance.randint(1, 4))))
        client >> HEADER + authenticate("alice", along)
        entered += succeeded(client)
        if not client.link.gone:
            client.cut()
        play.pass_time(301)
        assert ALICE not in play.server.accounts.loaded
        rounds += 1
    assert entered > rounds / 10, "most mutations break the XML; the others are tried"
