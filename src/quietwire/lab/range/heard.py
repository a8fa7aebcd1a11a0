"""What a stanza that came is: which kind of happening shows on this link, whose it is, and how long its text. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from quietwire.lab.range import stanzas as say

CARBONS = "urn:xmpp:carbons:2"
_FORWARD = "{urn:xmpp:forward:0}forwarded"
_CLIENT = "{jabber:client}"
_IGNORED = (f"{{{say.MAM}}}result", f"{{{say.MUC}#user}}x")
_ITEMS = f"{{{say.PUBSUB}#event}}event/{{{say.PUBSUB}#event}}items"


@dataclass(frozen=True, slots=True)
class Heard:
    """`peer`: the address it is from, or of whom the other device of this account wrote to; `carbon`: it is a copy."""

    kind: str
    peer: str
    id: str
    size: int = 0
    carbon: bool = False


def heard(stanza: Element) -> Heard | None:
    """None for what is no happening of its own: answers, nodes that servers tell of, errors."""
    if stanza.get("type") == "error":
        return None
    if stanza.tag == f"{_CLIENT}presence":
        return _presence(stanza)
    for direction, end in (("sent", "to"), ("received", "from")):
        copy = stanza.find(f"{{{CARBONS}}}{direction}/{_FORWARD}/{_CLIENT}message")
        if copy is not None:
            kind, size = _message(copy)
            return Heard(kind, copy.get(end, ""), copy.get("id", ""), size, True) if kind else None
    kind, size = _message(stanza)
    return Heard(kind, stanza.get("from", ""), stanza.get("id", ""), size) if kind else None


def _presence(stanza: Element) -> Heard | None:
    type = stanza.get("type", "")
    if type in ("subscribe", "subscribed"):
        kind = "subscribe"
    elif type in ("", "unavailable"):
        inside = stanza.find(f"{{{say.MUC}#user}}x")
        kind = "room-join" if inside is not None and not type else "presence"
    else:
        return None
    return Heard(kind, stanza.get("from", ""), stanza.get("id", ""))


def _message(stanza: Element) -> tuple[str, int]:
    if any(stanza.find(name) is not None for name in _IGNORED):
        return "", 0
    published = stanza.find(_ITEMS)
    if published is not None:
        title = published.find(".//{http://jabber.org/protocol/tune}title")
        return ("publish" if published.get("node") == say.TUNE_NODE else ""), len(
            (title is not None and title.text) or ""
        )
    payload = stanza.find(f"{{{say.AXOLOTL}}}encrypted/{{{say.AXOLOTL}}}payload")
    body = stanza.find(f"{_CLIENT}body")
    room = stanza.get("type") == "groupchat"
    if payload is not None or body is not None:
        if payload is not None:
            text = payload.text or ""
            size = len(text) * 3 // 4 - text.count("=")
        else:
            assert body is not None
            size = len(body.text or "")
        if room:
            return "room-message", size
        return ("correction" if stanza.find(f"{{{say.REPLACE}}}replace") is not None else "message"), size
    if stanza.find(f"{{{say.STATES}}}composing") is not None:
        return ("room-typing" if room else "typing"), 0
    for name, namespace, kind in (
        ("received", say.RECEIPTS, "receipt"),
        ("displayed", say.MARKERS, "marker"),
        ("reactions", say.REACTIONS, "reaction"),
    ):
        if stanza.find(f"{{{namespace}}}{name}") is not None:
            return kind, 0
    return "", 0
