"""Fixtures of the client's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from foreign_server import Server, start
from test_db import Ring
from town import FakeAdapter, Run, Town

from quietwire.client import core


@pytest.fixture(scope="session")
def prosody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from start(tmp_path_factory.mktemp("prosody"))


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(test: Callable[[Town], Awaitable[None]]) -> None:
        async def main() -> None:
            made = Town(tmp_path)
            monkeypatch.setattr(FakeAdapter, "server", made.server, raising=False)
            try:
                async with asyncio.timeout(20):
                    await test(made)
            finally:
                for client in made.clients:
                    await client.close()

        asyncio.run(main())

    rings: dict[str, Ring] = {}
    monkeypatch.setattr(core, "Adapter", FakeAdapter)
    monkeypatch.setattr(core, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(core, "_source", lambda jid, passphrase: core.FromKeyring(rings.setdefault(jid, Ring()), jid))
    return run
