"""XEP-0199: XMPP Ping. Answers pings addressed to the server or to the sender's own account."""

from __future__ import annotations

from typing import Final

from quietwire.core.stanza import Iq
from quietwire.server.module import Context, IqGet, Module, Xep

NS: Final = "urn:xmpp:ping"


async def on_ping(context: Context, iq: Iq) -> Iq:
    account = context.account
    if account is not None and (iq.from_ is None or iq.from_.bare != account.jid):
        return iq.error("service-unavailable")  # answering would confirm that the account exists
    return iq.result()


MODULE = Module(
    name="ping",
    xep=Xep(199, "2.0.1"),
    features=(NS,),
    handlers=(IqGet(f"{{{NS}}}ping", on_ping),),
    keeps=(),
    emits="one reply per request",
)
