"""Helpers (`quietwire shield`) as processes, a tap behind them, and slixmpp, which knows nothing of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slixmpp

WAIT = 60.0
"""Seconds for anything to happen on a machine that has other work."""
_PORTS = re.compile(r"ready at port (\d+)|127\.0\.0\.1:(\d+)")
FAST = ("--tick", "0.1", "--fast-tick", "0.1", "--window", "0", "--bulk-every", "0")
"""A `steady` link for tests: the shape of one, and no time to wait."""


@dataclass
class Helper:
    """A running `quietwire shield`."""

    process: subprocess.Popen[str]
    port: int
    said: list[str] = field(default_factory=list)

    def stop(self) -> str:
        """-> all that it said."""
        self.process.terminate()
        assert self.process.stderr is not None
        self.said.append(self.process.stderr.read())
        self.process.wait(WAIT)
        return "".join(self.said)


def shield(command: str, *arguments: str) -> Helper:
    """Returns when it listens."""
    line = (sys.executable, "-m", "quietwire", "shield", command, *arguments)
    process = subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    said = []
    for text in process.stderr:
        said.append(text)
        found = _PORTS.search(text) if "ready" in text else None
        if found:
            return Helper(process, int(found[1] or found[2]), said)
    raise AssertionError("".join(said))


def settle(future: asyncio.Future[Any], value: object = None) -> None:
    """Once: what slixmpp tells it may tell again."""
    if not future.done():
        future.set_result(value)


class Client(slixmpp.ClientXMPP):
    """slixmpp, told where to connect and whom to trust."""

    def __init__(self, jid: str, password: str, port: int, authority: Path, *, direct: bool = False) -> None:
        super().__init__(jid, password)
        self._port = port
        self._authority = authority
        self.enable_plaintext = False
        self.enable_starttls = not direct
        self.enable_direct_tls = direct
        for plugin in ("xep_0030", "xep_0198", "xep_0199"):
            self.register_plugin(plugin)
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.add_event_handler("message", self.inbox.put_nowait)
        self.resumed = asyncio.Event()
        self.add_event_handler("session_resumed", lambda _: self.resumed.set())

    def get_ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._authority))

    async def begin(self) -> None:
        """Returns when the session has started."""
        started = asyncio.get_running_loop().create_future()
        for event, value in (("session_start", None), ("failed_all_auth", "refused")):
            self.add_event_handler(event, lambda _, value=value: settle(started, value))
        self.connect("127.0.0.1", self._port)
        async with asyncio.timeout(WAIT):
            assert await started is None


@dataclass
class Seen:
    """What a watcher of the link saw: (seconds, way, size) of each TLS record; way '>' is up."""

    records: list[tuple[float, str, int]] = field(default_factory=list)
    plain: bytes = b""
    links: int = 0
    cut: set[asyncio.StreamWriter] = field(default_factory=set)

    def sizes(self, way: str, since: float = 0.0) -> list[int]:
        return [size for at, which, size in self.records if which == way and at >= since]

    def times(self, way: str, since: float = 0.0) -> list[float]:
        return [at for at, which, _ in self.records if which == way and at >= since]


@asynccontextmanager
async def tap(port: int) -> AsyncIterator[tuple[int, Seen]]:
    """A proxy to `port` that looks at record headers alone, as the network would: written for this test."""
    seen = Seen()
    loop = asyncio.get_running_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        buffer = b""
        try:
            while data := await reader.read(65_536):
                now = loop.time()
                writer.write(data)
                buffer += data
                while len(buffer) >= 5 and buffer[0] in (20, 21, 22, 23) and buffer[1] == 3:
                    size = int.from_bytes(buffer[3:5], "big")
                    if len(buffer) < 5 + size:
                        break
                    if buffer[0] == 23:
                        seen.records.append((now, way, size))
                    buffer = buffer[5 + size :]
                if buffer and buffer[0] not in (20, 21, 22, 23):
                    seen.plain += buffer
                    buffer = b""
        except (OSError, asyncio.CancelledError):
            pass
        writer.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.links += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        seen.cut |= {writer, far_writer}
        pumps = asyncio.gather(pump(reader, far_writer, ">"), pump(far_reader, writer, "<"))
        with contextlib.suppress(asyncio.CancelledError):
            await pumps

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for writer in seen.cut:
            writer.transport.abort()
