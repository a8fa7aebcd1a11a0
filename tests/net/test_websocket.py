"""A `SocketLink` between aiohttp's own client and a stream that writes down what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import WSMsgType

from quietwire.core.errors import StreamError
from quietwire.core.websocket import CLOSE, NS
from quietwire.net import http, websocket
from quietwire.net.http import Web
from quietwire.net.shell import Shell
from quietwire.net.websocket import SPARE_BYTES, Sockets
from quietwire.server.http import WEBSOCKET_PATH as PATH
from quietwire.server.links import Link
from quietwire.shaping.bucket import Rates

PATIENCE = 60.0
UNLIMITED = Rates()
OPEN = f"<open xmlns='{NS}' to='a.example' version='1.0'/>"
STANZA_BYTES = 10_000


class Diary:
    """Implements `websocket.ClientStream`."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.known = False
        self.heard = 0
        self.got: list[bytes] = []
        self.told: list[str] = []
        self.changed = asyncio.Event()

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    def received(self, data: bytes) -> None:
        self.got.append(data)
        self._tell("received")

    def secured(self) -> None:
        self._tell("secured")

    def written(self) -> None:
        self._tell("written")

    def lost(self) -> None:
        self._tell("lost")

    def overflow(self) -> None:
        self._tell("overflow")

    def fail(self, error: StreamError) -> None:
        self._tell(error.condition)
        self.link.put(f"<stream:error><{error.condition}/></stream:error></stream:stream>".encode())
        self.link.close()

    async def until(self, what: str, times: int = 1) -> None:
        while self.told.count(what) < times:
            self.changed.clear()
            await self.changed.wait()


class House:
    def __init__(self, shell: Shell, session: aiohttp.ClientSession, origins: tuple[str, ...], rates: Rates) -> None:
        self.diaries: list[Diary] = []
        self.faults: list[BaseException] = []
        self.web = Web(shell, self.faults.append)
        self.session = session
        sockets = Sockets(shell, self.accept, stanza_bytes=STANZA_BYTES, origins=origins, rates=rates)
        self.web.mount(PATH, sockets.serve)
        self.url = ""

    def accept(self, link: Link) -> Diary:
        self.diaries.append(Diary(link))
        return self.diaries[-1]

    @asynccontextmanager
    async def connected(self, **more: Any) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Diary]]:
        async with self.session.ws_connect(self.url, **{"protocols": ("xmpp",), "timeout": WAIT, **more}) as socket:
            yield socket, self.diaries[-1]


WAIT = aiohttp.ClientWSTimeout(ws_close=5.0)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[..., House]:
    """Runs a dialogue with a web port."""

    def run(
        dialogue: Callable[[House], Awaitable[None]], origins: tuple[str, ...] = ("*",), rates: Rates = UNLIMITED
    ) -> House:
        async def whole() -> House:
            shell = Shell(asyncio.get_running_loop())
            async with aiohttp.ClientSession() as session:
                house = House(shell, session, origins, rates)
                port = await house.web.listen("127.0.0.1", 0, None, "http")
                house.url = f"http://127.0.0.1:{port}{PATH}"
                try:
                    await asyncio.wait_for(dialogue(house), PATIENCE)
                finally:
                    for diary in house.diaries:
                        diary.link.abort()
                    await house.web.stop()
                    shell.close()
            return house

        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(whole())

    return run


def test_frames_come_in_as_the_bytes_of_a_stream_and_go_out_as_frames(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            assert socket.protocol == "xmpp"
            await socket.send_str(OPEN)
            await diary.until("received")
            assert diary.got[0].startswith(b"<stream:stream ")
            diary.link.put(b"<?xml version='1.0'?><stream:stream from='a.example' version='1.0'>")
            diary.link.put(b"<stream:features/>")
            assert (await socket.receive_str()).startswith("<open ")
            assert (await socket.receive_str()).startswith("<stream:features xmlns:stream=")
            await diary.until("written")
            await socket.send_str("<message><body>ä</body></message>")
            await diary.until("received", 2)
            assert diary.got[1].decode() == "<message><body>ä</body></message>"

    assert play(dialogue).faults == []


def test_what_it_says_of_itself(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (_, diary):
            link = diary.link
            assert (link.secure, dict(link.bindings), link.peer_domains) == (True, {}, frozenset())
            with pytest.raises(AssertionError):
                link.start_tls()

    play(dialogue)


@pytest.mark.parametrize(
    ("method", "more", "status"),
    [
        ("POST", {}, 405),
        ("GET", {}, 426),
        ("GET", {"Upgrade": "websocket", "Connection": "Upgrade"}, 400),
        ("GET", {"Upgrade": "h2c", "Connection": "Upgrade"}, 426),
        ("GET", {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": "short", "Sec-WebSocket-Protocol": "xmpp"}, 400),
    ],
)  # fmt: skip
def test_what_is_no_websocket(play: Callable[..., House], method: str, more: dict[str, str], status: int) -> None:
    async def dialogue(house: House) -> None:
        async with house.session.request(method, house.url, headers=more) as answer:
            assert answer.status == status

    assert play(dialogue).diaries == []


def test_another_sub_protocol_is_refused(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        for protocols in ((), ("chat",), ("XMPP",)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await house.session.ws_connect(house.url, protocols=protocols)
            assert caught.value.status == 400
        async with house.connected(protocols=("chat", "xmpp")) as (socket, _):
            assert socket.protocol == "xmpp"

    play(dialogue)


def test_pages_from_elsewhere_are_refused_where_the_configuration_says_so(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await house.session.ws_connect(house.url, protocols=("xmpp",), origin="https://evil.example")
        assert caught.value.status == 403
        for origin in (None, "https://chat.example"):
            async with house.connected(origin=origin):
                pass

    play(dialogue, ("https://chat.example",))


def test_compression_is_not_agreed_to(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected(compress=15) as (socket, _):
            assert not socket.compress

    play(dialogue)


@pytest.mark.parametrize(
    ("frame", "condition"),
    [("garbage", "not-well-formed"), ("", "not-well-formed"), ("<a/><b/>", "not-well-formed"), (b"<a/>", "bad-format")],
)
def test_a_broken_frame_fails_the_stream(play: Callable[..., House], frame: str | bytes, condition: str) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))
            assert f"<{condition}/>" in await socket.receive_str()
            assert (await socket.receive_str()).encode() == CLOSE
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert socket.close_code == 1000
            await diary.until("lost")
            assert diary.told == [condition, "lost"]

    play(dialogue)


def test_a_frame_too_long_for_any_stanza_ends_the_connection(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            await socket.send_str("<message>" + "a" * (STANZA_BYTES + SPARE_BYTES) + "</message>")
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert socket.close_code == 1009
            await diary.until("lost")
            assert diary.told == ["lost"]

    play(dialogue)


def test_a_paused_stream_is_told_nothing_until_it_goes_on(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            await socket.send_str("<a/>")
            await diary.until("received")
            diary.link.pause()
            for _ in range(3):
                await socket.send_str("<b/>")
            await socket.ping()
            diary.link.put(b"<c/>")
            assert await socket.receive_str() == "<c/>"
            assert diary.told.count("received") == 1
            diary.link.resume()
            await diary.until("received", 4)

    play(dialogue)


def test_a_closed_link_says_what_was_put_and_closes(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            diary.link.pause()
            diary.link.put(b"<message/></stream:stream>")
            diary.link.close()
            diary.link.close()
            assert await socket.receive_str() == "<message xmlns='jabber:client'/>"
            assert (await socket.receive_str()).encode() == CLOSE
            assert (await socket.receive()).type is WSMsgType.CLOSE
            await diary.until("lost")
        diary.link.put(b"<message/>")
        diary.link.close()
        assert diary.told == ["lost"]

    play(dialogue)


def test_a_peer_that_does_not_read_the_end_is_cut_off(
    play: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.05)

    async def dialogue(house: House) -> None:
        _, writer = await silent_peer(house)
        diary = house.diaries[-1]
        diary.link.put(b"<a>" + b"x" * (6 << 20) + b"</a>")
        diary.link.close()
        await diary.until("lost")
        assert diary.told == ["lost"]
        writer.close()

    play(dialogue)


async def silent_peer(house: House) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket whose other end reads nothing after the handshake."""
    port = int(house.url.rpartition(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(
        f"GET {PATH} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def test_who_lets_too_much_pile_up_is_cut_off(play: Callable[..., House], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "OUTBOX_BYTES", 1 << 20)

    async def dialogue(house: House) -> None:
        _, writer = await silent_peer(house)
        diary = house.diaries[-1]
        while "overflow" not in diary.told:
            diary.link.put(b"<a>" + b"x" * 100_000 + b"</a>")
            assert diary.link.backlog() < 8 << 20
            await asyncio.sleep(0)
        await diary.until("lost")
        assert diary.told[-2:] == ["overflow", "lost"]
        writer.close()

    play(dialogue)


def test_nothing_counts_as_written_while_the_kernel_takes_nothing(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        reader, writer = await silent_peer(house)
        diary = house.diaries[-1]
        diary.link.put(b"<a>" + b"x" * (7 << 20) + b"</a>")
        for _ in range(20):
            await asyncio.sleep(0)
        assert "written" not in diary.told
        reading = asyncio.create_task(reader.readexactly(7 << 20))
        await diary.until("written")
        await reading
        assert diary.link.backlog() == 0
        writer.close()

    play(dialogue)


def test_a_peer_that_goes_is_lost_once(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            await socket.close()
            await diary.until("lost")
        _, writer = await silent_peer(house)
        gone = house.diaries[-1]
        writer.transport.abort()
        await gone.until("lost")
        async with house.connected() as (socket, aborted):
            aborted.link.abort()
            await aborted.until("lost")
        assert [diary.told for diary in house.diaries] == [["lost"]] * 3

    assert play(dialogue).faults == []


def test_who_has_logged_in_does_not_count_as_a_stranger_any_more(
    play: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CONNECTIONS", 1)

    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            with pytest.raises(aiohttp.ClientError):
                await house.session.get(house.url)
            diary.known = True
            await socket.send_str("<presence/>")
            await diary.until("received")
            async with house.connected():
                pass

    play(dialogue)


def test_a_peer_that_is_too_fast_is_read_later(play: Callable[..., House]) -> None:
    async def dialogue(house: House) -> None:
        async with house.connected() as (socket, diary):
            diary.known = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(3):
                await socket.send_str("<presence>" + "a" * 1000 + "</presence>")
            await diary.until("received", 3)
            assert loop.time() - began > 0.03

    play(dialogue, rates=Rates(bytes=30_000.0, burst_seconds=0.01))
