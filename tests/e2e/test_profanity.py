"""profanity, a terminal client on libstrophe, in tmux: login, roster, presence, messages both ways."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quickstart_world import DOMAIN, PASSWORD, WAIT, Friend, Home

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        shutil.which("profanity") is None or shutil.which("tmux") is None,
        reason="Debian's profanity and tmux are not installed",
    ),
]


class Terminal:
    """profanity in a tmux of its own."""

    def __init__(self, folder: Path) -> None:
        self._tmux = ["tmux", "-L", f"quietwire-{uuid.uuid4().hex[:12]}", "-f", "/dev/null"]
        self._environment = {**os.environ, "HOME": str(folder), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        for key in ("TMUX", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            self._environment.pop(key, None)
        self._run("new-session", "-d", "-x", "160", "-y", "50", "profanity")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._environment, capture_output=True, text=True, timeout=WAIT, check=True
        )
        return done.stdout

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)
        self._run("send-keys", "Enter")

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(WAIT):
            while text not in self._run("capture-pane", "-p", "-J"):  # noqa: ASYNC110 - a terminal tells nobody
                await asyncio.sleep(0.1)

    def close(self) -> None:
        self._run("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


@pytest.mark.slow
def test_two_people_talk(home: Home, terminal: Terminal) -> None:
    async def scene() -> None:
        friend = Friend("alice", home)
        messages: asyncio.Queue[Any] = asyncio.Queue()
        friend.add_event_handler("message", messages.put_nowait)
        friend.auto_authorize = friend.auto_subscribe = True
        async with asyncio.timeout(WAIT):
            await friend.dial()
        await friend.get_roster()
        friend.send_presence()
        await terminal.shows("Profanity")
        terminal.type(f"/connect bob@{DOMAIN} server 127.0.0.1 port {home.starttls} tls trust")
        await terminal.shows("Enter password")
        terminal.type(PASSWORD)
        await terminal.shows("logged in successfully")
        terminal.type(f"/roster add alice@{DOMAIN} Allie")
        terminal.type(f"/sub request alice@{DOMAIN}")
        terminal.type(f"/msg alice@{DOMAIN} from the terminal")
        async with asyncio.timeout(WAIT):
            while (message := await messages.get())["body"] != "from the terminal":
                pass
        assert message["from"].bare == f"bob@{DOMAIN}"
        friend.send_message(message["from"], "from the library", mtype="chat")
        await terminal.shows("from the library")
        terminal.type("/roster online")
        terminal.type("/win 1")
        await terminal.shows("Allie")
        terminal.type("/disconnect")
        await terminal.shows("logged out successfully")
        await friend.disconnect()

    asyncio.run(scene())
