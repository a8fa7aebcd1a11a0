"""Clients that know nothing of it on shaped links: everything arrives, in order, acknowledged and resumed; a flood
loses nothing and stalls nobody."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quickstart_world import DOMAIN, Friend, Home, make, start
from slixmpp.xmlstream import ET

WAIT = 90.0
FAST = "[links]\nprofile = 'steady'\ncell = 510\ntick = 0.2\nfast_tick = 0.1\nwindow = 5\nbulk_every = 20\n"
SLOW = (
    "[links]\nprofile = 'steady'\ncell = 510\ntick = 0.5\nfast_tick = 0.1\nwindow = 4\nbulk_every = 0\nqueue = 4096\n"
)
JITTER = "[links]\nprofile = 'jitter'\ndelay = 0.1\nbatch = 0.05\n"
NS = "urn:quietwire:links:0"


@contextlib.contextmanager
def running(folder: Path, links: str, *names: str) -> Iterator[Home]:
    home = make(folder, *names)
    config = folder / "quietwire.toml"
    config.write_text(config.read_text() + links)
    with (folder / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = start(home, log)
        try:
            yield home
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=60)
            log.write(rest)
    assert process.returncode == 0
    assert "fault" not in home.log


@pytest.fixture(
    scope="module", params=[FAST, JITTER, "[links]\nprofile = 'padded'\n"], ids=["steady", "jitter", "padded"]
)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with running(tmp_path_factory.mktemp("links") / "server", request.param, "alice", "bob", "carol") as found:
        yield found


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with running(tmp_path_factory.mktemp("slow") / "server", SLOW, "alice", "bob", "carol") as found:
        yield found


def inbox(client: Friend) -> asyncio.Queue[tuple[str, str]]:
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    client.add_event_handler("message", lambda message: queue.put_nowait((message["from"].local, message["body"])))
    return queue


@contextlib.asynccontextmanager
async def people(home: Home, *names: str, direct: bool = True) -> Any:
    clients = [Friend(name, home, direct=direct) for name in names]
    try:
        async with asyncio.timeout(WAIT):
            await asyncio.gather(*(client.dial() for client in clients))
            for client in clients:
                client.send_presence()
            yield clients
    finally:
        for client in clients:
            await client.disconnect()


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_everything_arrives_in_order(home: Home, direct: bool) -> None:
    async def scene() -> None:
        async with people(home, "alice", "bob", direct=direct) as (alice, bob):
            got = inbox(bob)
            assert bob.plugin["xep_0198"].enabled_out
            texts = [f"{number} <&> é😀 " + "x" * (number * 97 % 1500) for number in range(20)]
            for text in texts:
                alice.send_message(bob.boundjid.bare, text, mtype="chat")
            assert [(await got.get())[1] for _ in texts] == texts
            assert await alice.plugin["xep_0199"].ping(bob.boundjid, timeout=WAIT) >= 0

    asyncio.run(scene())


def test_a_session_is_resumed_and_nothing_is_there_twice(home: Home) -> None:
    async def scene() -> None:
        async with people(home, "alice", "bob") as (alice, bob):
            got = inbox(bob)
            alice.send_message(bob.boundjid.bare, "before", mtype="chat")
            assert (await got.get())[1] == "before"
            resumed = asyncio.get_running_loop().create_future()
            bob.add_event_handler("session_resumed", lambda _: resumed.done() or resumed.set_result(None))
            bob.transport.abort()
            for number in range(5):
                alice.send_message(bob.boundjid.bare, f"meanwhile {number}", mtype="chat")
            bob.connect("127.0.0.1", home.direct)
            await resumed
            alice.send_message(bob.boundjid.bare, "after", mtype="chat")
            expected = [f"meanwhile {number}" for number in range(5)] + ["after"]
            assert [(await got.get())[1] for _ in expected] == expected

    asyncio.run(scene())


@pytest.mark.slow
def test_a_flood_loses_nothing_and_stalls_nobody(slow: Home) -> None:
    """Ten times what may wait, at 1,020 bytes a second: most of it stays in the spool meanwhile."""

    async def scene() -> None:
        async with people(slow, "alice", "bob", "carol") as (alice, bob, carol):
            got = inbox(alice)
            texts = [f"{number} " + "flood " * 150 for number in range(40)]
            for text in texts:
                bob.send_message(alice.boundjid.bare, text, mtype="chat")
            while (await got.get())[0] != "bob":
                pass
            began = time.monotonic()
            carol.send_message(alice.boundjid.bare, "are you there?", mtype="chat")
            seen = 1
            while (await got.get())[0] != "carol":
                seen += 1
            assert seen < 12
            assert time.monotonic() - began < 15
            rest = [(await got.get())[1] for _ in range(len(texts) - seen)]
            assert rest == texts[seen:]
            await asyncio.sleep(0)
            assert got.empty()

    asyncio.run(scene())


def test_a_client_chooses_the_profile_of_its_link(slow: Home) -> None:
    async def scene() -> None:
        async with people(slow, "alice") as (alice,):
            info = await alice.plugin["xep_0030"].get_info(jid=DOMAIN)
            assert NS in info["disco_info"]["features"]
            iq = alice.make_iq_set()
            iq.append(ET.Element(f"{{{NS}}}link", {"profile": "off"}))
            answer = await iq.send(timeout=WAIT)
            assert answer.xml.find(f"{{{NS}}}link").attrib == {"profile": "off"}
            began = time.monotonic()
            for _ in range(10):
                await alice.plugin["xep_0199"].ping(DOMAIN, timeout=WAIT)
            assert time.monotonic() - began < 2.0, "none of them waited for a cell"
            iq = alice.make_iq_set()
            iq.append(ET.Element(f"{{{NS}}}link", {"profile": "steady", "tick": "1", "fast-tick": "1", "window": "0"}))
            answer = await iq.send(timeout=WAIT)
            assert answer.xml.find(f"{{{NS}}}link").get("tick") == "1"
            began = time.monotonic()
            for _ in range(3):
                await alice.plugin["xep_0199"].ping(DOMAIN, timeout=WAIT)
            assert time.monotonic() - began > 1.9

    asyncio.run(scene())
