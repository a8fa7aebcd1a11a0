"""`quietwire shield` as processes: slixmpp, which knows nothing of it, at Quietwire, and a watcher of the link."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from quickstart_world import PASSWORD, Home
from shield_world import FAST, WAIT, Client, Helper, settle, shield, tap
from slixmpp import JID

from quietwire.shaping.presets import DESKTOP

CELL = DESKTOP.cell + 1 + 16
"""In a record of TLS 1.3: the cell, its type, the tag."""


def beside(home: Home, port: int, folder: Path, *more: str) -> Helper:
    where = ("--server", "localhost", "--address", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0")
    return shield("client", *where, "--ca-file", str(home.authority), "--folder", str(folder), *FAST, *more)


def steady(times: list[float], sizes: list[int]) -> None:
    """One size, and gaps of whole ticks but for what a busy machine adds."""
    assert set(sizes) == {CELL}
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert sum(0.05 < gap < 0.15 for gap in gaps) >= 0.8 * len(gaps), gaps


async def talk(first: Client, second: Client, count: int = 20) -> None:
    for number in range(count):
        first.send_message(second.boundjid, f"{number} é <&> " + "x" * (number * 61 % 900), mtype="chat")
    async with asyncio.timeout(WAIT):
        for number in range(count):
            assert (await second.inbox.get())["body"] == f"{number} é <&> " + "x" * (number * 61 % 900)


@pytest.mark.slow
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_a_client_behind_a_shield(home: Home, tmp_path: Path, direct: bool) -> None:
    async def scene() -> None:
        async with tap(home.direct if direct else home.starttls) as (port, seen):
            more = ("--direct-tls", "--listen", "", "--listen-tls", "127.0.0.1:0") if direct else ()
            helper = beside(home, port, tmp_path, *more)
            alice = Client("alice@localhost/a", PASSWORD, helper.port, tmp_path / "authority.pem", direct=direct)
            bob = Client("bob@localhost/b", PASSWORD, home.direct, home.authority, direct=True)
            try:
                await asyncio.gather(alice.begin(), bob.begin())
                since = asyncio.get_running_loop().time()
                await talk(alice, bob)
                await talk(bob, alice)
                assert alice.plugin["xep_0198"].enabled_out
                await asyncio.sleep(2)  # and a while of nothing: the link looks the same
                steady(seen.times(">", since), seen.sizes(">", since))
                assert set(seen.sizes("<", since)) != {CELL}, "only the server could shape that"
                assert b"alice" not in seen.plain
            finally:
                await asyncio.gather(alice.disconnect(), bob.disconnect())
                said = helper.stop()
        assert "pinned localhost's key sha256/" in said
        assert helper.process.returncode == 0
        for secret in ("alice", "bob", PASSWORD, "é"):
            assert secret not in said

    asyncio.run(scene())


@pytest.mark.slow
def test_a_session_is_resumed_through_a_shield_and_loses_nothing(home: Home, tmp_path: Path) -> None:
    async def scene() -> None:
        async with tap(home.starttls) as (port, seen):
            helper = beside(home, port, tmp_path)
            alice = Client("alice@localhost/a", PASSWORD, helper.port, tmp_path / "authority.pem")
            bob = Client("bob@localhost/b", PASSWORD, home.direct, home.authority, direct=True)
            try:
                await asyncio.gather(alice.begin(), bob.begin())
                alice.send_presence()
                await talk(alice, bob, 5)
                lost = asyncio.get_running_loop().create_future()
                alice.add_event_handler("disconnected", lambda _: settle(lost))
                for number in range(10):
                    alice.send_message(bob.boundjid, f"late {number}", mtype="chat")
                for writer in seen.cut:
                    writer.transport.abort()  # as a network that fails, with some of them on the way
                bob.send_message(JID("alice@localhost"), "while you were away", mtype="chat")
                async with asyncio.timeout(WAIT):
                    await lost
                    alice.connect("127.0.0.1", helper.port)
                    await alice.resumed.wait()
                    assert [(await bob.inbox.get())["body"] for _ in range(10)] == [f"late {n}" for n in range(10)]
                    assert (await alice.inbox.get())["body"] == "while you were away"
                assert seen.links == 2
            finally:
                await asyncio.gather(alice.disconnect(), bob.disconnect())
                helper.stop()

    asyncio.run(scene())


@pytest.mark.slow
def test_a_flood_waits_in_the_client_and_loses_nothing(home: Home, tmp_path: Path) -> None:
    """Fifteen times what may wait, at 40 KB a second."""

    async def scene() -> None:
        async with tap(home.starttls) as (port, seen):
            helper = beside(home, port, tmp_path, "--cell", "4094", "--queue", "20000")
            alice = Client("alice@localhost/a", PASSWORD, helper.port, tmp_path / "authority.pem")
            bob = Client("bob@localhost/b", PASSWORD, home.direct, home.authority, direct=True)
            try:
                await asyncio.gather(alice.begin(), bob.begin())
                since = asyncio.get_running_loop().time()
                for number in range(150):
                    alice.send_message(bob.boundjid, f"{number} " + "flood " * 330, mtype="chat")
                async with asyncio.timeout(WAIT):
                    for number in range(150):
                        assert (await bob.inbox.get())["body"] == f"{number} " + "flood " * 330
                assert set(seen.sizes(">", since)) == {4094 + 17}
            finally:
                await asyncio.gather(alice.disconnect(), bob.disconnect())
                helper.stop()

    asyncio.run(scene())


@pytest.mark.parametrize("given", [True, False], ids=["a pin that was given", "a pin that was kept"])
def test_a_wrong_key_is_refused_and_it_is_said_what_to_do(home: Home, tmp_path: Path, given: bool) -> None:
    wrong = "sha256/" + "A" * 43 + "="
    if not given:
        (tmp_path / "server.pin").write_text(wrong + "\n")

    async def scene() -> None:
        helper = beside(home, home.starttls, tmp_path, *(("--pin", wrong) if given else ()))
        alice = Client("alice@localhost/a", PASSWORD, helper.port, tmp_path / "authority.pem")
        refused = asyncio.get_running_loop().create_future()
        alice.add_event_handler("stream_error", lambda error: settle(refused, error))
        alice.connect("127.0.0.1", helper.port)
        try:
            async with asyncio.timeout(WAIT):
                error = await refused
            assert error["condition"] == "remote-connection-failed"
            assert "shows another key" in error["text"]
        finally:
            await alice.disconnect()
            said = helper.stop()
        assert f"if so, {'name it' if given else 'remove ' + str(tmp_path / 'server.pin')}" in said

    asyncio.run(scene())


@pytest.mark.slow
def test_a_tunnel_shows_nothing_in_either_direction_and_binds_the_channel(home: Home, tmp_path: Path) -> None:
    async def scene() -> None:
        folder = ("--folder", str(tmp_path / "far"))
        far = shield("tunnel-server", "--to", f"127.0.0.1:{home.starttls}", "--listen", "127.0.0.1:0", *folder, *FAST)
        pin = far.said[-1].split()[-1]
        async with tap(far.port) as (port, seen):
            to = ("--to", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0", "--folder", str(tmp_path / "near"))
            near = shield("tunnel-client", *to, "--pin", pin, *FAST)
            alice = Client("alice@localhost/a", PASSWORD, near.port, home.authority)
            bob = Client("bob@localhost/b", PASSWORD, home.direct, home.authority, direct=True)
            offered: list[set[str]] = []
            alice.add_event_handler(
                "auth_success", lambda _: offered.append(set(alice.plugin["feature_mechanisms"].mech_list))
            )
            try:
                await asyncio.gather(alice.begin(), bob.begin())
                since = asyncio.get_running_loop().time()
                await talk(alice, bob)
                await talk(bob, alice)
                await asyncio.sleep(1)
                for way in "<>":
                    steady(seen.times(way, since), seen.sizes(way, since))
                assert any(name.endswith("-PLUS") for name in offered[0]), "the server's own offer, whole"
                assert not seen.plain
            finally:
                await asyncio.gather(alice.disconnect(), bob.disconnect())
                near.stop()
                far.stop()
        assert (near.process.returncode, far.process.returncode) == (0, 0)

    asyncio.run(scene())
