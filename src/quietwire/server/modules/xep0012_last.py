"""XEP-0012: Last Activity, as far as it tells nobody anything.

When somebody was last here is not kept, so that nobody can ask for it, be it a contact or a thief of the disk: an
account gets an answer for itself alone, and that is 0, since it is here. How long the server runs shows when it was
last updated: its own users are told the days, others nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import build
from quietwire.server.module import Context, IqGet, Module, Opening, Xep

NS: Final = "jabber:iq:last"
QUERY: Final = f"{{{NS}}}query"
_DAY: Final = 86_400


@dataclass(slots=True)
class State:
    started: float = 0.0
    """Seconds since the epoch."""


async def on_start(context: Context) -> None:
    context.state.started = context.now


async def on_last(context: Context, iq: Iq) -> Iq:
    session, account = context.session, context.account
    if session is None or (account is not None and account is not session.account):
        raise StanzaError("service-unavailable")
    seconds = 0
    if account is None:
        seconds = max(0, int(context.now - context.state.started)) // _DAY * _DAY
    return iq.result(build(QUERY, {"seconds": str(seconds)}))


MODULE = Module(
    name="last",
    xep=Xep(12, "2.0"),
    features=(NS,),
    handlers=(Opening(on_start), IqGet(QUERY, on_last)),
    keeps=(),
    emits="one reply per request of an account of this server: 0 for itself, the days since the start for the server",
    state=lambda settings: State(),
)
