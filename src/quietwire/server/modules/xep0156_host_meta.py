"""XEP-0156: Discovering Alternative XMPP Connection Methods. Where the WebSocket is, for who asks the web (§2)."""

from __future__ import annotations

from typing import Final

from quietwire.core.xml import build, serialise
from quietwire.server.http import CORS, Request, Response, websocket_url
from quietwire.server.module import Context, HttpRoute, Module, Xep

_XRD: Final = "http://docs.oasis-open.org/ns/xri/xrd-1.0"
_WEBSOCKET: Final = "urn:xmpp:alt-connections:websocket"


async def on_host_meta(context: Context, request: Request) -> Response:
    link = build(f"{{{_XRD}}}Link", {"rel": _WEBSOCKET, "href": websocket_url(context.ports["web"])})
    document = b"<?xml version='1.0' encoding='utf-8'?>\n" + serialise(build(f"{{{_XRD}}}XRD", None, link), "")
    return Response(200, document, {"Content-Type": "application/xrd+xml", **CORS})


MODULE = Module(
    name="host-meta",
    xep=Xep(156, "1.4.0"),
    features=(),
    handlers=(HttpRoute("GET", "/.well-known/host-meta", on_host_meta),),
    keeps=(),
    emits="the address of the WebSocket, to whoever asks the web port",
    needs=("web",),
)
