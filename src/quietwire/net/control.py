"""The control socket of a running server: one JSON object a line each way, over a 0600 Unix socket."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from quietwire.core.errors import QuietwireError

REQUEST_BYTES = 64 << 20
"""An import of a million accounts is about 30 MB."""

Serve = Callable[[str, dict[str, Any]], Awaitable[Any]]


async def open_control(path: Path, serve: Serve) -> asyncio.AbstractServer:
    """Listens on `path`. `serve(command, arguments)` raises QuietwireError for what cannot be done."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            try:
                answer = {"result": await serve(str(request["command"]), dict(request["arguments"]))}
            except QuietwireError as error:
                answer = {"error": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (ValueError, KeyError, TypeError, OSError, asyncio.LimitOverrunError):
            pass  # not our own command line: the mode of the socket lets nobody else in
        finally:
            writer.close()

    path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, at the start
    old = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(connected, path, limit=REQUEST_BYTES)
    finally:
        os.umask(old)


async def ask_control(path: Path, command: str, arguments: dict[str, Any]) -> Any:
    """Asks the running server. Raises OSError if there is none, QuietwireError for what it refuses."""
    reader, writer = await asyncio.open_unix_connection(path, limit=REQUEST_BYTES)
    try:
        writer.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise QuietwireError("the server did not carry out the command; its log says why")
    answer = json.loads(line)
    if "error" in answer:
        raise QuietwireError(answer["error"])
    return answer["result"]
