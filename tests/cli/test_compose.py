"""The server put together from a configuration: what it opens, what it refuses, and that commands reach it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import sqlite3
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from quietwire.cli import compose as compose_module
from quietwire.cli.commands import administrate
from quietwire.cli.compose import DATABASE, Composition, compose, open_keeper, open_storage
from quietwire.cli.config import Config, load
from quietwire.cli.logs import Log
from quietwire.cli.quickstart import prepare
from quietwire.cli.serve import take_commands
from quietwire.core.errors import ConfigError, QuietwireError
from quietwire.net.shell import Shell
from quietwire.server.http import Request, Response
from quietwire.server.module import Context, HttpRoute, Module
from quietwire.server.sealed.keeper import Keeper


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
    async def use(composition: Composition) -> dict[str, Any]:
        await asyncio.to_thread(administrate, config, "account-add", name="bob", password="secret")
        with pytest.raises(QuietwireError, match="no such command"):
            await asyncio.to_thread(administrate, config, "nosuch")
        listed = await asyncio.to_thread(administrate, config, "account-list")
        assert isinstance(listed, dict)
        return listed

    both = {"accounts": 2, "unlocked": []}
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
    key_file(config).unlink()

    async def main() -> None:
        await compose(config, Log("error", io.StringIO()))

    with pytest.raises(ConfigError, match=r"tls\.certificate: cannot be read"):
        asyncio.run(main())
    assert not key_file(config).exists()


def key_file(config: Config) -> Path:
    return Path(config.key_source().name)


def opened(config: Config, log: Log | None = None) -> Keeper:
    """As at a start, and at its end the database is closed."""

    async def main() -> Keeper:
        shell = Shell(asyncio.get_running_loop())
        storage = open_storage(config, shell, log or Log("error", io.StringIO()))
        try:
            return await open_keeper(config, storage, log or Log("error", io.StringIO()))
        finally:
            storage.close()
            shell.close()

    return asyncio.run(main())


def test_the_server_key_is_made_once_and_for_its_owner(config: Config) -> None:
    key = key_file(config).read_bytes()
    assert len(key) == 32
    assert key_file(config).stat().st_mode & 0o777 == 0o600
    first, second = opened(config), opened(config)
    assert (first.keys.index, first.keys.login) == (second.keys.index, second.keys.login)
    assert key_file(config).read_bytes() == key
    assert key not in (config.data / DATABASE).read_bytes()


def refused(config: Config) -> str:
    """In one line, and what is there stays."""
    before = (config.data / DATABASE).read_bytes()
    with pytest.raises(ConfigError) as caught:
        opened(config)
    assert (config.data / DATABASE).read_bytes() == before
    (line,) = str(caught.value).splitlines()
    return line


def test_without_its_key_a_database_is_not_opened_and_no_key_is_made(config: Config) -> None:
    kept = key_file(config).read_bytes()
    key_file(config).unlink()
    assert f"server_key: not there, and the database in {config.data} cannot be opened without it" in refused(config)
    assert not key_file(config).exists()
    key_file(config).write_bytes(bytes(32))
    assert "server_key: does not open the database" in refused(config)
    key_file(config).write_bytes(b"short")
    assert "that is no server key: 32 random bytes" in refused(config)
    key_file(config).unlink()
    key_file(config).mkdir()
    assert "server_key: cannot be read: Is a directory" in refused(config)
    key_file(config).rmdir()
    key_file(config).write_bytes(kept)
    assert opened(config).shown()["data_keys"] == 1


def test_a_key_that_others_may_read_is_tightened(config: Config) -> None:
    key_file(config).chmod(0o644)
    log = io.StringIO()
    opened(config, Log("info", log))
    assert key_file(config).stat().st_mode & 0o777 == 0o600
    assert "server-key-tightened" in log.getvalue()


def change(config: Config, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(config.data / DATABASE)) as database:
        database.execute(statement)
        database.commit()


def test_a_database_that_has_lost_its_block_is_not_given_another(config: Config) -> None:
    change(config, "DELETE FROM server")
    assert "the key block is missing: restore a backup" in refused(config)


def test_a_block_that_is_spoilt(config: Config) -> None:
    change(config, "UPDATE server SET value = x'01'")
    assert "the key block is damaged" in refused(config)


def test_a_database_from_before_the_block_keeps_the_secret_of_its_logins(config: Config) -> None:
    for table in ("account", "server"):
        change(config, f"DELETE FROM {table}")
    change(config, "INSERT INTO old_account VALUES (x'61', x'62', x'63')")
    key = key_file(config).read_bytes()
    assert opened(config).keys.login == key
    change(config, "DELETE FROM server")
    key_file(config).unlink()
    log = io.StringIO()
    assert opened(config, Log("info", log)).keys.login not in (key, key_file(config).read_bytes())
    assert "server-key-made" in log.getvalue()


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
