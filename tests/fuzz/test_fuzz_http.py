"""The web port, spoken to in broken HTTP over loopback: each connection gets answers or its end, no handler gets what
it cannot take, and there is no fault."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from words import examples

from quietwire.net.http import Web
from quietwire.net.shell import Shell
from quietwire.server.http import Request, Response

PATIENCE = 60.0
WAITS = 0.1
"""Seconds for an answer to what may be half a request: a later one is not looked at, but faults are."""
PATHS = (
    b"/page", b"/form/x", b"/form/%2e%2e/%2E%2E/etc/passwd", b"/form/../../etc/passwd", b"/form/%00", b"/form/\xff",
    b"/",
    b"/form/%ff%fe", b"/form/\xc3\xa9", b"*", b"//form/x", b"http://other.example/page", b"/form/" + b"a" * 3000,
    b"/form/" + b"a" * 5000, b"/page?a=%zz&b=%ff&a=\xff", b"/page#x", b"/form/%u0041", b"/form\\x", b"",
    b"/form/\x7f\x01",
    b"http://[::1", b"http://[", b"//[", b"//]/form/x", b"http://a:99999999/page", b"/form/x:@[", b"page:99999",
)  # fmt: skip
METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"CONNECT", b"TRACE", b"\x00", b"GET GET", b"PRI")
VERSIONS = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"")
HEADERS = (
    b"Host: a.example", b"Host:", b"Host: [", b"Content-Length: 3", b"Content-Length: -1",
    b"Content-Length: 99999999999999",
    b"Content-Length: 3, 4", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue",
    b"Expect: x", b"Connection: close", b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c",
    b"Content-Type: ;;;",
    b"Content-Type: application/x-www-form-urlencoded; charset=utf-16", b"Range: bytes=0-0,-1,9-1", b"X: \xff\x00",
    b": x",
    b"X" * 200 + b": " + b"y" * 3000, b"Content-Encoding: gzip", b"Cookie: \x80", b" folded", b"X : y", b"If-Range: x",
)  # fmt: skip
BODIES = (
    b"",
    b"abc",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"fffffffff\r\nx",
    b"-1\r\n",
    b"name=%ff&password=%00",
    b"\x1f\x8b",
    b"0\r\n\r\n",
)
REQUEST = st.builds(
    lambda method, path, version, headers, body, cut: b"\r\n".join(
        (b" ".join((method, path, version)), *headers, b"", body)
    )[: cut or None],
    st.sampled_from(METHODS),
    st.sampled_from(PATHS),
    st.sampled_from(VERSIONS),
    st.lists(st.sampled_from(HEADERS), max_size=4, unique=True),
    st.sampled_from(BODIES),
    st.sampled_from((0, 0, 0, 0, 0, 0, 3, 20, 60)),
)


async def said(port: int, requests: Sequence[bytes], patience: float) -> bytes:
    """What comes on a connection that sends these: until its end, or until the server waits for more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        for request in requests:
            writer.write(request)
        async with asyncio.timeout(patience):
            while piece := await reader.read(65_536):
                got += piece
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return got


async def talk(requests: Sequence[bytes]) -> None:
    faults: list[BaseException] = []

    async def page(request: Request) -> Response:
        request.path.encode()
        (repr(request.query) + repr(request.headers)).isprintable()
        assert request.path.startswith(("/page", "/form/"))
        return Response(200, b"here")

    web = Web(Shell(asyncio.get_running_loop()), faults.append)
    web.route("GET", "/page", page)
    web.route("POST", "/form/*", page)
    web.route("GET", "/form/*", page)
    port = await web.listen("127.0.0.1", 0, None, "web")
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await said(port, requests, WAITS)
            assert not answer or answer.startswith(b"HTTP/"), answer[:80]
            good = b"GET /page HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
            assert (await said(port, [good], PATIENCE)).endswith(b"here"), "it goes on"
    finally:
        await web.stop()
    assert not faults, (faults, requests)
    assert b"500" not in answer.partition(b"\r\n")[0]


@examples(80)
@given(st.lists(REQUEST, min_size=1, max_size=3))
def test_whatever_is_asked(requests: list[bytes]) -> None:
    asyncio.run(talk(requests))


def test_every_path() -> None:
    for method in (b"GET", b"POST"):
        for path in PATHS:
            asyncio.run(talk([b"%b %b HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n" % (method, path)]))
