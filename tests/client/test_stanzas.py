from __future__ import annotations

import pytest

from quietwire.client import stanzas
from quietwire.core import ns
from quietwire.core.xml import Element, build, parse

ME, BOB = "me@a.example", "bob@b.example"


def xml(text: str) -> Element:
    return parse(text.encode(), ns.CLIENT)


def carbon(direction: str, sender: str, inner: str) -> Element:
    return xml(
        f"<message from='{sender}' to='{ME}/x'><{direction} xmlns='urn:xmpp:carbons:2'>"
        f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></{direction}></message>"
    )


def test_nothing_in_the_clear_but_what_routes() -> None:
    encrypted = build("{urn:xmpp:omemo:2}encrypted")
    written = stanzas.outgoing(BOB, "1", encrypted)
    assert written == (
        b"<message to='bob@b.example' type='chat' id='1'><encrypted xmlns='urn:xmpp:omemo:2'/>"
        b"<store xmlns='urn:xmpp:hints'/></message>"
    )


def test_a_message_without_a_body_is_seen() -> None:
    # slixmpp has no event for it.
    message = stanzas.incoming(
        xml(f"<message from='{BOB}/r' id='1'><encrypted xmlns='urn:xmpp:omemo:2'/></message>"), ME
    )
    assert message is not None
    assert message.encrypted is not None
    assert (message.sender, message.to, message.id, message.own, message.body) == (BOB, ME, "1", False, None)


def test_carbons_of_our_own_account() -> None:
    inner = f"<message xmlns='jabber:client' from='{ME}/other' to='{BOB}' id='1'><body>x</body></message>"
    sent = stanzas.incoming(carbon("sent", ME, inner), ME)
    assert sent is not None
    assert (sent.sender, sent.to, sent.own, sent.body) == (ME, BOB, True, "x")
    inner = f"<message xmlns='jabber:client' from='{BOB}/r' to='{ME}/other' id='1'/>"
    received = stanzas.incoming(carbon("received", ME, inner), ME)
    assert received is not None
    assert (received.sender, received.own) == (BOB, False)


@pytest.mark.parametrize("sender", [BOB, "a.example", "me@a.example.evil.example", f"{ME}x"])
def test_carbons_of_others_are_forged(sender: str) -> None:
    inner = f"<message xmlns='jabber:client' from='{BOB}/r' to='{ME}'><body>x</body></message>"
    assert stanzas.incoming(carbon("received", sender, inner), ME) is None


def test_a_carbon_of_nothing_is_dropped() -> None:
    assert stanzas.incoming(carbon("sent", ME, ""), ME) is None


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("2026-01-01T00:00:01Z", 1767225601.0),
        ("2026-01-01T01:00:01.500+01:00", 1767225601.5),
        ("2026-01-01T00:00:01", None),
        ("then", None),
    ],
)
def test_delays(stamp: str, seconds: float | None) -> None:
    stanza = xml(f"<message><delay xmlns='urn:xmpp:delay' stamp='{stamp}'/></message>")
    assert stanzas.delay(stanza) == seconds


def test_subscriptions() -> None:
    assert stanzas.subscription(BOB, "subscribe") == b"<presence to='bob@b.example' type='subscribe'/>"
