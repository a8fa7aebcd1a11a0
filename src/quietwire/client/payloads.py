"""What goes into an envelope, and what it means: elements to write, events to read. Pure.

XEP-0085 chat states, 0184 receipts, 0308 corrections, 0333 markers, 0424 retractions, 0444 reactions, 0447 files, 0461
replies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args
from xml.etree.ElementTree import Element

from quietwire.client import files, gathered
from quietwire.client.events import (
    ChatState,
    ChatStateName,
    Correction,
    Displayed,
    Encrypted,
    File,
    Message,
    Reaction,
    Receipt,
    Reply,
    Retraction,
)
from quietwire.client.trust import Trust
from quietwire.core import ns
from quietwire.core.xml import build, printable

CHATSTATES: Final = "http://jabber.org/protocol/chatstates"
RECEIPTS: Final = "urn:xmpp:receipts"
MARKERS: Final = "urn:xmpp:chat-markers:0"
REACTIONS: Final = "urn:xmpp:reactions:0"
CORRECT: Final = "urn:xmpp:message-correct:0"
REPLY: Final = "urn:xmpp:reply:0"
RETRACT: Final = "urn:xmpp:message-retract:1"

STATES: Final = frozenset(get_args(ChatStateName))

MAX_REACTIONS: Final = 32
"""More than anyone means; the rest of a longer list is dropped."""

MAX_EMOJI: Final = 64
"""Characters. The longest sequences that Unicode lists have ten; the room is for those to come."""


@dataclass(frozen=True)
class Origin:
    """What is known of a decrypted message before its content is read: the common fields of `Encrypted`."""

    sender: str
    peer: str
    device: int
    trust: Trust
    id: str
    stamp: float


def _body(text: str) -> Element:
    return build(f"{{{ns.CLIENT}}}body", text=printable(text))


def _requests() -> list[Element]:
    return [build(f"{{{RECEIPTS}}}request"), build(f"{{{MARKERS}}}markable")]


def asks(content: Iterable[Element]) -> bool:
    """For a receipt and a marker, in elements that everybody reads."""
    return {child.tag for child in content} >= {child.tag for child in _requests()}


def unasked(content: Iterable[Element]) -> list[Element]:
    """Without these."""
    requests = {child.tag for child in _requests()}
    return [child for child in content if child.tag not in requests]


def text(body: str) -> list[Element]:
    """A message that asks for a receipt and a displayed marker."""
    return [_body(body), *_requests()]


def chat_state(state: ChatStateName) -> list[Element]:
    if state not in STATES:
        raise ValueError("no such chat state")
    return [build(f"{{{CHATSTATES}}}{state}")]


def receipt(ref: str) -> list[Element]:
    return [build(f"{{{RECEIPTS}}}received", {"id": ref})]


def displayed(ref: str) -> list[Element]:
    return [build(f"{{{MARKERS}}}displayed", {"id": ref})]


def reaction(ref: str, emojis: Sequence[str]) -> list[Element]:
    each = [build(f"{{{REACTIONS}}}reaction", text=printable(emoji)) for emoji in dict.fromkeys(emojis)]
    return [build(f"{{{REACTIONS}}}reactions", {"id": ref}, *each)]


def correction(ref: str, body: str) -> list[Element]:
    return [_body(body), build(f"{{{CORRECT}}}replace", {"id": ref}), *_requests()]


def reply(ref: str, author: str, body: str) -> list[Element]:
    return [_body(body), build(f"{{{REPLY}}}reply", {"to": author, "id": ref}), *_requests()]


def retraction(ref: str) -> list[Element]:
    return [build(f"{{{RETRACT}}}retract", {"id": ref})]


def file(shared: files.Shared) -> list[Element]:
    """No body: a client that reads no files would show one that says so."""
    return [*files.describe(shared), *_requests()]


def read(content: Iterable[Element], origin: Origin) -> Encrypted | None:
    """What `content` says but for receipts and markers; None if there is nothing in it that we know.

    Of two kinds in one envelope the more specific wins: a correction, then a reply, are messages too.
    """
    by_tag = {child.tag: child for child in reversed(list(content))}
    common: dict[str, Any] = vars(origin)
    if (element := by_tag.get(f"{{{RETRACT}}}retract")) is not None and (ref := element.get("id")):
        return Retraction(**common, ref=ref)
    if (element := by_tag.get(f"{{{REACTIONS}}}reactions")) is not None and (ref := element.get("id")):
        return Reaction(**common, ref=ref, emojis=_emojis(element))
    if f"{{{files.SHARING}}}file-sharing" in by_tag and (shared := files.understand(by_tag.values())) is not None:
        return File(**common, **vars(shared))
    body = by_tag.get(f"{{{ns.CLIENT}}}body")
    if body is not None:
        said = body.text or ""
        if (element := by_tag.get(f"{{{CORRECT}}}replace")) is not None and (ref := element.get("id")):
            return Correction(**common, ref=ref, text=said)
        if (element := by_tag.get(f"{{{REPLY}}}reply")) is not None and (ref := element.get("id")):
            return Reply(**common, ref=ref, text=said)
        asked = gathered.asks(by_tag.values())
        return Message(
            **common,
            text=said,
            wants_receipt=asked or f"{{{RECEIPTS}}}request" in by_tag,
            markable=asked or f"{{{MARKERS}}}markable" in by_tag,
        )
    for name in sorted(STATES):
        if f"{{{CHATSTATES}}}{name}" in by_tag:
            return ChatState(**common, state=cast(ChatStateName, name))
    return None


def read_all(content: Iterable[Element], origin: Origin) -> list[Encrypted]:
    """Every event in an envelope: receipts, then markers, of any number of messages, then what `read` finds."""
    children = list(content)
    common: dict[str, Any] = vars(origin)
    gathers = gathered.read(children)
    received = [*_refs(children, f"{{{RECEIPTS}}}received"), *(each.ref for each in gathers if each.received)]
    displayed = [*_refs(children, f"{{{MARKERS}}}displayed"), *(each.ref for each in gathers if each.displayed)]
    event = read(children, origin)
    return [
        *(Receipt(**common, ref=ref) for ref in dict.fromkeys(received)),
        *(Displayed(**common, ref=ref) for ref in dict.fromkeys(displayed)),
        *([] if event is None else [event]),
    ]


def _refs(children: Iterable[Element], tag: str) -> list[str]:
    """XEP-0184 means one receipt a message; a few clients may write more."""
    found = (child.get("id") for child in children if child.tag == tag)
    return [ref for ref in found if ref][: gathered.MAX_READ]


def _emojis(element: Element) -> tuple[str, ...]:
    found = (child.text or "" for child in element.findall(f"{{{REACTIONS}}}reaction"))
    kept = dict.fromkeys(emoji for emoji in found if 0 < len(emoji) <= MAX_EMOJI)
    return tuple(kept)[:MAX_REACTIONS]
