"""A request and an answer of the server's web port as values; `net/http.py` carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs

_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 10
"""Of a form from a page; they have three or four."""
WEBSOCKET_PATH: Final = "/xmpp-websocket"
CORS: Final[Mapping[str, str]] = MappingProxyType({"Access-Control-Allow-Origin": "*"})
"""For what any page may read, without its visitor's credentials."""


def websocket_url(web: str) -> str:
    """Where the WebSocket is; `web` is the port of that name (`module.Context`)."""
    return "ws" + web.removeprefix("http") + WEBSOCKET_PATH


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded and starts with a slash; `headers` have lower-case names. Who asks is not told: no address."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    """At most 64 KiB; larger ones never get here."""


def form_fields(request: Request) -> dict[str, str]:
    """What was filled into a form of a page of ours; nothing where the request is something else."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        return {}
    try:
        found = parse_qs(request.body.decode(), max_num_fields=_MAX_FIELDS)
    except ValueError:  # not UTF-8, or too many
        return {}
    return {key: values[0] for key, values in found.items()}


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Content-Type among them. Headers against sniffing, framing and referrers are added to every answer."""
