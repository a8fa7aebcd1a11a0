"""XEP-0357: Push Notifications. A device's push service is told that there is something, and nothing else.

A registration belongs to the session that made it. While that session is there and somebody looks at it, its service is
not asked; it is, once the device has no session, or one without a connection, or an inactive one that does not confirm
what it was sent. So what the service learns is when a sleeping device was sent something: no sender, no text, no count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Iq, Message
from quietwire.core.xml import Element, build, parse, serialise
from quietwire.server.account import Account, Session
from quietwire.server.module import (
    AccountHook,
    ClientHook,
    Context,
    IqSet,
    Keeps,
    Loading,
    MessageHook,
    Module,
    Opening,
    Setting,
    Stage,
    Xep,
)
from quietwire.server.pipeline import Passage
from quietwire.server.resting import NOTICED, away, rests
from quietwire.store.ports import Entry

NS: Final = "urn:xmpp:push:0"
ENABLE: Final = f"{{{NS}}}enable"
DISABLE: Final = f"{{{NS}}}disable"
FORM: Final = "{jabber:x:data}x"
OPTIONS: Final = "http://jabber.org/protocol/pubsub#publish-options"
_FIELD: Final = "{jabber:x:data}field"
_VALUE: Final = "{jabber:x:data}value"
_PUBSUB: Final = "{http://jabber.org/protocol/pubsub}"
_BODY: Final = f"{{{ns.CLIENT}}}body"
_PROPOSE: Final = "{urn:xmpp:jingle-message:0}propose"
TABLE: Final = "push"
VERSION: Final = b"\x01"
_MEMORY: Final = "push"
"""Key in an account's memory: its rows, by key. Key in a session's memory: the keys of those it made."""

MAX_REGISTRATIONS: Final = 10
"""Of one account, as many as it has devices. Those whose session is gone give way."""
MAX_NODE: Final = 1_000
"""Bytes; services use some 50."""
MAX_FORM: Final = 4_096
"""Bytes of the service's own fields, a secret of some 100."""
CONFIRM_SECONDS: Final = 5.0
"""For an inactive device to confirm a message on its connection, before its service is asked to wake it."""
LIMIT: Final = 30
REFUSED: Final = 10
"""A registration is dropped at LIMIT: after three refusals in a row, or thirty times without an answer."""
_TEMPORARY: Final = frozenset(("remote-server-not-found", "remote-server-timeout", "internal-server-error"))


@dataclass(slots=True)
class State:
    seconds: float
    """Between two notifications for one account."""
    owners: set[bytes] = field(default_factory=set)
    """Accounts that have registrations, as the store calls them."""
    told: dict[str, bool] = field(default_factory=dict)
    """Accounts whose services were asked within `seconds`, and whether there is something new since."""
    pausing: dict[str, Entry] = field(default_factory=dict)
    """Accounts with an inactive device that has some seconds to confirm what came: the newest of it."""
    failures: dict[tuple[str, bytes], int] = field(default_factory=dict)


def make_state(settings: Mapping[str, Any]) -> State:
    return State(float(settings.get("seconds", 15.0)))


async def on_open(context: Context) -> None:
    context.state.owners.update(await context.ports["store"].owners(TABLE))


def _handle(context: Context, owner: JID) -> bytes:
    name: bytes = context.ports["store"].handle(TABLE, owner.text.encode())
    return name


async def on_loading(context: Context) -> None:
    account = context.account
    assert account is not None
    if _handle(context, account.jid) in context.state.owners:
        account.memory[_MEMORY] = dict(await context.ports["store"].scan(TABLE, account.owner))


def on_erased(context: Context) -> None:
    assert context.account is not None
    owner, failures = context.account.jid.text, context.state.failures
    context.state.owners.discard(_handle(context, context.account.jid))
    for which in [which for which in failures if which[0] == owner]:
        del failures[which]


# -- registrations ----------------------------------------------------------------------------------------------------


async def on_enable(context: Context, iq: Iq) -> Iq:
    account = _owner(context, iq)
    assert context.session is not None
    key = _key(_service(iq.payload), iq.payload.get("node", ""))
    about = {"options": _options(iq.payload)}
    if context.session.client is not None:
        about["client"] = context.session.client.id
    value = VERSION + json.dumps(about).encode()
    known: dict[bytes, bytes] = account.memory.setdefault(_MEMORY, {})
    if key not in known and len(known) >= MAX_REGISTRATIONS:
        held = set().union(*(session.memory.get(_MEMORY, ()) for session in account.sessions.values()))
        spare = next((other for other in known if other not in held), None)
        if spare is None:
            raise StanzaError("resource-constraint", f"at most {MAX_REGISTRATIONS} devices", type="cancel")
        _drop(context, account.jid, spare)
    known[key] = value
    context.ports["store"].put(TABLE, account.owner, key, value)
    context.state.owners.add(_handle(context, account.jid))
    context.state.failures.pop((account.jid.text, key), None)
    memory = context.session.memory
    memory.setdefault(_MEMORY, set()).add(key)
    memory[NOTICED] = lambda: _consider(context, account, None)
    return iq.result()


async def on_disable(context: Context, iq: Iq) -> Iq:
    account = _owner(context, iq)
    service, node = _service(iq.payload), iq.payload.get("node")
    prefix = _key(service, "")
    for key in list(account.memory.get(_MEMORY, ())):
        if key.startswith(prefix) if node is None else key == _key(service, node):
            _drop(context, account.jid, key)
    return iq.result()


def on_revoked(context: Context, client: str, sessions: Sequence[Session]) -> None:
    """A client that has lost its access is not told any more that there is something."""
    account = context.account
    assert account is not None
    made = set().union(*(session.memory.get(_MEMORY, ()) for session in sessions))
    for key, value in list(account.memory.get(_MEMORY, {}).items()):
        if key in made or (value[:1] == VERSION and json.loads(value[1:]).get("client") == client):
            _drop(context, account.jid, key)


def _drop(context: Context, owner: JID, key: bytes) -> None:
    context.ports["store"].delete(TABLE, owner.text.encode(), key)
    context.state.failures.pop((owner.text, key), None)
    account = context.services.account(owner)
    if account is not None:
        known: dict[bytes, bytes] = account.memory.get(_MEMORY, {})
        known.pop(key, None)
        if not known:
            context.state.owners.discard(_handle(context, owner))
        for session in account.sessions.values():
            session.memory.get(_MEMORY, set()).discard(key)


def _owner(context: Context, iq: Iq) -> Account:
    session = context.session
    if session is None or iq.to not in (None, session.account.jid):
        raise StanzaError("service-unavailable")
    return session.account


def _service(payload: Element) -> JID:
    text = payload.get("jid", "")
    if not text or len(payload.get("node", "").encode()) > MAX_NODE:
        raise StanzaError("bad-request", f"a service and a node of at most {MAX_NODE} bytes")
    try:
        return parse_jid(text)
    except JIDError:
        raise StanzaError("jid-malformed") from None


def _key(service: JID, node: str) -> bytes:
    return f"{service.text}\0{node}".encode()


def _options(payload: Element) -> str:
    """The form that goes with every notification (§5), '' where there is none."""
    form = payload.find(FORM)
    if form is None:
        return ""
    kinds = [each.findtext(_VALUE) for each in form.findall(_FIELD) if each.get("var") == "FORM_TYPE"]
    text = serialise(form, "")
    if kinds != [OPTIONS] or len(text) > MAX_FORM:
        raise StanzaError("bad-request", f"publish options of at most {MAX_FORM} bytes")
    return text.decode()


# -- notifications ----------------------------------------------------------------------------------------------------


def on_message(context: Context, passage: Passage) -> None:
    """A message that is kept until a device confirms it."""
    state = context.state
    if not state.owners:
        return
    entry = passage.entry
    if entry is None:
        return
    owner, sender = passage.to.bare, passage.message.from_
    if _handle(context, owner) not in state.owners or state.told.get(owner.text):
        return
    if sender is None or sender.bare == owner:
        return
    if _for_people(passage.message):
        # What the hook was given serves all messages, one after the other; this outlives it.
        own = Context(context.domain, None, None, state, context.now, context.services, context.ports)
        account = context.services.account(owner)
        if account is not None:
            _consider(own, account, entry)
        else:
            context.services.spawn(_tell_away(own, owner))


def _for_people(message: Message) -> bool:
    """A text, a sealed one, a call: no receipt, no marker."""
    return any(name in (_BODY, _PROPOSE) or name.endswith("}encrypted") for name in message.names)


async def _tell_away(context: Context, owner: JID) -> None:
    """Asks the services of all devices. Whom the owner has blocked nobody knows now: their messages wake the devices,
    and are dropped when one of them comes."""
    rows = dict(await context.ports["store"].scan(TABLE, owner.text.encode()))
    account = context.services.account(owner)
    if account is not None:
        _consider(context, account, None)
    elif rows:
        _tell(context, owner, rows, list(rows))
    else:
        context.state.owners.discard(_handle(context, owner))


def _consider(context: Context, account: Account, entry: Entry | None) -> None:
    """Asks the services of devices that sleep. `entry`: what an inactive one may still confirm."""
    rows: dict[bytes, bytes] = account.memory.get(_MEMORY, {})
    asleep, inactive = _asleep(account, rows)
    if asleep or (inactive and entry is None):
        _tell(context, account.jid, rows, asleep + inactive)
    elif inactive and entry is not None:
        pausing, name = context.state.pausing, account.jid.text
        if name not in pausing:
            context.ports["timers"].after(CONFIRM_SECONDS, lambda: _confirmed(context, account.jid, entry))
        pausing[name] = entry


def _confirmed(context: Context, owner: JID, entry: Entry) -> None:
    """An inactive device had its time."""
    newest = context.state.pausing.pop(owner.text)
    account = context.services.account(owner)
    if newest.confirmed:
        return
    if account is None:
        context.services.spawn(_tell_away(context, owner))
    else:
        # What came later has not had its time, unless the first has not been confirmed either.
        _consider(context, account, newest if entry.confirmed else None)


def _asleep(account: Account, keys: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Of these registrations, those whose device has no connection, and those whose device is inactive."""
    awake: set[bytes] = set()
    inactive: set[bytes] = set()
    for session in account.sessions.values():
        made = session.memory.get(_MEMORY)
        if not made or away(session):
            continue
        if rests(session):
            inactive |= made
        elif session.presence is not None and session.priority >= 0:
            awake |= made
    if not inactive:
        return [key for key in keys if key not in awake], []
    return [key for key in keys if key not in awake | inactive], [key for key in keys if key in inactive - awake]


def _tell(context: Context, owner: JID, rows: Mapping[bytes, bytes], keys: Iterable[bytes]) -> None:
    if _now(context, owner):
        for key in keys:
            _publish(context, owner, key, rows[key])


def _now(context: Context, owner: JID) -> bool:
    """Whether the account's services may be asked now; if not, they are once the time between two is over."""
    told = context.state.told
    if owner.text in told:
        told[owner.text] = True
        return False
    told[owner.text] = False

    def over() -> None:
        if told.pop(owner.text):
            account = context.services.account(owner)
            if account is not None:
                _consider(context, account, None)
            else:
                context.services.spawn(_tell_away(context, owner))

    context.ports["timers"].after(context.state.seconds, over)
    return True


def _publish(context: Context, owner: JID, key: bytes, value: bytes) -> None:
    """One notification (§7), with an empty summary: some services expect a form."""
    service, _, node = key.decode().partition("\0")
    summary = build(FORM, {"type": "submit"}, _form_type("urn:xmpp:push:summary"))
    item = build(f"{_PUBSUB}item", None, build(f"{{{NS}}}notification", None, summary))
    pubsub = build(f"{_PUBSUB}pubsub", None, build(f"{_PUBSUB}publish", {"node": node} if node else {}, item))
    options = json.loads(value[1:])["options"] if value[:1] == VERSION else ""
    if options:
        pubsub.append(build(f"{_PUBSUB}publish-options", None, parse(options.encode(), "")))
    iq = Iq.make(type="set", from_=context.domain, to=parse_jid(service), children=(pubsub,))
    context.services.ask(iq, lambda reply: _answered(context, owner, key, reply))


def _form_type(value: str) -> Element:
    return build(_FIELD, {"var": "FORM_TYPE", "type": "hidden"}, build(_VALUE, text=value))


def _answered(context: Context, owner: JID, key: bytes, reply: Iq | None) -> None:
    failures, which = context.state.failures, (owner.text, key)
    if _handle(context, owner) not in context.state.owners:
        return  # erased meanwhile
    if reply is not None and reply.type == "result":
        failures.pop(which, None)
        return
    error = None if reply is None else reply.child(f"{{{ns.CLIENT}}}error")
    temporary = (
        error is None
        or error.get("type") == "wait"
        or any(error.find(f"{{{ns.STANZAS}}}{condition}") is not None for condition in _TEMPORARY)
    )
    failures[which] = failures.get(which, 0) + (1 if temporary else REFUSED)
    if failures[which] >= LIMIT:
        _drop(context, owner, key)


MODULE = Module(
    name="push",
    xep=Xep(357, "0.4.1"),
    features=(),
    account_features=(NS,),
    handlers=(
        IqSet(ENABLE, on_enable),
        IqSet(DISABLE, on_disable),
        MessageHook(Stage.COPY, on_message),
        Opening(on_open),
        Loading(on_loading),
        AccountHook("erased", on_erased),
        ClientHook(on_revoked),
        Setting("seconds", 15.0, "between two push notifications for one account"),
    ),
    keeps=(
        Keeps(
            "address, node and secret of the push service of each device that asked for it, with the id under which "
            "the account lists its client",
            TABLE,
            False,
            "the device takes it back, the account ends its access, or its service refuses three times",
        ),
    ),
    emits="to the push service of a device that sleeps: that there is something for its node, with neither sender nor "
    "text nor count, at most once in the time set",
    needs=("store", "timers"),
    state=make_state,
)
