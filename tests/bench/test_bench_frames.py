from __future__ import annotations

import random

from frames import SMALLEST, Recorder, Seen, arguments, costs, figures, simulated, texts

from quietwire.core import ns
from quietwire.lab.correlation.timings import default
from quietwire.shaping.frames import pack

HEAD = b"<stream:stream xmlns='jabber:client' xmlns:stream='%b' version='1.0'>" % ns.STREAMS.encode()


def message(keys: int, extra: str = "") -> bytes:
    key = "<key rid='1'>ChBZHs</key>"
    return (
        f"<message to='ben@b.example' type='chat' id='1'><encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'>"
        f"<keys jid='ben@b.example'>{key * keys}</keys></header><payload>siFo</payload></encrypted>{extra}</message>"
    ).encode()


def test_notes_of_what_a_link_carries() -> None:
    recorder, link = Recorder(), object()
    recorder.took(link, "up", HEAD)
    recorder.took(link, "up", message(1))  # keys are being exchanged
    recorder.kind = "message"
    recorder.took(link, "down", HEAD)
    for cut in (message(2)[:50], message(2)[50:] + b"<r xmlns='urn:xmpp:sm:3'/> ", message(1, "<forwarded/>")):
        recorder.took(link, "up", cut)
    recorder.took(link, "down", message(1))
    recorder.took(link, "down", message(1).replace(b"<payload>siFo</payload>", b""))
    recorder.took(link, "down", message(1).replace(b"rid='1'", b"rid='1' kex='true'"))
    assert recorder.seen == [Seen("message", "up", 2, message(2)), Seen("message", "down", 1, message(1))]


def test_the_figures_are_of_what_was_seen() -> None:
    short, long = message(1), message(1, "<store xmlns='urn:xmpp:hints'/>")
    (line,) = figures([Seen("message", "up", 1, data) for data in (short, long, long)])
    assert (line["number"], line["plain"], line["packed"]) == (3, len(long), len(pack(long)))
    assert (line["least"], line["most"]) == tuple(sorted((len(pack(short)), len(pack(long)))))
    assert all(value > 0 for value in costs(short).values())


def test_the_simulation_gets_senders_links_and_what_comes_on_top() -> None:
    small, grown = message(1), message(1, "<stanza-id xmlns='urn:xmpp:sid:0' by='ben@b.example' id='72'/>")
    kinds = ("message", "receipts and markers", "typing")
    seen = [Seen(kind, way, 1, data) for kind in kinds for way, data in (("up", small), ("down", grown))]
    found = simulated([*seen, Seen("message", "up", 2, message(2))], default())
    for kind in ("message", "receipt", "typing"):
        assert set(found.shrunk[kind].points) == {float(len(pack(small)))}
        assert set(found.brought[kind].points) == {float(len(pack(grown)) - len(pack(small)))}
    assert found.up == default().up
    assert found.made == simulated(seen, found).made
    assert found.made.endswith(", by tests/bench/frames.py")


def test_texts_fit_the_smallest_envelope() -> None:
    found = texts(200, random.Random(2))
    assert len(found) == 200
    assert all(0 < len(text) <= SMALLEST for text in found)
    assert len({len(text) for text in found}) > 20


def test_by_default() -> None:
    options = arguments().parse_args([])
    assert (options.rounds, options.timings) == (3, None)
