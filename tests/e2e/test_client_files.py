"""Files of our own client on our own server: over HTTP, and within a steady link."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from quickstart_world import DOMAIN, make, start

pytest.importorskip("quietwire.client.core", reason="the client's libraries are not installed")
from own_client import Person

from quietwire.client import events
from quietwire.client.files import FileError
from quietwire.shaping.policy import Policy, Profile

pytestmark = pytest.mark.slow

ANN, BEN = f"ann@{DOMAIN}", f"ben@{DOMAIN}"
STEADY = Policy(Profile.STEADY, tick=0.5, fast_tick=0.5, window=30.0)


def test_files_arrive_whichever_way_they_went(tmp_path: Path) -> None:
    home = make(tmp_path / "server", "ann", "ben")
    large, small, folder = tmp_path / "large.bin", tmp_path / "small.txt", tmp_path / "got"
    large.write_bytes(os.urandom(150_000))
    small.write_bytes(os.urandom(3_000))
    folder.mkdir()

    async def run() -> None:
        ann = Person(home, tmp_path, ANN, home.direct, STEADY)
        ben = Person(home, tmp_path, BEN, home.direct, Policy())
        await ann.arrive()
        await ben.arrive()
        try:
            with pytest.raises(FileError, match="leaves the steady link"):
                await ann.client.send_file(BEN, large)
            await ann.client.send_file(BEN, small)
            await ann.client.send_file(BEN, large, leave_link=True)
            await ben.client.send_file(ANN, small)  # its link is not shaped
            await ben.until(lambda: len(offers(ben)) == 2)
            await ann.until(lambda: len(offers(ann)) == 1)
            within, over = offers(ben)
            assert (within.url, within.name, within.size) == ("", "small.txt", 3_000)
            assert over.url.startswith("https://localhost:")
            assert "large" not in over.url
            for offered, path in ((within, small), (over, large)):
                got = await ben.client.fetch(offered, folder, delay=0.1)
                assert (got.name, got.read_bytes()) == (path.name, path.read_bytes())
            (back,) = offers(ann)
            assert back.url
            assert (await ann.client.fetch(back, folder, delay=0.1)).read_bytes() == small.read_bytes()
        finally:
            await ann.leave()
            await ben.leave()

    with (home.folder / "log").open("wb") as log:
        process = start(home, log)
        try:
            asyncio.run(run())
        finally:
            process.terminate()
            process.wait(40)


def offers(person: Person) -> list[events.File]:
    return [event for event in person.seen if isinstance(event, events.File)]
