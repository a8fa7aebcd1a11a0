"""XEP-0420 0.5.0, Stanza Content Encryption, with the OMEMO profile of XEP-0384 0.9.1. Pure.

Envelopes are padded to size classes: 0420's "fixed minimum, then 0 to 200 characters" lets an observer average the
random part away, and a receiver must accept any length.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from quietwire.client.errors import ClientError
from quietwire.core.xml import build, namespace, serialise

NS: Final = "urn:xmpp:sce:1"
NS_SID: Final = "urn:xmpp:sid:0"
NS_HINTS: Final = "urn:xmpp:hints"

CLASSES: Final = (512, 1024, 2048, 4096, 8192, 16384)
"""Bytes of ciphertext; above, multiples of the largest. A chat state, receipt, marker, reaction and a text of up to
about 100 characters with its requests are all in the smallest."""

MAX_ENVELOPE: Final = 98304
"""Bytes. In base64 and with keys for some 100 devices it stays under 256 KiB, the usual limit of a stanza."""

MAX_DEPTH: Final = 32
"""Nothing that goes inside is deeper than five; forwarded stanzas may come near ten."""

FORBIDDEN: Final = frozenset({NS_HINTS, "http://jabber.org/protocol/address", "urn:xmpp:eme:0", NS})
"""Server-processed elements: never written inside, ignored there (0420 §Server-processed Elements)."""


class EnvelopeError(ClientError):
    """The plaintext is no envelope, or not one of this sender: the message is shown as forged or broken."""


@dataclass(frozen=True)
class Envelope:
    content: tuple[Element, ...]
    id: str | None
    """Origin-id (XEP-0359) from inside: the one outside is the server's to change."""
    stamp: float | None
    """Seconds since the epoch, by the sender's clock."""


def padded_size(length: int) -> int:
    """Bytes the plaintext is padded to: one less than its class, since CBC adds one byte at least.

    Raises EnvelopeError above MAX_ENVELOPE.
    """
    for size in CLASSES:
        if length < size:
            return size - 1
    size = -(-(length + 1) // CLASSES[-1]) * CLASSES[-1]
    if size > MAX_ENVELOPE:
        raise EnvelopeError("the message is too long")
    return size - 1


def seal(content: Sequence[Element], *, sender: str, id: str, stamp: float, random: Callable[[int], bytes]) -> bytes:
    """The envelope as UTF-8, its length that of a size class. `sender` is our bare JID."""
    shortest = len(_envelope(content, "x", sender=sender, id=id, stamp=stamp))
    missing = padded_size(shortest) - shortest + 1
    padding = base64.urlsafe_b64encode(random(missing)).decode("ascii")[:missing]
    return _envelope(content, padding, sender=sender, id=id, stamp=stamp)


def fits(content: Sequence[Element], more: Sequence[Element], *, sender: str, id: str, stamp: float) -> bool:
    """Whether `more` changes nothing of the length of `content`'s envelope. Raises EnvelopeError."""
    length = len(_envelope(content, "x", sender=sender, id=id, stamp=stamp))
    return length + sum(len(serialise(element, NS)) for element in more) <= padded_size(length)


def _envelope(content: Sequence[Element], padding: str, *, sender: str, id: str, stamp: float) -> bytes:
    envelope = build(
        f"{{{NS}}}envelope",
        None,
        build(f"{{{NS}}}content", None, *content, build(f"{{{NS_SID}}}origin-id", {"id": id})),
        build(f"{{{NS}}}rpad", text=padding),
        build(f"{{{NS}}}time", {"stamp": format_time(stamp)}),
        build(f"{{{NS}}}from", {"jid": sender}),
    )
    return serialise(envelope, "")


def unseal(data: bytes, *, sender: str) -> Envelope:
    """What an envelope holds. `sender` is the bare JID that the stanza came from.

    Raises EnvelopeError for bad XML, another root, a missing rpad (MUST), or a `from` that is not `sender`.
    """
    root = _parse(data)
    if root.tag != f"{{{NS}}}envelope":
        raise EnvelopeError("the decrypted content is no envelope")
    content = root.find(f"{{{NS}}}content")
    if content is None or root.find(f"{{{NS}}}rpad") is None:
        raise EnvelopeError("the envelope is incomplete")
    author = root.find(f"{{{NS}}}from")
    if author is not None and author.get("jid") != sender:
        raise EnvelopeError("the envelope names another sender")
    time = root.find(f"{{{NS}}}time")
    stamp = None if time is None else parse_time(time.get("stamp", ""))
    origin = content.find(f"{{{NS_SID}}}origin-id")
    kept = tuple(child for child in content if namespace(child.tag) not in FORBIDDEN and namespace(child.tag) != NS_SID)
    return Envelope(kept, None if origin is None else origin.get("id"), stamp)


def format_time(stamp: float) -> str:
    """XEP-0082, UTC, milliseconds."""
    return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """Raises EnvelopeError for what XEP-0082 does not allow."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise EnvelopeError("the envelope's time is malformed") from None
    if moment.tzinfo is None:
        raise EnvelopeError("the envelope's time is malformed")
    return moment.timestamp()


def _refuse(*_: object) -> NoReturn:
    raise EnvelopeError("the envelope holds XML that XMPP forbids")


def _parse(data: bytes) -> Element:
    # Nothing has validated these bytes before us, so the restrictions of RFC 6120 §11.1 are enforced here.
    if len(data) > MAX_ENVELOPE:
        raise EnvelopeError("the envelope is too long")
    builder = TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise EnvelopeError("the envelope is too deep")
        builder.start(_clark(name), {_clark(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_clark(name))

    parser = expat.ParserCreate("UTF-8", "}")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.CommentHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise EnvelopeError("the envelope is not well-formed") from None
    return builder.close()


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name
