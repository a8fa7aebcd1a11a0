from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from omemo.storage import NothingException
from test_db import Ring

from quietwire.client.db import Database
from quietwire.client.keys import FromKeyring
from quietwire.client.omemo_library import BatchStorage


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database.open(tmp_path / "s", FromKeyring(Ring(), "a"))


def test_values_come_back_and_go(database: Database) -> None:
    async def run() -> None:
        storage = BatchStorage(database)
        await storage.store("/a", {"n": [1, None, "x"]})
        await storage.store_bytes("/b", b"\x00\xff")
        assert (await storage.load("/a")).from_just() == {"n": [1, None, "x"]}
        assert (await storage.load_bytes("/b")).from_just() == b"\x00\xff"
        await storage.delete("/a")
        with pytest.raises(NothingException):
            (await storage.load("/a")).from_just()

    asyncio.run(run())


def test_in_a_turn_nothing_is_written_before_its_end(database: Database) -> None:
    async def run() -> None:
        storage = BatchStorage(database)
        storage.batch = database.batch()
        await storage.store("/a", 1)
        assert (await storage.load("/a")).from_just() == 1
        await storage.store("/b", 2)
        await storage.delete("/b")
        taken_back, storage.batch = storage.batch, None
        assert (await storage.load("/a")).is_nothing  # the library's own cache would still say 1
        taken_back.commit()
        assert (await storage.load("/a")).from_just() == 1

    asyncio.run(run())
