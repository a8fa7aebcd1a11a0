"""A `Connection` between a real transport and a stream that writes down what it is told. STARTTLS, certificates and
bindings: `test_dial.py` and the dialogues over loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from quietwire.net.doors import Doors, Limits
from quietwire.net.shell import Shell
from quietwire.net.stream import OUTBOX_BYTES, Connection, portion
from quietwire.server.links import Link
from quietwire.shaping.bucket import Rates


class Diary:
    def __init__(self, link: Link) -> None:
        self.link = link
        self.got = bytearray()
        self.told: list[str] = []
        self.changed = asyncio.Event()

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    def received(self, data: bytes) -> None:
        self.got += data
        self._tell("received")

    def secured(self) -> None:
        self._tell("secured")

    def written(self) -> None:
        self._tell("written")

    def lost(self) -> None:
        self._tell("lost")

    def overflow(self) -> None:
        self._tell("overflow")

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()


LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Callable[[Diary, socket.socket], Awaitable[None]]], None]:
    """Runs a dialogue between the stream of a connection and a socket at its other end."""

    def run(dialogue: Callable[[Diary, socket.socket], Awaitable[None]]) -> None:
        async def whole() -> None:
            loop = asyncio.get_running_loop()
            shell = Shell(loop)
            diaries: list[Diary] = []

            def accept(link: Link) -> Any:
                diaries.append(Diary(link))
                return diaries[0]

            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            await loop.create_connection(lambda: Connection(shell, accept), sock=ours)
            try:
                await asyncio.wait_for(dialogue(diaries[0], theirs), 20)
            finally:
                diaries[0].link.abort()
                theirs.close()
                await asyncio.wait_for(diaries[0].until(lambda: "lost" in diaries[0].told), 10)
                shell.close()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(whole())

    return run


async def read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := await asyncio.get_running_loop().sock_recv(end, 1 << 20)):
        data += piece
    return data


def test_bytes_both_ways(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        end.send(b"hello")
        await stream.until(lambda: stream.got == b"hello")
        stream.link.put(b"one ")
        stream.link.put(b"two")
        assert stream.link.backlog() == 7
        assert await read(end, 7) == b"one two"
        await stream.until(lambda: "written" in stream.told)
        assert stream.link.backlog() == 0

    play(dialogue)


def test_what_was_put_leaves_before_the_close(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.put(b"bye")
        stream.link.close()
        stream.link.close()
        assert await read(end, 100) == b"bye"
        await stream.until(lambda: "lost" in stream.told)
        stream.link.put(b"into the void")
        await asyncio.sleep(0)
        assert stream.told.count("lost") == 1

    play(dialogue)


def test_a_put_in_the_turn_of_an_abort_does_no_harm(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.put(b"x")
        stream.link.abort()
        stream.link.put(b"y")
        await stream.until(lambda: "lost" in stream.told)
        assert stream.told.count("lost") == 1

    play(dialogue)


def test_the_peer_leaves(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        end.shutdown(socket.SHUT_RDWR)
        await stream.until(lambda: "lost" in stream.told)

    play(dialogue)


def test_a_paused_reader_is_not_fed(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.pause()
        stream.link.pause()
        end.send(b"waits")
        stream.link.put(b"turn")
        assert await read(end, 4) == b"turn"
        assert stream.got == b""
        stream.link.resume()
        await stream.until(lambda: stream.got == b"waits")

    play(dialogue)


def test_a_peer_that_does_not_read(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.put(b"x" * (OUTBOX_BYTES + (4 << 20)))
        await stream.until(lambda: "lost" in stream.told)
        assert "overflow" in stream.told
        assert "written" not in stream.told

    play(dialogue)


def test_written_is_told_when_a_slow_peer_has_read(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        stream.link.put(b"x" * (4 << 20))
        await asyncio.sleep(0)
        assert "written" not in stream.told
        assert len(await read(end, 4 << 20)) == 4 << 20
        await stream.until(lambda: "written" in stream.told)

    play(dialogue)


class Slow(Diary):
    """A stream of somebody who logs in by saying so, and whose stanzas are one byte each."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.known = False
        self.heard = 0

    def received(self, data: bytes) -> None:
        self.known = self.known or data.startswith(b"login")
        self.heard += len(data)
        super().received(data)


@pytest.mark.parametrize("rates", [Rates(bytes=100_000, burst_seconds=1), Rates(stanzas=100_000, burst_seconds=1)])
@pytest.mark.parametrize("factory", LOOPS, ids=["asyncio", "uvloop"])
def test_who_is_too_fast_is_read_more_slowly_and_loses_nothing(factory: Any, rates: Rates) -> None:
    async def whole() -> None:
        loop = asyncio.get_running_loop()
        shell = Shell(loop)
        doors = Doors(Limits(), 10)
        made: list[Slow] = []

        def accept(link: Link) -> Any:
            made.append(Slow(link))
            return made[0]

        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        visitor = doors.enter("192.0.2.1")
        await loop.create_connection(lambda: Connection(shell, accept, rates=rates, visitor=visitor), sock=ours)
        stream = made[0]
        await loop.sock_sendall(theirs, b"hello")
        await stream.until(lambda: stream.got == b"hello")
        assert doors.strangers == 1
        await loop.sock_sendall(theirs, b"login")
        await stream.until(lambda: len(stream.got) == 10)
        assert doors.strangers == 0
        begun = loop.time()
        await loop.sock_sendall(theirs, b"x" * 200_000)
        await stream.until(lambda: len(stream.got) == 200_010)
        assert loop.time() - begun < 3
        await loop.sock_sendall(theirs, b"y")  # over the rate by now: it waits
        await stream.until(lambda: len(stream.got) == 200_011)
        assert 0.5 < loop.time() - begun < 5
        stream.link.abort()
        await stream.until(lambda: "lost" in stream.told)
        assert doors.open == 0
        theirs.close()
        shell.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(whole(), 20))


def test_a_stream_that_waits_itself_is_not_resumed_by_its_rate(play: Any) -> None:
    async def dialogue(stream: Diary, end: socket.socket) -> None:
        link: Any = stream.link
        stream.link.pause()
        link._hold(2)
        link._let_go(2)
        end.send(b"waits")
        stream.link.put(b"turn")
        assert await read(end, 4) == b"turn"
        assert stream.got == b""
        link._hold(2)
        stream.link.resume()
        await asyncio.sleep(0)
        assert stream.got == b""
        link._let_go(2)
        await stream.until(lambda: stream.got == b"waits")

    play(dialogue)


def test_the_next_look_is_before_a_burst_is_spent() -> None:
    assert portion(Rates(bytes=1_000_000, stanzas=2_000)) == 64 << 10
    assert portion(Rates(bytes=1_000, burst_seconds=4)) == 500
    assert portion(Rates(stanzas=10, burst_seconds=4)) == 400
