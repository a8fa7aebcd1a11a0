"""What arrives, told apart: carbons, notifications, encrypted and plain messages, presence. Pure.

Servers put strange things into the places that clients trust: a carbon counts only from our own account (XEP-0280
§Security Considerations), and what should have been inside the envelope is not read outside it (XEP-0420).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.client.omemo_xml import NS as OMEMO
from quietwire.core import ns
from quietwire.core.xml import build, serialise

CARBONS: Final = "urn:xmpp:carbons:2"
FORWARD: Final = "urn:xmpp:forward:0"
HINTS: Final = "urn:xmpp:hints"

ENABLE_CARBONS: Final = build(f"{{{CARBONS}}}enable")


@dataclass(frozen=True)
class Incoming:
    """A message, out of its carbon if it was in one."""

    element: Element
    sender: str
    """Bare JID; our own if the server left `from` out."""
    to: str
    """Bare JID."""
    id: str
    own: bool
    """Sent by our own account: a copy of what another device said."""
    delayed: float | None
    """When the server says it was sent, for messages that waited."""

    @property
    def encrypted(self) -> Element | None:
        return self.element.find(f"{{{OMEMO}}}encrypted")

    @property
    def body(self) -> str | None:
        return self.element.findtext(f"{{{ns.CLIENT}}}body")


def incoming(message: Element, own: str) -> Incoming | None:
    """None for what must be dropped: a carbon that somebody else made up, or one without a message."""
    outer = bare(message.get("from")) or own
    for direction in ("received", "sent"):
        wrapper = message.find(f"{{{CARBONS}}}{direction}")
        if wrapper is None:
            continue
        inner = wrapper.find(f"{{{FORWARD}}}forwarded/{{{ns.CLIENT}}}message")
        if outer != own or inner is None:
            return None
        return _incoming(inner, own, delay(message) or delay(inner))
    return _incoming(message, own, delay(message))


def _incoming(message: Element, own: str, delayed: float | None) -> Incoming:
    sender = bare(message.get("from")) or own
    to = bare(message.get("to")) or own
    return Incoming(message, sender, to, message.get("id", ""), sender == own, delayed)


def outgoing(to: str, id: str, payload: Element) -> bytes:
    """A chat message with nothing in the clear but what routes it.

    The hint is ``store`` (XEP-0334) whatever is inside: ``no-store`` for what need not be kept would tell the servers
    which messages are typing notices, and its length would tell the networks.
    """
    message = build(
        f"{{{ns.CLIENT}}}message",
        {"to": to, "type": "chat", "id": id},
        payload,
        build(f"{{{HINTS}}}store"),
    )
    return serialise(message, ns.CLIENT)


def subscription(to: str, type: str) -> bytes:
    return serialise(build(f"{{{ns.CLIENT}}}presence", {"to": to, "type": type}), ns.CLIENT)


def bare(jid: str | None) -> str:
    """Without the resource. The server has prepared what it stamps; empty for nothing."""
    return (jid or "").partition("/")[0]


def delay(stanza: Element) -> float | None:
    """XEP-0203, seconds since the epoch; None if there is none, or it is malformed."""
    element = stanza.find(f"{{{ns.DELAY}}}delay")
    try:
        moment = None if element is None else datetime.fromisoformat(element.get("stamp", ""))
    except ValueError:
        return None
    return None if moment is None or moment.tzinfo is None else moment.timestamp()


def stanza_error(stanza: Element) -> str:
    """The condition of an error stanza (RFC 6120 §8.3.3)."""
    error = stanza.find(f"{{{ns.CLIENT}}}error")
    for child in error if error is not None else ():
        space, _, name = child.tag[1:].partition("}")
        if space == ns.STANZAS and name != "text":
            return name
    return "undefined-condition"
