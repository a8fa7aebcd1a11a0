"""XEP-0487: Host Meta 2. The ways to this server as JSON.

The addresses that it asks for are known to the operator alone. While none are set, the document is that of XEP-0156 §2:
with the object `xmpp` in it peers would no longer ask DNS (§2.2).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Any, Final

from quietwire.core.errors import ConfigError
from quietwire.server.http import CORS, Request, Response, websocket_url
from quietwire.server.module import Context, HttpRoute, Module, Setting, Xep

_REL: Final = "urn:xmpp:alt-connections:"
_LONGEST: Final = 604_800
"""Seconds that anybody may rely on the document: a week, as §6 advises."""


def read(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings -> the document without what depends on the server. Raises ConfigError."""
    addresses = str(settings.get("addresses", "")).split()
    ttl = int(settings.get("ttl", 3600))
    try:
        ips = [str(ipaddress.ip_address(address)) for address in addresses]
    except ValueError:
        raise ConfigError("modules.host-meta-2", "addresses", "IP addresses with spaces between them") from None
    if not 0 < ttl <= _LONGEST:
        raise ConfigError("modules.host-meta-2", "ttl", f"seconds, 1 to {_LONGEST}")
    ports = {"tls": int(settings.get("tls", 0)), "s2s-tls": int(settings.get("s2s_tls", 0))}
    return {"ttl": ttl, "ips": ips, "ports": ports if ips else {}}


async def on_host_meta(context: Context, request: Request) -> Response:
    state = context.state
    links: list[dict[str, Any]] = [{"rel": f"{_REL}websocket", "href": websocket_url(context.ports["web"])}]
    links += [{"rel": f"{_REL}{rel}", "port": port} for rel, port in state["ports"].items() if port]
    document: dict[str, Any] = {"links": links}
    if state["ips"]:
        for link in links:
            link |= {"ips": state["ips"], "priority": 10, "weight": 0, "sni": context.domain.domain}
        links[0]["sni"] = links[0]["href"].partition("://")[2].partition("/")[0].partition(":")[0]
        document["xmpp"] = {"ttl": state["ttl"]}
    return Response(200, json.dumps(document).encode(), {"Content-Type": "application/json", **CORS})


MODULE = Module(
    name="host-meta-2",
    xep=Xep(487, "0.1.0"),
    features=(),
    handlers=(
        HttpRoute("GET", "/.well-known/host-meta.json", on_host_meta),
        Setting("addresses", "", "This server's public IP addresses, with spaces between them; none: only XEP-0156."),
        Setting("ttl", 3600, "Seconds that others may rely on the document, up to a week."),
        Setting("tls", 0, "Public port of TLS for clients, 0 for none."),
        Setting("s2s_tls", 0, "Public port of TLS for servers, 0 for none."),
    ),
    keeps=(),
    emits="the ways to this server, to whoever asks the web port",
    needs=("web",),
    state=read,
)
