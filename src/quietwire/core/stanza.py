"""First-level children of a stream: stanzas (RFC 6120 §8) and what is not one (`Nonza`, XEP-0360).

A stanza keeps the validated bytes between its tags (`inner`) and the names of its children; a tree is built only when
somebody asks for one. Forwarding writes a new start tag around the same bytes, so `from` and `to` can be stamped
without touching the payload. `inner` has no namespace declaration of its own for the content namespace: the same
bytes are right in a ``jabber:client`` and in a ``jabber:server`` stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self
from xml.etree.ElementTree import Element

from quietwire.core import ns, xml
from quietwire.core.errors import STANZA_ERROR_TYPES, StanzaError
from quietwire.core.jid import JID
from quietwire.core.xml import attr, build, parse, serialise

_ERROR = f"{{{ns.CLIENT}}}error"
_ADDRESSES = frozenset(("from", "to"))


class Child:
    """Any first-level child. `attributes` has Clark names; `names` the Clark names of its children, in order."""

    __slots__ = ("_tree", "attributes", "inner", "kind", "names")

    kind: str

    def __init__(self, kind: str, attributes: dict[str, str], inner: bytes = b"", names: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.attributes = attributes
        self.inner = inner
        self.names = names
        self._tree: Element | None = None

    @property
    def tree(self) -> Element:
        """The element, its content namespace always ``jabber:client``. Built once; do not change it."""
        if self._tree is None:
            self._tree = parse(self.to_bytes(), ns.CLIENT)
        return self._tree

    def to_bytes(self) -> bytes:
        """As it goes on a stream; each kind of child writes itself."""
        raise NotImplementedError

    def child(self, tag: str) -> Element | None:
        """The first child of that Clark name; builds no tree where there is none."""
        return self.tree.find(tag) if tag in self.names else None

    def __repr__(self) -> str:
        # Never the content: a repr ends up in logs and tracebacks.
        return f"<{type(self).__name__} {self.kind} {len(self.inner)} bytes>"


class Nonza(Child):
    """Not a stanza: ``<r xmlns='urn:xmpp:sm:3'/>``, ``<auth/>``… `kind` is the Clark name."""

    __slots__ = ()

    def to_bytes(self) -> bytes:
        name = xml.local_name(self.kind)
        space = xml.namespace(self.kind)
        start = "".join(attr(k, v) for k, v in self.attributes.items())
        declared = "" if space == ns.CLIENT else f" xmlns='{xml.escape(space)}'"
        return b"<%b%b>%b</%b>" % (name.encode(), (declared + start).encode(), self.inner, name.encode())


class Stanza(Child):
    """A message, presence or iq.

    `to` and `from_` are parsed addresses or None; `type` is the attribute or ''. `from_` is whatever the server put
    there: what a client wrote is never believed (`session.py`).
    """

    __slots__ = ("_raw", "from_", "id", "to", "type")
    KIND: ClassVar[str]
    END: ClassVar[bytes]

    def __init__(
        self,
        attributes: dict[str, str],
        inner: bytes = b"",
        names: tuple[str, ...] = (),
        raw: bytes = b"",
        *,
        to: JID | None = None,
        from_: JID | None = None,
    ) -> None:
        self.kind = self.KIND
        self.attributes = attributes
        self.inner = inner
        self.names = names
        self._tree = None
        self.to = to
        self.from_ = from_
        self._raw = raw
        """The whole stanza as it came, if it stands by itself in a stream of either content namespace."""
        self.type = attributes.get("type", "")
        self.id = attributes.get("id", "")

    @classmethod
    def make(
        cls, *, to: JID | None = None, from_: JID | None = None, type: str = "", id: str = "",
        children: Iterable[Element] = (), attributes: dict[str, str] | None = None,
    ) -> Self:  # fmt: skip
        """A stanza of our own making."""
        all_attributes = dict(attributes or ())
        if type:
            all_attributes["type"] = type
        if id:
            all_attributes["id"] = id
        children = tuple(children)
        inner = b"".join(serialise(child, ns.CLIENT) for child in children)
        return cls(all_attributes, inner, tuple(child.tag for child in children), to=to, from_=from_)

    def addressed(self, *, to: JID | None, from_: JID | None) -> Self:
        """The same stanza with other addresses; shares the payload."""
        copy = type(self).__new__(type(self))
        copy.kind, copy.attributes, copy.inner, copy.names = self.kind, self.attributes, self.inner, self.names
        copy._tree = None
        copy._raw = self._raw
        copy.to, copy.from_, copy.type, copy.id = to, from_, self.type, self.id
        return copy

    def with_children(self, *children: Element) -> Self:
        """The same stanza with `children` appended."""
        copy = self.addressed(to=self.to, from_=self.from_)
        copy._raw = b""
        copy.inner = self.inner + b"".join(serialise(child, ns.CLIENT) for child in children)
        copy.names = (*self.names, *(child.tag for child in children))
        return copy

    def without(self, unwanted: Callable[[Element], bool]) -> Self:
        """The same stanza without those children; itself if there are none."""
        kept = [child for child in self.tree if not unwanted(child)]
        if len(kept) == len(self.tree):
            return self
        copy = self.addressed(to=self.to, from_=self.from_)
        copy._raw = b""
        copy.inner = b"".join(serialise(child, ns.CLIENT) for child in kept)
        copy.names = tuple(child.tag for child in kept)
        return copy

    def start(self) -> str:
        """The start tag without its last character."""
        attributes = self.attributes
        from_ = self.from_.text if self.from_ is not None else ""
        to = self.to.text if self.to is not None else ""
        out = f"<{self.kind}"
        if xml.plain(from_ + to + "".join(attributes.values())):
            # Nearly always: nothing to escape, found out by one search for all of them.
            if from_:
                out += f" from='{from_}'"
            if to:
                out += f" to='{to}'"
            for key, value in attributes.items():
                if key not in _ADDRESSES:
                    out += f" {key}='{value}'" if key[0] != "{" else attr(key, value)
            return out
        if from_:
            out += attr("from", from_)
        if to:
            out += attr("to", to)
        for key, value in attributes.items():
            if key not in _ADDRESSES:
                out += attr(key, value)
        return out

    def to_bytes(self) -> bytes:
        """As it goes on a stream whose default namespace is the content namespace."""
        raw = self._raw
        if raw and self.from_ is not None:
            attributes = self.attributes
            to = self.to
            if "from" not in attributes and (to.text if to is not None else None) == attributes.get("to"):
                # As it came but for the sender: nothing is written again.
                at = len(self.kind) + 1
                return raw[:at] + self.from_.stamp + raw[at:]
        if self.inner:
            return b"".join((self.start().encode(), b">", self.inner, self.END))
        return self.start().encode() + b"/>"

    def error(self, condition: str | StanzaError, text: str = "") -> Self:
        """The error answer to this stanza (RFC 6120 §8.3.1), sender and addressee exchanged, payload left out."""
        error = condition if isinstance(condition, StanzaError) else StanzaError(condition, text)
        assert error.condition in STANZA_ERROR_TYPES
        # The number of former times: without it profanity never publishes its first OMEMO device.
        code = {"code": "404"} if error.condition == "item-not-found" else {}
        body = build(_ERROR, {"type": error.type, **code}, build(f"{{{ns.STANZAS}}}{error.condition}"))
        if error.text:
            body.append(build(f"{{{ns.STANZAS}}}text", text=error.text))
        if error.specific:
            body.append(build(error.specific))
        return self.make(to=self.from_, from_=self.to, type="error", id=self.id, children=(body,))


class Message(Stanza):
    __slots__ = ()
    KIND = "message"
    END = b"</message>"


class Presence(Stanza):
    __slots__ = ()
    KIND = "presence"
    END = b"</presence>"


class Iq(Stanza):
    __slots__ = ()
    KIND = "iq"
    END = b"</iq>"

    @property
    def payload(self) -> Element:
        """The one child of a get or set (RFC 6120 §8.2.3; the router has refused anything else)."""
        return self.tree[0]

    def result(self, *children: Element) -> Iq:
        """The result for this request, sender and addressee exchanged."""
        return Iq.make(to=self.from_, from_=self.to, type="result", id=self.id, children=children)


def appended(data: bytes, child: bytes) -> bytes:
    """The bytes of a stanza with a child, itself as bytes, put before its end tag, in which white space may stand."""
    end = data.rfind(b"</")
    if end < 0:  # <message .../>
        kind = data[1 : min(at for at in (data.find(b" "), data.find(b"/")) if at > 0)]
        return b"%b>%b</%b>" % (data[:-2], child, kind)
    return data[:end] + child + data[end:]


STANZAS: dict[str, type[Stanza]] = {"message": Message, "presence": Presence, "iq": Iq}


def from_tree(element: Element, *, to: JID | None = None, from_: JID | None = None) -> Stanza:
    """A stanza out of a tree in ``jabber:client``; KeyError for another element."""
    kind = STANZAS[xml.local_name(element.tag)]
    attributes: dict[str, Any] = dict(element.attrib)
    inner = b"".join(serialise(child, ns.CLIENT) for child in element)
    return kind(attributes, inner, tuple(child.tag for child in element), to=to, from_=from_)
