"""The protocol of message archives (XEP-0313 1.1, XEP-0059 1.0) as values: what clients ask, what they are answered.

Shared by the archives of accounts and of rooms; `archive.py` holds the messages. A handler does

    asked = read_query(iq.payload)
    page = await archive.query(owner, asked.query)
    for item in asked.order(page): ...send a message that holds result(item, asked.queryid, item.message)
    return iq.result(fin(page))
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JIDError, parse_jid
from quietwire.core.stanza import Message
from quietwire.core.xml import Element, build, escape
from quietwire.server.archive import Item, Page
from quietwire.server.archive_index import Query

NS: Final = "urn:xmpp:mam:2"
EXTENDED: Final = f"{NS}#extended"
GROUPCHAT_FIELD: Final = f"{NS}#groupchat-field"
RSM: Final = "http://jabber.org/protocol/rsm"
QUERY: Final = f"{{{NS}}}query"
METADATA: Final = f"{{{NS}}}metadata"
RESULT: Final = f"{{{NS}}}result"
STANZA_ID: Final = "{urn:xmpp:sid:0}stanza-id"
ORIGIN_ID: Final = "{urn:xmpp:sid:0}origin-id"
MAX_ID: Final = 256
"""Characters of an id that a client names, ours have 32, and of a `queryid`, which comes back with each message."""
MAX_IDS: Final = 250
"""Messages that a client may name in one query: as many as a page has."""
_FORWARD: Final = "urn:xmpp:forward:0"
_DATA: Final = "jabber:x:data"
_VALIDATE: Final = "http://jabber.org/protocol/xdata-validate"
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FIELDS: Final = {
    "with": "jid-single",
    "start": "text-single",
    "end": "text-single",
    "before-id": "text-single",
    "after-id": "text-single",
    "ids": "list-multi",
}


@dataclass(frozen=True, slots=True)
class Asked:
    query: Query
    queryid: str | None
    flipped: bool

    def order(self, page: Page) -> Iterable[Item]:
        """The page's messages as they are to be sent (§4.3.4)."""
        return reversed(page.items) if self.flipped else page.items


def read_query(query: Element, *, groupchat: bool = False) -> Asked:
    """``<query/>`` of type set. `groupchat`: the field `include-groupchat` is known (§4.1.4).

    Raises StanzaError: feature-not-implemented for a field nobody knows (§4.1.5), bad-request, jid-malformed.
    """
    if query.get("node"):
        raise StanzaError("item-not-found", "archives of nodes are not kept")
    queryid = query.get("queryid")
    if queryid is not None and len(queryid) > MAX_ID:
        raise StanzaError("bad-request", "queryid is too long")
    fields = _form(query.find(f"{{{_DATA}}}x"))
    known = {*_FIELDS, "include-groupchat"} if groupchat else _FIELDS.keys()
    if not fields.keys() <= known:
        raise StanzaError("feature-not-implemented", "unknown field")
    single = {name: _only(values) for name, values in fields.items() if name != "ids"}
    if single.get("include-groupchat", "0") not in ("0", "1", "true", "false"):
        raise StanzaError("bad-request", "include-groupchat")
    ids = fields.get("ids")
    if ids is not None and len(ids) > MAX_IDS:
        raise StanzaError("policy-violation", f"at most {MAX_IDS} ids")
    try:
        with_ = parse_jid(single["with"]) if single.get("with") else None
    except JIDError:
        raise StanzaError("jid-malformed") from None
    rsm = query.find(f"{{{RSM}}}set")
    return Asked(
        Query(
            start=_stamp(single.get("start")),
            end=_stamp(single.get("end")),
            with_=with_,
            after_id=single.get("after-id") or None,
            before_id=single.get("before-id") or None,
            ids=ids,
            max=_number(rsm, "max"),
            after=_text(rsm, "after") or None,
            before=_text(rsm, "before"),
            index=_number(rsm, "index"),
        ),
        queryid,
        query.find(f"{{{NS}}}flip-page") is not None,
    )


def _form(form: Element | None) -> dict[str, tuple[str, ...]]:
    if form is None:
        return {}
    if form.get("type", "submit") != "submit":
        raise StanzaError("bad-request", "not a form to submit")
    fields = {}
    for field in form.iterfind(f"{{{_DATA}}}field"):
        fields[field.get("var", "")] = tuple(each.text or "" for each in field.iterfind(f"{{{_DATA}}}value"))
    if fields.pop("FORM_TYPE", None) != (NS,):
        raise StanzaError("bad-request", "FORM_TYPE")
    return fields


def _only(values: tuple[str, ...]) -> str:
    if len(values) > 1:
        raise StanzaError("bad-request", "more than one value")
    return values[0] if values else ""


def _stamp(text: str | None) -> int | None:
    """A DateTime of XEP-0082 in milliseconds since the epoch."""
    if not text:
        return None
    try:
        when = datetime.datetime.fromisoformat(text)
        if "T" not in text or when.tzinfo is None:
            raise ValueError
        return (when - _EPOCH) // datetime.timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise StanzaError("bad-request", "not a date and time with its zone") from None


def _text(rsm: Element | None, name: str) -> str | None:
    found = rsm.find(f"{{{RSM}}}{name}") if rsm is not None else None
    return None if found is None else found.text or ""


def _number(rsm: Element | None, name: str) -> int | None:
    text = _text(rsm, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise StanzaError("bad-request", f"{name} is not a number")
    return int(text)


# -- answers ----------------------------------------------------------------------------------------------------------


def stamp(milliseconds: int) -> str:
    """The DateTime of XEP-0082, to the millisecond, in UTC."""
    when = _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    return when.strftime(f"%Y-%m-%dT%H:%M:%S.{milliseconds % 1000:03}Z")


def result(item: Item, queryid: str | None, message: bytes) -> bytes:
    """``<result/>`` around the message's bytes, as the payload of a message (§4.2)."""
    query = f" queryid='{escape(queryid)}'" if queryid is not None else ""
    return (
        f"<result xmlns='{NS}'{query} id='{item.id}'><forwarded xmlns='{_FORWARD}'>"
        f"<delay xmlns='{ns.DELAY}' stamp='{stamp(item.stamp)}'/><message xmlns='{ns.CLIENT}'"
    ).encode() + b"%b</forwarded></result>" % message[len(b"<message") :]


def fin(page: Page) -> Element:
    """The answer to a query once its messages are sent (§4.3)."""
    children = []
    if page.items:
        index = {} if page.index is None else {"index": str(page.index)}
        first = build(f"{{{RSM}}}first", index, text=page.items[0].id)
        children = [first, build(f"{{{RSM}}}last", text=page.items[-1].id)]
    children.append(build(f"{{{RSM}}}count", text=str(page.count)))
    return build(f"{{{NS}}}fin", {"complete": "true"} if page.complete else {}, build(f"{{{RSM}}}set", None, *children))


def form(*, groupchat: bool = False) -> Element:
    """``<query/>`` with the fields that are known, the answer to one of type get (§4.1.5)."""
    fields = [build(f"{{{_DATA}}}field", {"type": "hidden", "var": "FORM_TYPE"}, build(f"{{{_DATA}}}value", text=NS))]
    for name, kind in {**_FIELDS, **({"include-groupchat": "boolean"} if groupchat else {})}.items():
        field = build(f"{{{_DATA}}}field", {"type": kind, "var": name})
        if kind == "list-multi":
            field.append(build(f"{{{_VALIDATE}}}validate", {"datatype": "xs:string"}, build(f"{{{_VALIDATE}}}open")))
        fields.append(field)
    return build(QUERY, None, build(f"{{{_DATA}}}x", {"type": "form"}, *fields))


def metadata(ends: tuple[tuple[str, int], tuple[str, int]] | None) -> Element:
    """``<metadata/>`` (§5), of what `Archive.ends` returned."""
    names = zip(("start", "end"), ends or (), strict=False)
    return build(
        METADATA,
        None,
        *(build(f"{{{NS}}}{name}", {"id": id, "timestamp": stamp(when)}) for name, (id, when) in names),
    )


# -- stanza ids (XEP-0359) --------------------------------------------------------------------------------------------


def stanza_id(id: str, by: str) -> bytes:
    """``<stanza-id/>``, to be put before a message's end tag (`core.stanza.appended`)."""
    return f"<stanza-id xmlns='urn:xmpp:sid:0' by='{escape(by)}' id='{id}'/>".encode()


def without_ids(message: Message, *by: str) -> Message:
    """The message without the ids that claim to be of those bare addresses; of anybody, if none is given (§3)."""
    if STANZA_ID not in message.names:
        return message
    return message.without(lambda child: child.tag == STANZA_ID and (not by or bare_of(child.get("by", "")) in by))


def bare_of(text: str) -> str:
    """The bare address that is meant, as a client would read it that reads carelessly; itself where it is none."""
    try:
        return parse_jid(text.strip()).bare.text
    except JIDError:
        return text.partition("/")[0].strip().lower()
