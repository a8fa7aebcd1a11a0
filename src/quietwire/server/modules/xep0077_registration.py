"""XEP-0077: In-Band Registration, with an invitation (XEP-0445); new passwords and removal for who is logged in.

Without an invitation nobody can register, unless the configuration opens the server to everybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server.account import Session
from quietwire.server.admin import Admin, AdminError, WouldDestroy
from quietwire.server.module import (
    ANEW,
    Context,
    IqGet,
    IqSet,
    Keeps,
    Module,
    PreauthIq,
    Reload,
    Setting,
    StreamFeature,
    Xep,
)
from quietwire.server.registration import MAX_PASSWORD, MIN_PASSWORD, Registrar

NS: Final = "jabber:iq:register"
QUERY: Final = f"{{{NS}}}query"
USERNAME: Final = f"{{{NS}}}username"
PASSWORD: Final = f"{{{NS}}}password"
REMOVE: Final = f"{{{NS}}}remove"
PREAUTH: Final = "{urn:xmpp:pars:0}preauth"
MEMORY: Final = "registration"
"""The key of the stream's token in `context.memory`."""

_HOUR: Final = 3600.0


@dataclass(slots=True)
class State:
    open: bool
    """Everybody may register."""
    per_hour: int
    made: deque[float] = field(default_factory=deque)
    """When accounts were made without an invitation, in the last hour. Whose they are is not known here."""

    def admit(self, now: float) -> None:
        """One more, if the hour has room. Raises StanzaError."""
        while self.made and self.made[0] <= now - _HOUR:
            self.made.popleft()
        if len(self.made) >= self.per_hour:
            raise StanzaError("resource-constraint", "too many new accounts; try again later")
        self.made.append(now)


def make_state(settings: Mapping[str, Any]) -> State:
    return State(bool(settings.get("open", False)), int(settings.get("per_hour", 5)))


# -- before login -----------------------------------------------------------------------------------------------------


async def on_preauth(context: Context, iq: Iq) -> Iq:
    """XEP-0445 §4."""
    assert context.memory is not None
    token = iq.payload.get("token", "")
    invitation = context.ports["invitations"].find(token)
    if invitation is None or not invitation.register:
        raise StanzaError("item-not-found", "The provided token is invalid or expired")
    context.memory[MEMORY] = token
    return iq.result()


async def on_fields(context: Context, iq: Iq) -> Iq:
    """XEP-0077 §3.1.1."""
    token = _token(context)
    invitation = context.ports["invitations"].find(token) if token else None
    name = invitation.name if invitation is not None else ""
    text = f"Choose a name and a password of at least {MIN_PASSWORD} characters."
    return iq.result(
        build(
            QUERY,
            None,
            build(f"{{{NS}}}instructions", text=text),
            build(USERNAME, text=name or None),
            build(PASSWORD),
        )
    )


async def on_register(context: Context, iq: Iq) -> Iq:
    token = _token(context)
    name, password = _both(iq.payload)
    if not token:
        context.state.admit(context.now)
    ports = context.ports
    made = (ports[each] for each in ("store", "admin", "invitations", "arrivals"))
    registrar = Registrar(context.domain, context.services, *made)
    await registrar.register(name, password, token)
    assert context.memory is not None
    context.memory.pop(MEMORY, None)
    context.memory[ANEW] = True  # accounts are limited by the hour or by invitations
    return iq.result()


def _token(context: Context) -> str:
    """The stream's token, '' where none is needed."""
    assert context.memory is not None
    token: str = context.memory.get(MEMORY, "")
    if not token and not context.state.open:
        raise StanzaError("not-allowed", "registration needs an invitation")
    return token


def _both(query: Element) -> tuple[str, str]:
    name, password = query.findtext(USERNAME) or "", query.findtext(PASSWORD) or ""
    if query.find(REMOVE) is not None or not name or not password:
        raise StanzaError("bad-request", "a name and a password are needed")
    return name, password


# -- after it ---------------------------------------------------------------------------------------------------------


async def on_get(context: Context, iq: Iq) -> Iq:
    session = _session(context)
    return iq.result(
        build(QUERY, None, build(f"{{{NS}}}registered"), build(USERNAME, text=session.jid.local), build(PASSWORD))
    )


async def on_set(context: Context, iq: Iq) -> Iq | None:
    session = _session(context)
    admin: Admin = context.ports["admin"]
    query = iq.payload
    if query.find(REMOVE) is not None:
        if len(query) != 1:
            raise StanzaError("bad-request", "remove stands alone")
        await admin.delete(session.account.jid.local, lambda: _answer(session, iq))
        return None
    name, password = _both(query)
    if name != session.jid.local:
        raise StanzaError("not-allowed", "only of one's own account")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise StanzaError("not-acceptable", f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    try:
        await admin.set_password(name, password, session.jid)  # unlocked, as long as the session is there
    except WouldDestroy:
        raise StanzaError("not-allowed", "the session has ended") from None
    except AdminError:
        raise StanzaError("not-acceptable", "the password cannot be used") from None
    return iq.result()


def _session(context: Context) -> Session:
    """Of the account itself. Others get what every account and none would answer."""
    session, account = context.session, context.account
    if session is None or (account is not None and account is not session.account):
        raise StanzaError("service-unavailable")
    return session


def _answer(session: Session, iq: Iq) -> None:
    """Deleted: said before the stream is closed (XEP-0077 §3.2)."""
    if session.account.sessions.get(session.jid.resource) is session:
        session.send(iq.result())


def on_reload(context: Context, settings: Mapping[str, Any]) -> None:
    again = make_state(settings)
    context.state.open, context.state.per_hour = again.open, again.per_hour


MODULE = Module(
    name="registration",
    xep=Xep(77, "2.4"),
    features=(NS,),
    handlers=(
        StreamFeature(lambda modules: build("{urn:xmpp:ibr-token:0}register"), before_login=True),
        StreamFeature(lambda modules: build("{http://jabber.org/features/iq-register}register"), before_login=True),
        PreauthIq("set", PREAUTH, on_preauth),
        PreauthIq("get", QUERY, on_fields),
        PreauthIq("set", QUERY, on_register),
        IqGet(QUERY, on_get),
        IqSet(QUERY, on_set),
        Reload(on_reload),
        Setting(
            "open", False, "Everybody may register without an invitation. Spammers find such a server within days."
        ),
        Setting("per_hour", 5, "Accounts that may be made without an invitation in an hour, all together."),
    ),
    keeps=(
        Keeps(
            "under the server's key and a hash of the account's name: of its password what SCRAM compares it with, and "
            "under it, and under a recovery code, the account's secret; a public key to which what comes is sealed",
            "account",
            False,
            "the account is deleted",
        ),
    ),
    emits="one reply per request; that a name is taken, to somebody with an invitation only; to the contacts of an "
    "account that is removed that it takes back every subscription",
    needs=("store", "admin", "invitations", "arrivals"),
    state=make_state,
)
