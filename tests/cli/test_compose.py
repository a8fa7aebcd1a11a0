"""The server put together from a configuration: what it opens, what it refuses, and that commands reach it."""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from quietwire.cli import compose as compose_module
from quietwire.cli.commands import administrate
from quietwire.cli.compose import Composition, compose, read_server_key
from quietwire.cli.config import Config, load
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.cli.serve import take_commands
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.server.http import Request, Response
from quietwire.server.module import Context, HttpRoute, Module


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(prepare(tmp_path / "server", "chat.example", "alice")[0])


def running(config: Config, use: Callable[[Composition], Awaitable[Any]]) -> Any:
    """What `use` returns while the server runs."""

    async def main() -> Any:
        composition = await compose(config, Log("error", io.StringIO()))
        await take_commands(composition)
        try:
            return await use(composition)
        finally:
            await composition.stop()

    return asyncio.run(main())


def test_it_listens_where_it_was_told(config: Config) -> None:
    async def use(composition: Composition) -> dict[str, int]:
        for port in composition.ports.values():
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
        return composition.ports

    assert running(config, use) == {
        "c2s": config.listen.c2s,
        "c2s_tls": config.listen.c2s_tls,
        "https": config.listen.https,
    }


def test_clients_of_this_machine_need_no_tls(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = config.listen.model_copy(update={"address": "", "c2s_local": port})

    async def use(composition: Composition) -> bytes:
        (opened,) = [listener for listener in composition.daemon.listeners if listener.key == "c2s_local"]
        assert opened.address == "127.0.0.1"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            b"to='chat.example' version='1.0'>"
        )
        said = await asyncio.wait_for(reader.readuntil(b"</stream:features>"), 10)
        writer.close()
        return said

    said = running(config.model_copy(update={"listen": listen}), use)
    assert b"<starttls" not in said
    assert b"<mechanism>SCRAM-SHA-256</mechanism>" in said
    assert b"-PLUS</mechanism>" not in said


def test_after_it_stopped_nobody_listens(config: Config) -> None:
    async def use(composition: Composition) -> None:
        return None

    running(config, use)
    for port in (config.listen.c2s, config.listen.c2s_tls, config.listen.https):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)


def test_commands_reach_a_running_server_and_a_stopped_one(config: Config) -> None:
    async def use(composition: Composition) -> list[str]:
        await asyncio.to_thread(administrate, config, "account-add", name="bob", password="secret")
        with pytest.raises(QuietwireError, match="no such command"):
            await asyncio.to_thread(administrate, config, "nosuch")
        listed = await asyncio.to_thread(administrate, config, "account-list")
        assert isinstance(listed, list)
        return listed

    both = ["alice@chat.example", "bob@chat.example"]
    assert running(config, use) == both
    assert administrate(config, "account-list") == both


def test_one_data_directory_has_one_server(config: Config) -> None:
    async def use(composition: Composition) -> None:
        with pytest.raises(ConfigError, match="already in use by a running server"):
            await compose(config, Log("error", io.StringIO()))

    running(config, use)


def test_a_port_in_use_is_named(config: Config) -> None:
    async def main() -> None:
        await compose(config, Log("error", io.StringIO()))

    with socket.create_server(("127.0.0.1", config.listen.c2s)), pytest.raises(ConfigError) as caught:
        asyncio.run(main())
    said = str(caught.value)
    assert said == f"listen.c2s: 127.0.0.1:{config.listen.c2s}: cannot listen there: Address already in use"


def test_a_certificate_that_is_missing_is_named_before_anything_is_made(config: Config) -> None:
    config.tls.certificate.unlink()
    config.server_key.unlink()

    async def main() -> None:
        await compose(config, Log("error", io.StringIO()))

    with pytest.raises(ConfigError, match=r"tls\.certificate: cannot be read"):
        asyncio.run(main())
    assert not config.server_key.exists()


def test_the_server_key_is_made_once_and_for_its_owner(config: Config) -> None:
    key = read_server_key(config)
    assert len(key) == 32
    assert config.server_key.stat().st_mode & 0o777 == 0o600
    assert read_server_key(config) == key


def test_a_server_key_of_another_length_is_refused(config: Config) -> None:
    config.server_key.write_bytes(b"short")
    with pytest.raises(ConfigError, match="a file of 32 random bytes"):
        read_server_key(config)


def test_a_server_key_that_cannot_be_read(config: Config) -> None:
    config.server_key.unlink()
    config.server_key.mkdir()
    with pytest.raises(ConfigError, match="server_key: cannot be read: Is a directory"):
        read_server_key(config)


def test_a_module_is_asked_by_browsers(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async def page(context: Context, request: Request) -> Response:
        return Response(200, f"{context.domain.text} {context.ports['web']} {request.path}".encode())

    module = Module("page", None, (), (HttpRoute("GET", "/page/*", page),), (), "nothing", needs=("web",))
    monkeypatch.setattr(compose_module, "discover", lambda: (module,))

    async def use(composition: Composition) -> bytes:
        trusting = ssl.create_default_context(cafile=config.data.parent / "authority.pem")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", composition.ports["https"], ssl=trusting, server_hostname="chat.example"
        )
        writer.write(b"GET /page/1 HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n\r\n")[2]

    assert running(config, use).decode() == f"chat.example {config.web_url()} /page/1"
