"""Bytes that were a stream once: mutated, cut and fed, for a bounded time (longer with QUIETWIRE_FUZZ_SECONDS)."""

from __future__ import annotations

import os
import random
import time
from itertools import pairwise

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, Event, Limits, StreamParser
from quietwire.core.stanza import Child
from quietwire.core.xml import parse
from quietwire.shaping.frames import MARK, Unpacker, pack
from quietwire.testing.playbook import Playbook

SECONDS = float(os.environ.get("QUIETWIRE_FUZZ_SECONDS", "3"))
HEAD = f"<stream:stream xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' xmlns:x='urn:x' to='a.example' version='1.0'>"
SEEDS = [
    HEAD,
    "<message to='bob@a.example' type='chat' id='1'><body>hi &lt;there&gt;</body><x:y/></message>",
    "<iq type='get' id='2'><query xmlns='jabber:iq:roster'/></iq>",
    "<iq type='set' id='3'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>",
    "<iq type='set' id='4'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'/></pubsub></iq>",
    "<presence><priority>1</priority><show>away</show></presence>",
    "<presence to='bob@a.example' type='subscribe'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<a xmlns='urn:xmpp:sm:3' h='1'/>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1hLHI9Yg==</auth>",
    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>Yz1iaXdzLHI9Yg==</response>",
    "</stream:stream>", "text", "<![CDATA[text]]>",
    "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "&#x0;", "&lt;", "'", '"', "/>", "\u2028", "\U0010ffff",
]  # fmt: skip


def mutated(chance: random.Random) -> bytes:
    return changed("".join(chance.choices(SEEDS, k=chance.randint(1, 8))).encode(), chance)


def framed(chance: random.Random) -> bytes:
    """Stanzas, some of them in frames, and what is none."""
    parts = [text.encode() for text in chance.choices(SEEDS[1:], k=chance.randint(1, 6))]
    parts = [part if chance.random() < 0.3 else pack(part) for part in parts]
    parts += [pack(mutated(chance)) for _ in range(chance.randint(0, 2))]
    parts += [MARK + chance.randbytes(chance.randint(0, 20)) for _ in range(chance.randint(0, 1))]
    chance.shuffle(parts)
    data = b" ".join(parts)
    return changed(data, chance) if chance.random() < 0.7 else data


def changed(text: bytes, chance: random.Random) -> bytes:
    data = bytearray(text)
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(3):
            case 0:
                data[at : at + 1] = bytes((chance.randrange(256),))
            case 1:
                del data[at : at + chance.randint(1, 9)]
            case _:
                data[at:at] = chance.choice(SEEDS).encode()[: chance.randint(1, 40)]
    return bytes(data)


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    cuts = sorted({0, len(data), *(chance.randrange(len(data) + 1) for _ in range(4))})
    return [data[a:b] for a, b in pairwise(cuts)]


def run(pieces: list[bytes]) -> list[object]:
    parser = StreamParser(Limits(stanza_bytes=400, depth=6, attributes=5))
    events: list[Event] = [event for piece in pieces for event in parser.feed(piece)]
    out: list[object] = []
    for event in events:
        if isinstance(event, Child):
            # What is forwarded must be read again as what it was.
            assert tuple(each.tag for each in parse(event.to_bytes(), "jabber:client")) == event.names or event.names
            out.append((event.kind, event.attributes, event.inner, event.names))
        else:
            out.append(event.error.condition if isinstance(event, Broken) else event)
    return out


def same(cut: list[object], whole: list[object]) -> bool:
    """Of a stanza that is both too big and malformed, which is said depends on the cut; nothing else does."""
    too_big = "policy-violation"
    if cut and whole and too_big in (cut[-1], whole[-1]) and isinstance(cut[-1], str) and isinstance(whole[-1], str):
        return cut[:-1] == whole[:-1]
    return cut == whole


def test_the_parser() -> None:
    chance, end, rounds = random.Random(6120), time.monotonic() + SECONDS, 0
    while time.monotonic() < end or rounds < 200:
        data = HEAD.encode() + mutated(chance)
        assert same(run(cut(data, chance)), run([data])), data
        rounds += 1


def unpacked(pieces: list[bytes]) -> tuple[bytes, list[bytes], str]:
    """-> text, what was in frames, and what was wrong."""
    unpacker, text, frames = Unpacker(400), b"", []
    try:
        for data in pieces:
            for piece, packed in unpacker.feed(data):
                text += piece
                if packed:
                    assert len(piece) <= 400
                    frames.append(piece)
    except StreamError as error:
        return text, frames, error.condition
    return text, frames, ""


def test_frames() -> None:
    chance, end, rounds = random.Random(1951), time.monotonic() + SECONDS / 2, 0
    while time.monotonic() < end or rounds < 200:
        data = framed(chance)
        assert unpacked(cut(data, chance)) == unpacked([data]), data
        rounds += 1


def test_a_client_stream() -> None:
    """Whatever a client writes, before or after login: no fault (the playbook raises them), nobody else notices."""
    chance, end, rounds = random.Random(6121), time.monotonic() + SECONDS, 0
    play = Playbook("a.example", ["alice", "bob"])
    bob = play.client("bob/desk", "<presence/>")
    while time.monotonic() < end or rounds < 100:
        rogue = play.client("alice/rogue") if chance.random() < 0.7 else play.connect()
        packs = rogue.stream.bound is not None and chance.random() < 0.4
        if packs:
            rogue.stream.unpack()
        for piece in cut(framed(chance) if packs else mutated(chance), chance):
            rogue >> piece
        if not rogue.link.gone:
            rogue.cut()
        play.pass_time(400)
        play.clients = [bob]
        bob.take()
        bob >> "<iq type='get' id='p' to='a.example'><ping xmlns='urn:xmpp:ping'/></iq>"
        bob << "<iq type='result' id='p' from='a.example' to='bob@a.example/desk'/>"
        rounds += 1
