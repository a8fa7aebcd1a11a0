"""The control socket: one question, one answer, for nobody but its owner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from quietwire.core.errors import QuietwireError
from quietwire.net.control import ask_control, open_control


async def echo(command: str, arguments: dict[str, Any]) -> Any:
    if command == "refuse":
        raise QuietwireError("no such account")
    return [command, arguments]


def with_control(path: Path, use: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        server = await open_control(path, echo)
        try:
            return await use()
        finally:
            server.close()

    return asyncio.run(main())


def test_what_is_asked_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    names = ["ä" * 40_000]  # longer than asyncio's usual line

    async def use() -> Any:
        return await ask_control(path, "account-add", {"names": names})

    assert with_control(path, use) == ["account-add", {"names": names}]


def test_a_refusal_comes_back_as_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(QuietwireError, match="no such account"):
        with_control(path, lambda: ask_control(path, "refuse", {}))


def test_nobody_else_may_ask(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async def use() -> int:
        return path.stat().st_mode & 0o777

    assert with_control(path, use) == 0o600


def test_a_socket_that_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async def use() -> Any:
        return await ask_control(path, "x", {})

    with_control(path, use)
    assert path.exists()
    with pytest.raises(OSError, match="refused"):
        asyncio.run(ask_control(path, "x", {}))
    assert with_control(path, use) == ["x", {}]


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(ask_control(tmp_path / "control.sock", "x", {}))


@pytest.mark.parametrize(
    "line",
    [b"\n", b"nonsense\n", b"[]\n", b'{"command": "x"}\n', b'{"command": "x", "arguments": 3}\n', b"\xff\n", b""],
)
def test_nonsense_is_not_answered_and_hurts_nobody(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "control.sock"

    async def use() -> tuple[bytes, Any]:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer, await ask_control(path, "x", {})

    assert with_control(path, use) == (b"", ["x", {}])


def test_a_server_that_stops_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async def main() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert json.loads(await reader.readline())["command"] == "x"
            writer.close()

        server = await asyncio.start_unix_server(hang_up, path)
        try:
            await ask_control(path, "x", {})
        finally:
            server.close()

    with pytest.raises(QuietwireError, match="did not carry out"):
        asyncio.run(main())
