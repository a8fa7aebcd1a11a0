"""Other clients behind `quietwire shield` and before it: profanity (libstrophe), @xmpp/client (SASL2, FAST)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quickstart_world import DOMAIN, PASSWORD, WAIT, Home
from shield_peers import DOMAIN as THEIRS
from shield_peers import PASSWORD as THEIR_PASSWORD
from shield_peers import PROSODY, prosody
from shield_world import FAST, Client, Helper, shield
from test_profanity import Terminal, terminal
from test_xmpp_js import library, run

__all__ = ["library", "terminal"]  # fixtures

pytestmark = [pytest.mark.peer, pytest.mark.slow]


@pytest.fixture
def helper(home: Home, tmp_path: Path) -> Iterator[Helper]:
    """Beside a client of the quickstart's server."""
    where = ("--server", DOMAIN, "--address", f"127.0.0.1:{home.starttls}", "--listen", "127.0.0.1:0")
    running = shield("client", *where, "--ca-file", str(home.authority), "--folder", str(tmp_path / "shield"), *FAST)
    yield running
    running.stop()


@pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js with npm is not installed")
def test_sasl2_bind2_and_a_token_that_binds_nothing(library: Path, helper: Helper, tmp_path: Path) -> None:
    told: Any = run(library, Home(tmp_path / "shield", helper.port, 0), f"xmpp://{DOMAIN}:{helper.port}")
    assert "error" not in told, told
    assert told["mechanisms"][0]["offered"] == ["PLAIN"], "the helper logs in by itself"
    for session in (told["first"], told["second"]):
        assert session["managed"] is True
        assert session["token"] == "HT-SHA-256-NONE"
        assert session["auth"] == [["password", "fast"]]
    elements = [name for name, _ in told["elements"]]
    assert "challenge" not in elements, "SCRAM is between helper and server"
    assert elements.count("success") == 2


async def chat(terminal: Terminal, jid: str, port: int, password: str, friend: Client) -> None:
    await friend.begin()
    friend.send_presence()
    await terminal.shows("Profanity")
    terminal.type(f"/connect {jid} server 127.0.0.1 port {port} tls trust")
    await terminal.shows("Enter password")
    terminal.type(password)
    await terminal.shows("logged in successfully")
    terminal.type(f"/msg {friend.boundjid.bare} from the terminal")
    async with asyncio.timeout(WAIT):
        while (message := await friend.inbox.get())["body"] != "from the terminal":
            pass
    friend.send_message(message["from"], "from the library", mtype="chat")
    await terminal.shows("from the library")
    terminal.type("/disconnect")
    await terminal.shows("logged out successfully")
    await friend.disconnect()


MISSING = shutil.which("profanity") is None or shutil.which("tmux") is None


@pytest.mark.skipif(MISSING, reason="Debian's profanity and tmux are not installed")
def test_profanity_behind_it(home: Home, helper: Helper, terminal: Terminal) -> None:
    async def scene() -> None:
        friend = Client(f"alice@{DOMAIN}/x", PASSWORD, home.starttls, home.authority)
        await chat(terminal, f"bob@{DOMAIN}", helper.port, PASSWORD, friend)

    asyncio.run(scene())


@pytest.mark.skipif(MISSING or PROSODY is None, reason="Debian's profanity, tmux and prosody are not installed")
def test_profanity_before_one_in_front_of_prosody(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "peer").mkdir()
    with prosody(tmp_path / "peer", behind=True) as server:
        chain, key = server.pair
        to = ("--to", f"127.0.0.1:{server.port}", "--listen", "127.0.0.1:0", "--certificate", chain, "--key", key)
        running = shield("server", *to, *FAST)

        async def scene() -> None:
            friend = Client(f"carol@{THEIRS}/x", THEIR_PASSWORD, running.port, server.root)
            await chat(terminal, f"dave@{THEIRS}", running.port, THEIR_PASSWORD, friend)

        try:
            asyncio.run(scene())
        finally:
            running.stop()
