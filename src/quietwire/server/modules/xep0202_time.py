"""XEP-0202: Entity Time. The server's clock, in UTC: where it stands is not told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import build
from quietwire.server.module import Context, IqGet, Module, Xep

NS: Final = "urn:xmpp:time"
TIME: Final = f"{{{NS}}}time"


async def on_time(context: Context, iq: Iq) -> Iq:
    if context.account is not None and (iq.from_ is None or iq.from_.bare != context.account.jid):
        raise StanzaError("service-unavailable")  # where a user is would show
    utc = datetime.fromtimestamp(int(context.now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return iq.result(build(TIME, None, build(f"{{{NS}}}tzo", text="+00:00"), build(f"{{{NS}}}utc", text=utc)))


MODULE = Module(
    name="time",
    xep=Xep(202, "2.0"),
    features=(NS,),
    handlers=(IqGet(TIME, on_time),),
    keeps=(),
    emits="one reply per request, with the server's time in UTC",
)
