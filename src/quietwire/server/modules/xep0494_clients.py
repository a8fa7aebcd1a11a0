"""XEP-0494: an account lists the clients that have logged in to it, and ends their access.

What is remembered of a client is what it said of itself (XEP-0388 §2.3), how it logged in, and the months of its first
and last login; nothing of clients that say nothing, and nothing at all where `months` is 0. No addresses.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server.account import Account, Session
from quietwire.server.module import (
    Context,
    Every,
    IqGet,
    IqSet,
    Keeps,
    Loading,
    Module,
    SessionHook,
    Setting,
    Xep,
)
from quietwire.store.ports import Store

NS: Final = "urn:xmpp:cam:0"
TABLE: Final = "device"
MEMORY: Final = "clients"
"""In a session's memory: the id by which it is listed where its client said nothing of itself."""
MONTHS: Final = 6
AT_MOST: Final = 32
"""Clients remembered of one account, as many as it may have sessions; then the one longest away is forgotten."""
_VERSION: Final = 1
_DAY: Final = 86_400.0
_PASSWORD, _TOKEN = 1, 2


@dataclass(frozen=True, slots=True)
class State:
    months: int
    here: set[Account] = field(default_factory=set)
    """Accounts with a session."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a client. Months are counted from the year 0."""

    first: int
    last: int
    password: bool
    token: bool
    software: str
    device: str

    def to_bytes(self) -> bytes:
        """Version 1: u8 version, u16 month of the first and of the last login, u8 flags, software NUL device."""
        flags = self.password * _PASSWORD | self.token * _TOKEN
        head = bytes((_VERSION,)) + self.first.to_bytes(2, "big") + self.last.to_bytes(2, "big") + bytes((flags,))
        return head + f"{self.software}\0{self.device}".encode()

    @staticmethod
    def from_bytes(data: bytes) -> Record:
        """Raises ValueError for anything `to_bytes` cannot have written."""
        if len(data) < 7 or data[0] != _VERSION:
            raise ValueError("not a client's record of version 1")
        software, _, device = data[6:].decode().partition("\0")
        flags = data[5]
        return Record(
            int.from_bytes(data[1:3], "big"),
            int.from_bytes(data[3:5], "big"),
            bool(flags & _PASSWORD),
            bool(flags & _TOKEN),
            software,
            device,
        )


def month(now: float) -> int:
    date = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return date.year * 12 + date.month - 1


def month_text(number: int) -> str:
    """As XEP-0082 writes its first moment."""
    return f"{number // 12:04}-{number % 12 + 1:02}-01T00:00:00Z"


# -- remembering ------------------------------------------------------------------------------------------------------


async def on_loading(context: Context) -> None:
    """What is too old is forgotten now: while the owner was away nobody could."""
    assert context.account is not None
    await forget(context, context.account)


def on_bound(context: Context) -> None:
    session, account = context.session, context.account
    assert session is not None
    assert account is not None
    context.state.here.add(account)
    session.memory[MEMORY] = context.ports["randomness"](9).hex()
    client = session.client
    if client is not None and context.state.months:
        now = month(context.now)
        seen = Record(now, now, not client.by_token, client.by_token, client.software, client.device)
        context.services.spawn(remember(context, account, client.id.encode(), seen))


def on_ended(context: Context) -> None:
    account = context.account
    assert account is not None
    if not account.sessions:
        context.state.here.discard(account)


async def remember(context: Context, account: Account, key: bytes, seen: Record) -> None:
    store: Store = context.ports["store"]
    records = await read(store, account, oldest(context))
    if context.services.account(account.jid) is not account:
        return  # it was deleted meanwhile, or has gone
    old = records.get(key)
    if old is not None:
        seen = replace(seen, first=old.first, password=seen.password or old.password, token=seen.token or old.token)
    if seen == old:
        return
    if old is None and len(records) >= AT_MOST:
        store.delete(TABLE, account.owner, min(records, key=lambda each: records[each].last))
    store.put(TABLE, account.owner, key, seen.to_bytes())


async def read(store: Store, account: Account, since: int) -> dict[bytes, Record]:
    """The account's clients that have logged in since that month, by id."""
    found = {}
    for key, value in await store.scan(TABLE, account.owner):
        try:
            record = Record.from_bytes(value)
        except ValueError:
            continue
        if record.last >= since:
            found[key] = record
    return found


def on_day(context: Context) -> None:
    """For accounts that stay for months."""
    for account in list(context.state.here):
        context.services.spawn(forget(context, account))


async def forget(context: Context, account: Account) -> None:
    """Forgets clients that have not come for long."""
    store: Store = context.ports["store"]
    since = oldest(context)
    for key, value in await store.scan(TABLE, account.owner):
        if int.from_bytes(value[3:5], "big") < since:
            store.delete(TABLE, account.owner, key)


def oldest(context: Context) -> int:
    """The month since which clients are remembered."""
    months: int = context.state.months
    return month(context.now) - months if months else 1 << 16


# -- the account's own view -------------------------------------------------------------------------------------------


async def on_list(context: Context, iq: Iq) -> Iq:
    account = own(context)
    records = await read(context.ports["store"], account, oldest(context))
    tokens = set(context.ports["tokens"].clients(account.jid))
    sessions = {listed_as(session): session for session in account.sessions.values()}
    ids = dict.fromkeys([*sessions, *(key.decode() for key in records), *tokens])
    return iq.result(
        build(
            f"{{{NS}}}clients",
            None,
            *(show(id, sessions.get(id), records.get(id.encode()), token=id in tokens) for id in ids),
        )
    )


def own(context: Context) -> Account:
    """The account whose session asks about itself; nobody else is told anything. Raises StanzaError."""
    account = context.account
    if context.session is None or account is None or context.session.account is not account:
        raise StanzaError("service-unavailable")
    return account


def listed_as(session: Session) -> str:
    return session.client.id if session.client is not None else session.memory.get(MEMORY, "")


def show(id: str, session: Session | None, record: Record | None, *, token: bool) -> Element:
    client = session.client if session is not None else None
    password = record.password if record is not None else session is not None and not (client and client.by_token)
    methods = [name for name, known in (("password", password), ("fast", token)) if known]
    seen = (("first-seen", record.first), ("last-seen", record.last)) if record is not None else ()
    known = client or record
    agent = (("software", known.software), ("device", known.device)) if known is not None else ()
    return build(
        f"{{{NS}}}client",
        {"id": id, "type": "session", "connected": "true" if session is not None else "false"},
        *(build(f"{{{NS}}}{name}", text=month_text(number)) for name, number in seen),
        build(f"{{{NS}}}auth", None, *(build(f"{{{NS}}}{name}") for name in methods)),
        build(f"{{{NS}}}permission", {"status": "unrestricted"}),
        build(f"{{{NS}}}user-agent", None, *(build(f"{{{NS}}}{name}", text=text) for name, text in agent if text)),
    )


async def on_revoke(context: Context, iq: Iq) -> Iq | None:
    """Ends the client's sessions and tokens. One that knows the password can come again: the answer says so (§3.2)."""
    account, session = own(context), context.session
    id = iq.payload.get("id", "")
    records = await read(context.ports["store"], account, oldest(context))
    had_token = context.ports["tokens"].revoke(account.jid, id)
    ended = [each for each in account.sessions.values() if listed_as(each) == id]
    record = records.get(id.encode("utf-8", "surrogatepass"))
    if not ended and not had_token and record is None:
        raise StanzaError("item-not-found")
    by_password = record.password if record is not None else not had_token
    if record is not None and not by_password:
        context.ports["store"].delete(TABLE, account.owner, id.encode())
    refusal = StanzaError("service-unavailable", specific=f"{{{NS}}}password-reset-required")
    context.services.client_revoked(account, id, ended)
    answer = iq.error(refusal) if by_password else iq.result()
    if session is not None and session in ended:
        answer.to = session.jid
        session.send(answer)  # before its stream ends
    for each in ended:
        context.services.end_sessions(each.jid, condition="not-authorized")
    return None if session in ended else answer


MODULE = Module(
    name="clients",
    xep=Xep(494, "0.1.0"),
    features=(),
    account_features=(NS,),
    handlers=(
        IqGet(f"{{{NS}}}list", on_list),
        IqSet(f"{{{NS}}}revoke", on_revoke),
        IqGet(f"{{{NS}}}revoke", on_revoke),  # so asks slixmpp 1.17
        Loading(on_loading),
        SessionHook("bound", on_bound),
        SessionHook("ended", on_ended),
        Every(_DAY, on_day),
        Setting("months", MONTHS, "how long a client that does not come is remembered; 0: not at all"),
    ),
    keeps=(
        Keeps(
            "clients that gave an id of their own at login: the names of software and device as they gave them, how "
            "they logged in, and the months of their first and last login",
            TABLE,
            True,
            "not seen for `months` months, by default 6: at the next login after that",
        ),
    ),
    emits="one reply per request, to the account itself",
    needs=("store", "tokens", "randomness"),
    state=lambda settings: State(int(settings.get("months", MONTHS))),
)
