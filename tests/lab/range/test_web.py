from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quietwire.lab.range.web import WebError, transfer
from quietwire.seal.authority import Authority, new_p256_key


def ask(tmp_path: Path, answer: bytes, body: bytes | None = None, length: int = 0) -> tuple[object, bytes, list[int]]:
    """-> what came of it, what the server was told, the ports of links."""
    authority = Authority("test", now=time.time(), days=1, new_key=new_p256_key, random=secrets.token_bytes)
    issued = authority.issue(["upload.a.example"])
    for name, content in (("ca", authority.certificate), ("crt", issued.certificate), ("key", issued.key)):
        (tmp_path / name).write_bytes(content)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    told = b""
    ports: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal told
        told = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(length)
        writer.write(answer)
        writer.close()

    async def go() -> object:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=served)
        async with server:
            port = server.sockets[0].getsockname()[1]
            context = ssl.create_default_context(cafile=str(tmp_path / "ca"))
            url = "https://upload.a.example:1/x/y?z=1"
            on_link: Callable[[int], None] = ports.append
            try:
                return await transfer(port, url, context, on_link=on_link, body=body, headers={"Authorization": "t"})
            except WebError as error:
                return error

    return asyncio.run(go()), told, ports


def test_a_file_is_put(tmp_path: Path) -> None:
    found, told, ports = ask(tmp_path, b"HTTP/1.1 201 Created\r\n\r\n", b"12345", 5)
    assert found == 5
    head, _, body = told.partition(b"\r\n\r\n")
    assert body == b"12345"
    assert head.startswith(b"PUT /x/y?z=1 HTTP/1.1\r\nHost: upload.a.example:1\r\n")
    assert b"\r\nAuthorization: t\r\n" in head
    assert len(ports) == 1


@pytest.mark.parametrize("head", [b"Content-Length: 3\r\n", b""])
def test_a_file_is_fetched(tmp_path: Path, head: bytes) -> None:
    found, told, _ = ask(tmp_path, b"HTTP/1.1 200 OK\r\n" + head + b"\r\nabc")
    assert found == 3
    assert told.startswith(b"GET /x/y?z=1 ")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"", b"no words", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"]
)
def test_what_goes_wrong_is_one_line(tmp_path: Path, answer: bytes) -> None:
    found, _, _ = ask(tmp_path, answer)
    assert isinstance(found, WebError)
    assert "\n" not in str(found)
