"""`quietwire shield` beside a client and in front of Debian's Prosody and ejabberd: their users profit unmoved."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from shield_peers import DOMAIN, HOMES, PASSWORD, PROSODY, Peer, ejabberd, prosody
from shield_world import FAST, WAIT, Client, Seen, settle, shield, tap
from slixmpp import JID

from quietwire.shaping.presets import DESKTOP

CELL = DESKTOP.cell + 1 + 16
PEERS = [
    pytest.param(prosody, marks=pytest.mark.skipif(PROSODY is None, reason="Debian's prosody is not installed")),
    pytest.param(ejabberd, marks=pytest.mark.skipif(not HOMES, reason="Debian's ejabberd is not installed")),
]
pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.parametrize("peer", PEERS, ids=["prosody", "ejabberd"])]


@asynccontextmanager
async def beside_a_client(server: Peer) -> AsyncIterator[tuple[int, Path, Seen, str]]:
    """-> (port for clients, whom they trust, what is seen, the way that is shaped)"""
    folder = server.folder / "shield"
    async with tap(server.port) as (port, seen):
        where = ("--server", DOMAIN, "--address", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0")
        helper = shield("client", *where, "--ca-file", str(server.root), "--folder", str(folder), *FAST)
        try:
            yield helper.port, folder / "authority.pem", seen, ">"
        finally:
            assert "carol" not in helper.stop()


@asynccontextmanager
async def in_front_of_it(server: Peer) -> AsyncIterator[tuple[int, Path, Seen, str]]:
    chain, key = server.pair
    where = ("--to", f"127.0.0.1:{server.port}", "--listen", "127.0.0.1:0", "--certificate", chain, "--key", key)
    helper = shield("server", *where, *FAST)
    try:
        async with tap(helper.port) as (port, seen):
            yield port, server.root, seen, "<"
    finally:
        assert "carol" not in helper.stop()


@pytest.mark.parametrize("side", [beside_a_client, in_front_of_it])
def test_a_server_as_it_is(peer: Any, side: Any, tmp_path: Path) -> None:
    async def scene(server: Peer) -> None:
        async with side(server) as (port, root, seen, shaped):
            carol, dave = (Client(f"{name}@{DOMAIN}/x", PASSWORD, port, root) for name in ("carol", "dave"))
            loop = asyncio.get_running_loop()
            try:
                await carol.begin()
                since = loop.time()
                records = len(seen.records)
                await asyncio.sleep(2)
                idle = [size for at, way, size in seen.records[records:] if way == shaped]
                assert set(idle) == {CELL}, "cover"
                assert 14 <= len(idle) <= 24
                await dave.begin()
                carol.send_presence()
                dave.send_presence()
                for number in range(15):
                    text = f"{number} é <&> " + "x" * (number * 97 % 1200)
                    carol.send_message(dave.boundjid, text, mtype="chat")
                    dave.send_message(carol.boundjid, text, mtype="chat")
                async with asyncio.timeout(WAIT):
                    for client in (carol, dave):
                        for number in range(15):
                            body = (await client.inbox.get())["body"]
                            assert body == f"{number} é <&> " + "x" * (number * 97 % 1200)
                talked = {size for at, way, size in seen.records if way == shaped and at >= since}
                # Handshakes of the second client's link are in it; of what is said only whole cells.
                assert [size for size in talked if size > 600] == [CELL]
                lost = loop.create_future()
                carol.add_event_handler("disconnected", lambda _: settle(lost))
                assert carol.plugin["xep_0198"].enabled_out
                for writer in seen.cut:
                    writer.transport.abort()
                async with asyncio.timeout(WAIT):
                    await lost
                    for number in range(5):
                        dave.send_message(carol.boundjid, f"meanwhile {number}", mtype="chat")
                    carol.connect("127.0.0.1", port)
                    await carol.resumed.wait()
            finally:
                await asyncio.gather(carol.disconnect(), dave.disconnect())

    with peer(tmp_path, behind=side is in_front_of_it) as server:
        asyncio.run(scene(server))


def test_a_tunnel_to_it(peer: Any, tmp_path: Path) -> None:
    async def scene(server: Peer) -> None:
        folders = ("--folder", str(tmp_path / "far")), ("--folder", str(tmp_path / "near"))
        far = shield("tunnel-server", "--to", f"127.0.0.1:{server.port}", "--listen", "127.0.0.1:0", *folders[0], *FAST)
        async with tap(far.port) as (port, seen):
            to = ("--to", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0", "--pin", far.said[-1].split()[-1])
            near = shield("tunnel-client", *to, *folders[1], *FAST)
            carol = Client(f"carol@{DOMAIN}/x", PASSWORD, near.port, server.root)
            try:
                await carol.begin()
                since = asyncio.get_running_loop().time()
                async with asyncio.timeout(WAIT):
                    await carol.plugin["xep_0030"].get_info(jid=JID(DOMAIN))
                await asyncio.sleep(1)
                for way in "<>":
                    assert set(seen.sizes(way, since)) == {CELL}
                    gaps = [b - a for a, b in itertools.pairwise(seen.times(way, since))]
                    assert sum(0.05 < gap < 0.15 for gap in gaps) >= 0.7 * len(gaps), gaps
            finally:
                await carol.disconnect()
                near.stop()
                far.stop()

    with peer(tmp_path, behind=False) as server:
        asyncio.run(scene(server))
