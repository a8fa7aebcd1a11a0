"""What is asked of a session that is there: to be established (RFC 3921 §3; RFC 6121 has dropped it, older clients go
no further without), and to be bound once more (RFC 6120 §7.6.2.2)."""

from __future__ import annotations

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server.module import Context, IqSet, Module, StreamFeature

BIND = f"{{{ns.BIND}}}bind"
SESSION = f"{{{ns.SESSION}}}session"


async def on_session(context: Context, iq: Iq) -> Iq:
    session = context.session
    if session is None or iq.to not in (None, context.domain, session.account.jid):
        raise StanzaError("service-unavailable")
    return iq.result()  # the session is there since the resource was bound


async def on_bind(context: Context, iq: Iq) -> Iq:
    session = context.session
    if session is None or iq.to not in (None, context.domain, session.account.jid):
        raise StanzaError("service-unavailable")  # as of an account that does not exist
    raise StanzaError("not-allowed")


def feature(modules: object) -> Element:
    """Optional: who knows the mark saves a round trip."""
    return build(SESSION, None, build(f"{{{ns.SESSION}}}optional"))


MODULE = Module(
    name="session",
    xep=None,
    features=(),
    handlers=(IqSet(SESSION, on_session), IqSet(BIND, on_bind), StreamFeature(feature)),
    keeps=(),
    emits="one reply per request",
)
