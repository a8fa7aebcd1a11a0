"""Two streams joined by a helper that ends TLS between them: whole first-level children pass, in order. Pure.

What is put on either side ends where a child ends, so that spaces may stand there (RFC 6120 §11.7). Payloads pass as
they came; a start tag is written anew. From the features goes what would bind a client to a channel that is not its
server's, or begin what has begun: mechanisms with -PLUS and bound tokens, XEP-0440, STARTTLS, compression. From a
request for the shape of a link goes the offer of frames, which would be read here as no XML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.core import ns, xml
from quietwire.core.errors import StreamError
from quietwire.core.framing import Broken, Event, Limits, StreamClose, StreamOpen, StreamParser
from quietwire.core.login import SASL2, SPACES, Login, best, failure
from quietwire.core.sasl.failure import SaslFailure
from quietwire.core.stanza import Child, Nonza, Stanza

UP: Final = Limits()
DOWN: Final = Limits(stanza_bytes=8 << 20)
"""What a server sends is bounded by what it holds: a roster of 50,000 contacts is one child of 8 MB."""
STRANGER_BYTES: Final = 65_536
"""From a client that has not logged in: as many as Quietwire itself takes."""
CLOSING: Final = b"</stream:stream>"
_LINK: Final = "{urn:quietwire:links:0}link"
_FEATURES: Final = f"{{{ns.STREAMS}}}features"
_SUCCESS: Final = f"{{{ns.SASL}}}success"
_CB: Final = "urn:xmpp:sasl-cb:0"
_FAST: Final = "urn:xmpp:fast:0"
_UNWANTED: Final = frozenset(
    (
        f"{{{ns.TLS}}}starttls",
        f"{{{_CB}}}sasl-channel-binding",
        "{http://jabber.org/features/compress}compression",
    )
)


def header(opened: StreamOpen) -> bytes:
    """A stream header with these attributes, without a declaration: spaces may come before it."""
    attributes = "".join(xml.attr(name, value) for name, value in opened.attributes.items())
    return f"<stream:stream xmlns='{xml.escape(opened.content)}' xmlns:stream='{ns.STREAMS}'{attributes}>".encode()


def greeting(*, to: str = "", from_: str = "", id: str = "") -> bytes:
    """A header of our own; what is '' is left out."""
    given = {name: value for name, value in (("to", to), ("from", from_), ("id", id)) if value}
    return header(StreamOpen({**given, "version": "1.0"}, ns.CLIENT))


def addressed(opened: StreamOpen, domain: str) -> bool:
    """Whether a client's header names the domain; '' for one that is behind it, whichever."""
    return not domain or opened.attributes.get("to", "").lower() == domain


def error(failed: StreamError) -> bytes:
    """A stream error and the end of the stream."""
    text = f"<text xmlns='{ns.STREAM_ERRORS}'>{xml.escape(failed.text)}</text>" if failed.text else ""
    return f"<stream:error><{failed.condition} xmlns='{ns.STREAM_ERRORS}'/>{text}</stream:error>".encode() + CLOSING


def passed(child: Child) -> bytes:
    """A child as it goes on the other stream."""
    if isinstance(child, Stanza):
        start = "".join(xml.attr(name, value) for name, value in child.attributes.items())
        if not child.inner:
            return f"<{child.kind}{start}/>".encode()
        return b"<%b>%b</%b>" % ((child.kind + start).encode(), child.inner, child.kind.encode())
    if xml.namespace(child.kind) == ns.STREAMS:
        return _of_the_stream(child.tree)
    return child.to_bytes()


def without_frames(child: Child) -> Child:
    """A child from a client, without its offer to read frames (docs/protocols/links.md)."""
    if _LINK not in child.names or not isinstance(child, Stanza):
        return child
    inner = b"".join(xml.serialise(_unframed(one), ns.CLIENT) for one in child.tree)
    return type(child)(child.attributes, inner, child.names)


def _unframed(element: Element) -> Element:
    if element.tag != _LINK:
        return element
    kept = {name: value for name, value in element.attrib.items() if name != "frames"}
    return xml.build(element.tag, kept, *element, text=element.text)


def _of_the_stream(element: Element) -> bytes:
    """``<stream:features/>``, ``<stream:error/>``: with the prefix that some clients look for."""
    name = xml.local_name(element.tag).encode()
    return b"<stream:%b>%b</stream:%b>" % (name, b"".join(xml.serialise(one, ns.CLIENT) for one in element), name)


def binds(mechanism: str) -> bool:
    """Whether a mechanism is bound to the channel, or to what TLS says of its ends."""
    return mechanism.endswith("-PLUS") or mechanism == "EXTERNAL" or _bound_token(mechanism)


def _bound_token(mechanism: str) -> bool:
    return mechanism.startswith("HT-") and not mechanism.endswith("-NONE")


def mechanisms(features: Element) -> list[str]:
    """What the features offer for a login, of both protocols, in order."""
    lists = (features.find(f"{{{ns.SASL}}}mechanisms"), features.find(f"{{{SASL2}}}authentication"))
    found = [one.text or "" for part in lists if part is not None for one in part if _names_one(one)]
    return list(dict.fromkeys(found))


def channel_types(features: Element) -> frozenset[str]:
    """The types of channel binding that the server takes (XEP-0440)."""
    return frozenset(one.get("type", "") for one in features.iter(f"{{{_CB}}}channel-binding"))


def _names_one(element: Element) -> bool:
    return xml.local_name(element.tag) == "mechanism"


def without_bindings(features: Element, taken: bool) -> Element:
    """The features as they pass. `taken`: the helper logs in by itself, and offers PLAIN instead of SCRAM."""
    kept = xml.build(features.tag, features.attrib)
    kept.extend(_stripped(part, taken) for part in features if part.tag not in _UNWANTED)
    return kept


def _stripped(element: Element, taken: bool) -> Element:
    kept = Element(element.tag, element.attrib)
    kept.text, kept.tail = element.text, element.tail
    offers = any(map(_names_one, element))
    plain = False
    for part in element:
        if part.tag in _UNWANTED:
            continue
        name = part.text or ""
        if _names_one(part):
            if taken and (name == "PLAIN" or name.startswith("SCRAM-")):
                if not plain:
                    kept.append(xml.build(part.tag, text="PLAIN"))
                plain = True
            elif not binds(name):
                kept.append(part)
            continue
        stripped = _stripped(part, taken)
        if part.tag != f"{{{_FAST}}}fast" or any(map(_names_one, stripped)):
            kept.append(stripped)
    if offers and element.tag == f"{{{_FAST}}}fast":
        kept.attrib.pop("tls-0rtt", None)
    return kept


class Relay:
    """The two streams of one client, from the moment when both are secure.

    `near(data)` writes to the client, `far(data)` to its server. `up` and `down` take what came from them and raise
    StreamError for what cannot pass: the client is told, and both streams end.
    """

    def __init__(
        self,
        domain: str,
        near: Callable[[bytes], None],
        far: Callable[[bytes], None],
        randomness: Callable[[int], bytes],
        *,
        bindings: Mapping[str, bytes],
        logs_in: bool,
        spaces: bool,
    ) -> None:
        """`domain`: the server's, '' if it has several. `bindings`: of the link to the server, the best first.
        `logs_in`: takes a login upon itself where the server offers to bind it. `spaces`: a client's lone spaces, by
        which it keeps its link alive, pass as well."""
        self._domain = domain
        self._near = near
        self._far = far
        self._randomness = randomness
        self._bindings = bindings
        self._logs_in = logs_in
        self._spaces = spaces
        self._from_near = StreamParser(UP)
        self._from_far = StreamParser(DOWN)
        self._login: Login | None = None
        self._heard = 0
        self.known = False
        """The client has logged in."""
        self.near_closed = False
        self.far_closed = False

    def up(self, data: bytes) -> None:
        """From the client."""
        if not self.known:
            self._heard += len(data)
            if self._heard > STRANGER_BYTES:
                raise StreamError("policy-violation", "too much before login")
        events = self._from_near.feed(data)
        if not events and self._spaces and self._from_near.idle and not data.strip():
            self._far(b" ")
        for event in events:
            self._upward(event)

    def _upward(self, event: Event) -> None:
        if isinstance(event, StreamOpen):
            if not addressed(event, self._domain):
                raise StreamError("host-unknown")
            self._far(header(event))
        elif isinstance(event, StreamClose):
            self.near_closed = True
            self._far(CLOSING)
        elif isinstance(event, Broken):
            raise event.error
        elif isinstance(event, Nonza) and self._login is not None and not self.known:
            self._ask(event, self._login)
        else:
            self._far(passed(without_frames(event)))

    def _ask(self, request: Nonza, login: Login) -> None:
        try:
            asked = login.request(request)
        except SaslFailure as failed:
            self._near(failure(xml.namespace(request.kind), failed.condition))
            return
        self._far(passed(request) if asked is None else xml.serialise(asked, ns.CLIENT))

    def down(self, data: bytes) -> None:
        """From the server."""
        for event in self._from_far.feed(data):
            if isinstance(event, StreamOpen):
                self._near(header(event))
            elif isinstance(event, StreamClose):
                self.far_closed = True
                self._near(CLOSING)
            elif isinstance(event, Broken):
                raise StreamError("undefined-condition", f"the server's stream: {event.error.condition}")
            elif isinstance(event, Nonza):
                self._downward(event)
            else:
                self._near(passed(event))

    def _downward(self, child: Nonza) -> None:
        if child.kind == _FEATURES:
            self._near(self._features(child.tree))
            return
        if self.known or xml.namespace(child.kind) not in SPACES:
            self._near(passed(child))
            return
        if self._login is not None:
            try:
                answer = self._login.challenge(child)
            except SaslFailure as failed:
                raise StreamError("not-authorized", f"the server's challenge: {failed.condition}") from None
            if answer is not None:
                self._far(xml.serialise(answer, ns.CLIENT))
                return
            told = self._login.end(child)
            self._near(passed(child) if told is None else xml.serialise(told, ns.CLIENT))
        else:
            self._near(passed(child))
        if xml.local_name(child.kind) == "success":
            self.known = True
        if child.kind == _SUCCESS:  # both ends begin a new stream (RFC 6120 §6.4.6); SASL2 goes on with the old one
            self._from_near.reset()
            self._from_far.reset()

    def _features(self, features: Element) -> bytes:
        offered = mechanisms(features)
        self._login = None
        if self._logs_in and any(name.startswith("SCRAM-") and name.endswith("-PLUS") for name in offered):
            types = channel_types(features)
            usable = {kind: data for kind, data in self._bindings.items() if kind in types}
            mechanism = best(offered, bool(usable))
            if mechanism:
                self._login = Login(mechanism, usable, self._randomness)
        return _of_the_stream(without_bindings(features, self._login is not None))

    def close(self) -> None:
        """Lets go of the parsers."""
        self._from_near.close()
        self._from_far.close()
