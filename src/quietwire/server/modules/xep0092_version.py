"""XEP-0092: Software Version. Name and version; the operating system is nobody's business."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.core.xml import build
from quietwire.server.module import Context, IqGet, Module, Xep

NS: Final = "jabber:iq:version"
QUERY: Final = f"{{{NS}}}query"


async def on_version(context: Context, iq: Iq) -> Iq:
    if context.account is not None and (iq.from_ is None or iq.from_.bare != context.account.jid):
        raise StanzaError("service-unavailable")  # accounts have no software
    name, number = build(f"{{{NS}}}name", text="Quietwire"), build(f"{{{NS}}}version", text=version("quietwire"))
    return iq.result(build(QUERY, None, name, number))


MODULE = Module(
    name="version",
    xep=Xep(92, "1.1"),
    features=(NS,),
    handlers=(IqGet(QUERY, on_version),),
    keeps=(),
    emits="one reply per request, with the server's name and version",
)
