"""A terminal program in a tmux of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping

from stage import WAIT, Missed


class Terminal:
    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        self._tmux = ["tmux", "-L", f"quietwire-{uuid.uuid4().hex[:12]}", "-f", "/dev/null"]
        self._environment = {**environment, "TERM": "xterm-256color"}
        self._run("new-session", "-d", "-x", "160", "-y", "50", command)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._environment, capture_output=True, text=True, timeout=WAIT, check=True
        )
        return done.stdout

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-J")

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)
        self._run("send-keys", "Enter")

    async def shows(self, *texts: str) -> None:
        """One of them. Raises Missed."""
        screen = ""
        try:
            async with asyncio.timeout(WAIT):
                while not any(text in screen for text in texts):
                    await asyncio.sleep(0.1)
                    screen = self.screen
        except TimeoutError:
            raise Missed(f"{texts[0]!r} was not shown, but {' '.join(screen.split())[-200:]}") from None

    async def slowly(self, text: str) -> None:
        """As fingers do it: for programs that take what comes at once for something pasted."""
        self._run("send-keys", "-l", text[0])
        await asyncio.sleep(0.5)
        self._run("send-keys", "-l", text[1:])
        await asyncio.sleep(1)
        self._run("send-keys", "Enter")

    def close(self) -> None:
        """Not every program ends when its terminal does."""
        process = int(self._run("display-message", "-p", "#{pane_pid}"))
        self._run("kill-server")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
