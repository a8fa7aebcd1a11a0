"""XEP-0363: HTTP File Upload. Promises of a place for a file; `net/uploads.py` takes and gives the files themselves.

The token in a URL is all that opens a file, and it is kept nowhere: neither here nor on the disk (`seal/uploads.py`).
Names of files stand in URLs only. Expiry is `message` unless the client asks for less (`ephemeral`, §5.3).
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from quietwire.core import ns
from quietwire.core.errors import ConfigError, StanzaError
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Message, Presence
from quietwire.core.xml import Element, build
from quietwire.seal.uploads import HEAD_BYTES, LONGEST_TYPE, TOKEN_BYTES, name_of, size_class
from quietwire.server import disco
from quietwire.server.module import AccountHook, Context, Every, Hosted, Keeps, Module, Opening, Setting, Xep
from quietwire.server.uploads import DAY, FILES, PATH, SLOT_SECONDS, SLOTS, TABLE, Row, Slot, Uploads, sweep

NS: Final = "urn:xmpp:http:upload:0"
PURPOSE: Final = "urn:xmpp:http:upload:purpose:0"
_REQUEST: Final = f"{{{NS}}}request"
_EPHEMERAL: Final = f"{{{PURPOSE}}}ephemeral"
_DATA: Final = "{jabber:x:data}"
_STANZAS: Final = f"{{{ns.STANZAS}}}"
_LONGEST_NAME: Final = 1000
"""Of a file, percent-encoded: 255 bytes, which file systems allow, are 765 at most."""
_TYPE: Final = re.compile(r"[!#$&^_.+A-Za-z0-9-]{1,100}/[!#$&^_.+A-Za-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True)
class State:
    """Bytes, except `days`."""

    size: int
    daily: int
    total: int
    days: int


def read(settings: Mapping[str, Any]) -> State:
    """Raises ConfigError."""
    state = State(
        int(settings.get("size", 104_857_600)),
        int(settings.get("daily", 1 << 30)),
        int(settings.get("total", 5 << 30)),
        int(settings.get("days", 30)),
    )
    largest = size_class(HEAD_BYTES + state.size)
    for key, least in (("size", 1), ("daily", largest), ("total", largest), ("days", 1)):
        if getattr(state, key) < least:
            raise ConfigError("modules.http-upload", key, f"{least} at least")
    return state


async def on_iq(context: Context, iq: Iq) -> Iq:
    state = context.state
    assert isinstance(state, State)
    assert iq.to is not None
    uploads: Uploads = context.ports["uploads"]
    if iq.to.local or iq.to.resource or iq.type != "get" or uploads.files is None:
        raise StanzaError("service-unavailable")
    payload = iq.payload
    if payload.tag == disco.INFO:
        return iq.result(_info(state, payload.get("node")))
    if payload.tag == disco.ITEMS:
        return iq.result(disco.items((), payload.get("node")))
    if payload.tag != _REQUEST:
        raise StanzaError("service-unavailable")
    if context.session is None:
        raise StanzaError("forbidden")  # other servers' users have a place of their own
    return await _slot(context, state, uploads, context.session.account.jid, iq)


def _info(state: State, node: str | None) -> Element:
    if node:
        raise StanzaError("item-not-found")
    features = (ns.DISCO_INFO, ns.DISCO_ITEMS, NS, f"{PURPOSE}#message", f"{PURPOSE}#ephemeral")
    info = disco.info((("store", "file", "HTTP File Upload"),), features).query()
    fields: tuple[tuple[str, dict[str, str], str], ...]
    fields = (("FORM_TYPE", {"type": "hidden"}, NS), ("max-file-size", {}, str(state.size)))
    form = build(f"{_DATA}x", {"type": "result"})
    for name, more, value in fields:
        form.append(build(f"{_DATA}field", {"var": name, **more}, build(f"{_DATA}value", text=value)))
    info.append(form)
    return info


async def _slot(context: Context, state: State, uploads: Uploads, owner: JID, iq: Iq) -> Iq:
    request = iq.payload
    filename, size, kind = request.get("filename", ""), request.get("size", ""), request.get("content-type", "")
    if not filename or not size.isdecimal() or len(size) > 18 or not size.isascii() or int(size) == 0:
        raise StanzaError("bad-request", "filename and size")
    quoted = quote(filename, safe="")
    if len(quoted) > _LONGEST_NAME:
        raise StanzaError("bad-request", "filename too long")
    kind = kind.partition(";")[0].strip().lower()
    if len(kind) > LONGEST_TYPE or _TYPE.fullmatch(kind) is None:
        kind = ""
    if int(size) > state.size:
        return _refused(iq, "modify", "not-acceptable", _too_large(state.size))
    expires = int(context.now) + state.days * DAY
    ephemeral = request.find(_EPHEMERAL)
    if ephemeral is not None:
        expires = min(expires, _stamp(ephemeral.get("expire-before", "")))
        if expires <= context.now:
            raise StanzaError("bad-request", "expired already")

    store, own = context.ports["store"], owner.text.encode()
    occupied = size_class(HEAD_BYTES + int(size))
    today = int(context.now // DAY)
    rows = [Row.from_bytes(value) for _, value in await store.scan(TABLE, own)]
    # From here on nothing is awaited: what was counted is still true when the row is written.
    if not context.services.exists(owner):
        raise StanzaError("forbidden")
    if uploads.count(owner) >= SLOTS:
        return _refused(iq, "wait", "resource-constraint", _retry(context.now + SLOT_SECONDS))
    if sum(row.size for row in rows if row.day == today) + occupied > state.daily:
        return _refused(iq, "wait", "resource-constraint", _retry((today + 1) * DAY))
    kept = [row for row in rows if row.expires >= today]
    if len(kept) >= FILES or sum(row.size for row in kept) + occupied > state.total:
        return _refused(iq, "wait", "resource-constraint", _retry((min(row.expires for row in kept) + 1) * DAY))
    token = context.ports["randomness"](TOKEN_BYTES)
    name = name_of(token)
    stored = store.put(TABLE, own, name, Row(today, expires // DAY, occupied).to_bytes())
    uploads.add(name, Slot(owner, int(size), kind, expires, context.now + SLOT_SECONDS, stored))
    url = f"{context.ports['web']}{PATH}/{base64.urlsafe_b64encode(token).decode()}/{quoted}"
    return iq.result(
        build(f"{{{NS}}}slot", None, build(f"{{{NS}}}put", {"url": url}), build(f"{{{NS}}}get", {"url": url}))
    )


def _too_large(size: int) -> Element:
    return build(f"{{{NS}}}file-too-large", None, build(f"{{{NS}}}max-file-size", text=str(size)))


def _retry(at: float) -> Element:
    stamp = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return build(f"{{{NS}}}retry", {"stamp": stamp})


def _refused(iq: Iq, kind: str, condition: str, specific: Element) -> Iq:
    error = build(f"{{{ns.CLIENT}}}error", {"type": kind}, build(f"{_STANZAS}{condition}"), specific)
    return Iq.make(to=iq.from_, from_=iq.to, type="error", id=iq.id, children=(error,))


def _stamp(text: str) -> int:
    """XEP-0082 -> seconds since the epoch."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise StanzaError("bad-request", "a date and time") from None
    if moment.tzinfo is None:
        raise StanzaError("bad-request", "a date and time with its zone")
    return int(moment.timestamp())


def on_message(context: Context, message: Message) -> None:
    raise StanzaError("service-unavailable")


def on_presence(context: Context, presence: Presence) -> None:
    """Nobody is here to be seen."""


async def on_opening(context: Context) -> None:
    uploads: Uploads = context.ports["uploads"]
    if uploads.files is not None:
        await uploads.files.tidy()
        await sweep(uploads, context.ports["store"], context.now)


def on_erased(context: Context) -> None:
    """Its rows are gone: the files go with the next sweep, which is now."""
    assert context.account is not None
    context.ports["uploads"].forget(context.account.jid)
    context.services.spawn(sweep(context.ports["uploads"], context.ports["store"], context.now))


def every_day(context: Context) -> None:
    context.services.spawn(sweep(context.ports["uploads"], context.ports["store"], context.now))


def every_minute(context: Context) -> None:
    for owner, name in context.ports["uploads"].lapse(context.now):
        context.ports["store"].delete(TABLE, owner.text.encode(), name)


MODULE = Module(
    name="http-upload",
    xep=Xep(363, "1.2.0"),
    features=(),
    handlers=(
        Hosted("upload", on_message, on_presence, on_iq, name="HTTP File Upload"),
        Opening(on_opening),
        AccountHook("erased", on_erased),
        Every(DAY, every_day),
        Every(60.0, every_minute),
        Setting("size", 104_857_600, "Largest file, bytes."),
        Setting("daily", 1 << 30, "Bytes that one account may upload in a day."),
        Setting("total", 5 << 30, "Bytes of one account's files together."),
        Setting("days", 30, "Days until a file is deleted."),
    ),
    keeps=(
        Keeps("under the server's key and a hash of its owner: day, size class and day of expiry of each file, and the "
              "name under which it is encrypted on the disk", TABLE, False, "the file expires"),
    ),
    emits="one reply per request, to the server's own users; files, to whoever has their address",
    needs=("store", "randomness", "uploads", "web"),
    state=read,
)  # fmt: skip
