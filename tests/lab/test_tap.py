from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from quietwire.lab.tap import Framing, Tap
from quietwire.lab.trace import Close, LinkTrace, LinkWriter, Open, Record, read_links
from quietwire.seal.authority import Authority, new_p256_key

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def header(type: int, size: int) -> bytes:
    return bytes((type, 3, 3)) + size.to_bytes(2, "big") + bytes(size)


SEEN = [("plain", 7), ("handshake", 300), ("ccs", 1), ("app", 0), ("app", 5), ("alert", 2)]
WIRE = b"<xml/> " + header(22, 300) + header(20, 1) + header(23, 0) + header(23, 5) + header(21, 2)


def merge(records: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Plain bytes in one: they have no framing, so cuts show in them."""
    plain = sum(size for type, size in records if type == "plain")
    return ([("plain", plain)] if plain else []) + [record for record in records if record[0] != "plain"]


def test_every_cut_position_gives_the_same_records() -> None:
    assert Framing().feed(WIRE) == SEEN
    for cut in range(len(WIRE) + 1):
        framing = Framing()
        assert merge([*framing.feed(WIRE[:cut]), *framing.feed(WIRE[cut:])]) == SEEN


def test_byte_by_byte() -> None:
    framing = Framing()
    assert merge([r for i in range(len(WIRE)) for r in framing.feed(WIRE[i : i + 1])]) == SEEN


def test_direct_tls_has_no_prelude() -> None:
    assert Framing().feed(header(22, 9)) == [("handshake", 9)]


def test_what_is_not_tls_is_counted_as_other() -> None:
    framing = Framing()
    assert framing.feed(header(22, 3) + b"hello, world") == [("handshake", 3), ("other", 12)]
    assert framing.feed(b"abc") == [("other", 3)]


class Bench:
    """A tap in front of a server made of one handler."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "trace.jsonl"
        self.writer = LinkWriter(self.path, "p")

    async def up(self, handler: Handler, **extra: ssl.SSLContext) -> Tap:
        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except ConnectionError:
                pass
            finally:
                writer.close()

        self.server = await asyncio.start_server(guarded, "127.0.0.1", 0, **extra)
        port = self.server.sockets[0].getsockname()[1]
        names = (f"L{n}" for n in itertools.count(1))
        clock = itertools.count(1)
        self.tap = Tap(
            initiator="198.51.100.1",
            responder="a.example",
            target=("127.0.0.1", port),
            writers=[self.writer],
            names=names,
            clock=lambda: float(next(clock)),
        )
        self.port = await self.tap.start()
        return self.tap

    async def down(self) -> LinkTrace:
        await self.tap.close()
        self.server.close()
        self.writer.close()
        return read_links(self.path)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def test_tls_is_passed_on_and_only_sizes_are_written(tmp_path: Path) -> None:
    async def main() -> LinkTrace:
        authority = Authority("T", now=time.time(), days=1, new_key=new_p256_key, random=lambda n: b"1" * n)
        leaf = authority.issue(["a.example"])
        pem = tmp_path / "leaf.pem"
        pem.write_bytes(leaf.certificate + leaf.key)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
        client = ssl.create_default_context(cadata=authority.certificate.decode())
        bench = Bench(tmp_path)
        await bench.up(echo, ssl=server)
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port, ssl=client, server_hostname="a.example")
        writer.write(b"secretword" * 100)
        assert await reader.readexactly(1000) == b"secretword" * 100
        writer.close()
        await writer.wait_closed()
        return await bench.down()

    trace = asyncio.run(main())
    assert isinstance(trace.events[0], Open)
    assert (trace.events[0].initiator, trace.events[0].responder) == ("198.51.100.1", "a.example")
    records = [event for event in trace.events if isinstance(event, Record)]
    assert records[0].type == "handshake"
    big = [(r.direction, r.size) for r in records if r.type == "app" and 1000 < r.size < 1030]
    assert ("up", 1017) in big  # 1,000 bytes, one of type, sixteen of tag
    assert ("down", 1017) in big
    assert "secretword" not in (tmp_path / "trace.jsonl").read_text()


def test_half_close_passes_through(tmp_path: Path) -> None:
    async def answer_after_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.read(-1)
        writer.write(received.upper())
        writer.write_eof()
        await reader.read()

    async def main() -> LinkTrace:
        bench = Bench(tmp_path)
        await bench.up(answer_after_end)
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        writer.write(b"all of it")
        writer.write_eof()
        assert await reader.read(-1) == b"ALL OF IT"
        writer.close()
        await writer.wait_closed()
        return await bench.down()

    trace = asyncio.run(main())
    assert [type(event) for event in trace.events] == [Open, Record, Record, Close]
    end = trace.events[-1]
    assert isinstance(end, Close)
    assert not end.reset


def test_back_pressure_passes_through(tmp_path: Path) -> None:
    """A server that never reads: the client's writing stops long before 64 MB are accepted."""

    async def main() -> None:
        released = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await released.wait()

        bench = Bench(tmp_path)
        await bench.up(deaf)
        _, writer = await asyncio.open_connection("127.0.0.1", bench.port)

        async def flood() -> None:
            for _ in range(1024):
                writer.write(bytes(65536))
                await writer.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(), 0.5)
        released.set()
        writer.transport.abort()
        await bench.down()

    asyncio.run(main())


def test_a_reset_of_the_client_reaches_the_server(tmp_path: Path) -> None:
    async def main() -> LinkTrace:
        seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            try:
                await reader.read(-1)
                seen.set_result("closed")
            except ConnectionResetError:
                seen.set_result("reset")

        bench = Bench(tmp_path)
        await bench.up(wait)
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        assert await reader.readexactly(5) == b"hello"
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        assert await seen == "reset"
        return await bench.down()

    trace = asyncio.run(main())
    assert isinstance(trace.events[-1], Close)
    assert trace.events[-1].reset


def test_cut_tears_down_both_ends(tmp_path: Path) -> None:
    async def main() -> LinkTrace:
        seen: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            try:
                await reader.read(-1)
            except ConnectionResetError:
                seen.set_result(True)

        bench = Bench(tmp_path)
        tap = await bench.up(wait)
        reader, _ = await asyncio.open_connection("127.0.0.1", bench.port)
        await reader.readexactly(5)
        assert tap.cut() == 1
        assert await seen
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        assert tap.cut() == 0
        return await bench.down()

    trace = asyncio.run(main())
    assert [type(event) for event in trace.events] == [Open, Record, Close]


def test_a_target_that_is_not_there_resets_the_client(tmp_path: Path) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        tap = await bench.up(echo)
        bench.server.close()
        await bench.server.wait_closed()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            tap.target = ("127.0.0.1", unused.getsockname()[1])
            reader, _ = await asyncio.open_connection("127.0.0.1", bench.port)
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        await bench.down()

    asyncio.run(main())
