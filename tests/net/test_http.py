"""The web port over loopback: which answers there are, what every answer says, and every limit."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import pytest
from aiohttp import web

from quietwire.core.errors import ConfigError
from quietwire.core.later import Later
from quietwire.net import doors, http
from quietwire.net.http import BODY_BYTES, CONNECTIONS, HEADERS, SECURITY, Web
from quietwire.net.shell import Shell
from quietwire.server.http import Request, Response
from quietwire.store.ports import StorageError

PATIENCE = 60.0
CHUNKED = f"Transfer-Encoding: chunked\n\n{BODY_BYTES + 1:x}\n"


class House:
    """A web port, what its handler was asked, and the bugs it had."""

    def __init__(self, shell: Shell) -> None:
        self.faults: list[BaseException] = []
        self.asked: list[Request] = []
        self.answer = Response(200, b"here", {"Content-Type": "text/plain"})
        self.late: Later[None] = Later.of(None)
        self.begun = asyncio.Event()
        self.web = Web(shell, self.faults.append)
        self.web.route("GET", "/page", self.page)
        self.web.route("POST", "/form/*", self.page)
        self.web.route("GET", "/bug", self.bug)
        self.web.route("GET", "/broken", self.broken)
        self.web.mount("/raw/*", self.raw)
        self.port = 0

    async def page(self, request: Request) -> Response:
        self.asked.append(request)
        self.begun.set()
        await self.late
        return self.answer

    async def bug(self, request: Request) -> Response:
        raise RuntimeError("personal data")

    async def broken(self, request: Request) -> Response:
        raise StorageError("disk full")

    async def raw(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"{request.method} {request.path}", headers={"Content-Security-Policy": "sandbox"})

    async def connect(self) -> Caller:
        return Caller(*await asyncio.open_connection("127.0.0.1", self.port))

    async def says(self, text: str | bytes) -> Answer:
        """What is answered to the first request of a connection."""
        caller = await self.connect()
        try:
            return await caller.says(text)
        finally:
            caller.close()


class Answer:
    def __init__(self, head: str, body: bytes) -> None:
        first, *rest = head.split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
        self.body = body


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def says(self, text: str | bytes) -> Answer:
        self.writer.write(text.replace("\n", "\r\n").encode() if isinstance(text, str) else text)
        return await self.answer(head_only=text[:4] in ("HEAD", b"HEAD"))

    async def answer(self, *, head_only: bool = False) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        answer = Answer(head, b"")
        if not head_only:
            answer.body = await self.reader.readexactly(int(answer.headers.get("content-length", "0")))
        return answer

    async def ended(self) -> bool:
        """Whether the server has closed the connection; waits for it."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.writer.close()


def run(test: Callable[[House], Awaitable[None]]) -> House:
    async def body() -> House:
        shell = Shell(asyncio.get_running_loop())
        house = House(shell)
        house.port = await house.web.listen("127.0.0.1", 0, None, "http")
        try:
            await asyncio.wait_for(test(house), PATIENCE)
        finally:
            await house.web.stop()
            shell.close()
        return house

    return asyncio.run(body())


def get(path: str, method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\nHost: a.example\n\n"


def test_a_route_is_asked_and_answers() -> None:
    async def test(house: House) -> None:
        answer = await house.says("GET /page?a=1&a=2&b=%C3%A4 HTTP/1.1\nHost: a.example\nX-Some: Thing\n\n")
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"here", "text/plain")

    (asked,) = run(test).asked
    assert (asked.method, asked.path, asked.body) == ("GET", "/page", b"")
    assert asked.query == {"a": "2", "b": "ä"} or asked.query == {"a": "1", "b": "ä"}
    assert asked.headers == {"host": "a.example", "x-some": "Thing"}


def test_an_answer_that_comes_later() -> None:
    async def test(house: House) -> None:
        house.late = Later()
        caller = await house.connect()
        answering = asyncio.create_task(caller.says(get("/page")))
        await house.begun.wait()
        house.late.resolve(None)
        assert (await answering).status == 200
        caller.close()

    run(test)


def test_every_answer_has_the_headers_and_none_names_the_server() -> None:
    async def test(house: House) -> None:
        requests = [
            get("/page"),
            get("/nowhere"),
            get("/bug"),
            get("/page", "PUT"),
            "nonsense\n\n",
            get("/page", "HEAD"),
        ]
        for text in requests:
            answer = await house.says(text)
            assert {name: answer.headers.get(name.lower()) for name in SECURITY} == SECURITY
            assert "server" not in answer.headers
        assert (await house.says(get("/raw/x"))).headers["content-security-policy"] == "sandbox"

    run(test)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (get("/"), 404),
        (get("/page/"), 404),
        (get("/form"), 404),
        (get("/form/x"), 405),
        (get("/page", "PUT"), 405),
        (get("/page", "OPTIONS"), 204),
        (get("/bug"), 500),
        (get("/broken"), 503),
        (get("/" + "a" * 2049), 400),
        (get("/page%00"), 400),
        (get("/" + "a" * 5000), 400),
        (f"GET /page HTTP/1.1\nHost: a.example\nX: {'a' * 5000}\n\n", 400),
        ("GET /page HTTP/1.1\nHost: a.example\n" + "X: 1\n" * (HEADERS + 1) + "\n", 400),
        ("\0\0\0\0\n\n", 400),
        ("POST /form/x HTTP/1.1\nHost: a\nContent-Length: x\n\n", 400),
        (f"POST /form/x HTTP/1.1\nHost: a\nContent-Length: {BODY_BYTES + 1}\n\n", 413),
        (f"POST /form/x HTTP/1.1\nHost: a\n{CHUNKED}{'a' * (BODY_BYTES + 1)}\n0\n\n", 413),
        (f"POST /form/x HTTP/1.1\nHost: a\nContent-Length: {BODY_BYTES}\n\n{'a' * BODY_BYTES}", 200),
    ],
)  # fmt: skip
def test_every_request_gets_its_status(text: str, status: int) -> None:
    async def test(house: House) -> None:
        assert (await house.says(text)).status == status

    house = run(test)
    assert [type(fault) for fault in house.faults] == ([RuntimeError] if "/bug" in text else [])


def test_what_is_allowed_is_said() -> None:
    async def test(house: House) -> None:
        assert (await house.says(get("/page", "PUT"))).headers["allow"] == "GET, HEAD, OPTIONS"
        assert (await house.says(get("/form/x"))).headers["allow"] == "POST, OPTIONS"

    run(test)


def test_a_mount_serves_all_methods_below_it() -> None:
    async def test(house: House) -> None:
        assert (await house.says(get("/raw/x/y", "PUT"))).body == b"PUT /raw/x/y"
        assert (await house.says(get("/raw"))).status == 404

    run(test)


def test_a_client_that_waits_is_told_to_go_on() -> None:
    async def test(house: House) -> None:
        caller = await house.connect()
        told = await caller.says("POST /form/x HTTP/1.1\nHost: a\nContent-Length: 2\nExpect: 100-continue\n\n")
        assert told.status == 100
        assert (await caller.says("hi")).status == 200
        caller.close()

    assert run(test).asked[0].body == b"hi"


def test_one_connection_carries_many_requests() -> None:
    async def test(house: House) -> None:
        caller = await house.connect()
        for _ in range(3):
            assert (await caller.says(get("/page"))).status == 200
        caller.close()

    assert len(run(test).asked) == 3


@pytest.mark.parametrize("begun", ["", "GET /page HTTP/1.1\r\nHost: a"])
def test_a_head_that_does_not_come_is_not_waited_for(begun: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.05)

    async def test(house: House) -> None:
        caller = await house.connect()
        caller.writer.write(begun.encode())
        assert await caller.ended()
        caller.close()

    run(test)


def test_neither_is_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.05)

    async def test(house: House) -> None:
        caller = await house.connect()
        assert (await caller.says("POST /form/x HTTP/1.1\nHost: a\nContent-Length: 9\n\nab")).status == 408
        assert await caller.ended()
        caller.close()

    run(test)


def test_a_handler_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.05)

    async def test(house: House) -> None:
        house.late = Later()
        assert (await house.says(get("/page"))).status == 503

    run(test)


def test_connections_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CONNECTIONS >= 1000
    monkeypatch.setattr(http, "CONNECTIONS", 2)

    async def test(house: House) -> None:
        callers = [await house.connect() for _ in range(2)]
        for caller in callers:
            assert (await caller.says(get("/page"))).status == 200
        third = await house.connect()
        assert await third.ended()
        for caller in (*callers, third):
            caller.close()

    run(test)


def test_connections_of_one_network_beyond_its_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PER_NETWORK", 2)
    monkeypatch.setattr(doors, "network_of", lambda address: "192.0.2.1")

    async def test(house: House) -> None:
        callers = [await house.connect() for _ in range(2)]
        for caller in callers:
            assert (await caller.says(get("/page"))).status == 200
        third = await house.connect()
        assert await third.ended()
        callers.pop().close()
        while house.web._server.counted == 2:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0)
        callers.append(await house.connect())
        assert (await callers[-1].says(get("/page"))).status == 200
        for caller in (*callers, third):
            caller.close()
        while house.web._server.counted:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not house.web._server._networks

    run(test)


def test_requests_under_way_do_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "GRACE_SECONDS", 0.05)

    async def test(house: House) -> None:
        house.late = Later()
        caller = await house.connect()
        caller.writer.write(get("/page").replace("\n", "\r\n").encode())
        await house.begun.wait()
        await house.web.stop()
        assert await caller.ended()
        caller.close()
        with pytest.raises(ConnectionRefusedError):
            await house.connect()

    assert run(test).faults == []


def test_a_port_in_use_is_named() -> None:
    async def test(house: House) -> None:
        with pytest.raises(ConfigError, match=r"listen\.https: 127\.0\.0\.1:\d+: cannot listen there: Address already"):
            await house.web.listen("127.0.0.1", house.port, None, "https")

    run(test)


def test_nothing_is_logged(caplog: Any) -> None:
    async def test(house: House) -> None:
        for text in ("nonsense\n\n", get("/bug"), get("/page")):
            await house.says(text)

    with caplog.at_level(0):
        run(test)
    assert [record.name for record in caplog.records if record.name != "asyncio"] == []


def test_nothing_after_a_mistake_is_parsed_or_held() -> None:
    """Errors whose tracebacks held what they were about stayed until the collector came by."""
    canary = b"canary" * 10_000

    async def test(house: House) -> None:
        gc.collect()
        gc.disable()
        try:
            caller = await house.connect()
            caller.writer.write(b"POST /form/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            for _ in range(20):
                caller.writer.write(canary)
                await asyncio.sleep(0)
            while not await caller.ended():
                pass
            caller.close()
            await asyncio.sleep(0.1)
            held = [each for each in gc.get_objects() if isinstance(each, FrameType) and "http_parser" in repr(each)]
            assert held == []
        finally:
            gc.enable()

    run(test)
