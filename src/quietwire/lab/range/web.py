"""Files over HTTPS, one connection each, as clients fetch and put them (XEP-0363): through a tap, so to an address that
is not in the URL."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

PATIENCE = 60.0
"""Seconds for one file."""


class WebError(Exception):
    """A file was not taken or not given. One line."""


async def transfer(
    port: int,
    url: str,
    context: ssl.SSLContext,
    *,
    on_link: Callable[[int], None],
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> int:
    """PUTs `body`, or GETs where there is none. `port`: of loopback, where the connection goes. `on_link` gets its
    local port before anything is asked. Returns the bytes of the file. Raises WebError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{'GET' if body is None else 'PUT'} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
            try:
                on_link(writer.get_extra_info("sockname")[1])
                writer.write(head + (body or b""))
                await writer.drain()
                return await _answer(reader, body)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise WebError("no answer in time") from None
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise WebError(f"{type(error).__name__}: {error}") from None


async def _answer(reader: asyncio.StreamReader, body: bytes | None) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status not in (200, 201):
        raise WebError(f"status {status}")
    if body is not None:
        return len(body)
    lines = head.decode("latin-1").lower().split("\r\n")
    length = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
    return len(await (reader.readexactly(length[0]) if length else reader.read()))
