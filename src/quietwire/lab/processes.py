"""Processes of the test bed: started, waited for by what they say, and always ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

LINE = 1 << 20
"""Bytes of one report."""


class BedError(Exception):
    """The world could not be built or run: one line."""


async def run_once(argv: Sequence[str], environment: Mapping[str, str], seconds: float) -> str:
    """Runs a command to its end and returns its standard output. Raises BedError."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        raise BedError(f"{argv[2]}: not done within {seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            await kill(process)
    if process.returncode:
        last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise BedError(f"{argv[2]}: exit status {process.returncode}: {last[0]}")
    return out.decode("utf-8")


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Runs all at once; if one fails the others are cancelled and waited for, and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


async def kill(process: asyncio.subprocess.Process) -> None:
    """Ends it, whatever it does, and waits."""
    with contextlib.suppress(ProcessLookupError):  # it may have ended in this moment
        process.kill()
    await process.wait()


class Process:
    """A process that lives as long as its standard input is open. Its standard error goes to a file."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(environment),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE,
            )

    @property
    def process(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise BedError(f"{self.name} was not started")
        return self._process

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    def complaint(self) -> str:
        """The last line that it wrote to standard error."""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "no message"

    async def stop(self, seconds: float = 15.0) -> int:
        """Closes its standard input, waits, and kills it if it stays. Returns the exit status, -9 if killed."""
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), seconds)
            except TimeoutError:
                await kill(process)
        return process.returncode or 0


class Served(Process):
    """A server: ready when its port answers."""

    async def ready(self, port: int, seconds: float) -> None:
        """Raises BedError if it is not, within `seconds`, or ended."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.ended and asyncio.get_running_loop().time() < deadline:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
        raise BedError(f"{self.name} is not there: {self.complaint()}")


class Ordered(Process):
    """An actor: takes orders as lines of JSON and reports by lines of JSON."""

    def __init__(self, name: str, log: Path, on_report: Callable[[Ordered, dict[str, Any]], None]) -> None:
        super().__init__(name, log)
        self._on_report = on_report
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def begin(self, argv: Sequence[str], environment: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        await self.start(argv, environment)
        self._write(settings)
        self._reader = asyncio.get_running_loop().create_task(self._read())

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            report = json.loads(line)
            future = self._answers.pop(report.get("n", 0), None)
            if future is None:
                self._on_report(self, report)
            elif not future.done():
                future.set_result(report)
        for future in self._answers.values():
            if not future.done():
                future.set_exception(BedError(f"{self.name} ended: {self.complaint()}"))
        self._on_report(self, {"event": "ended"})

    async def order(self, do: str, seconds: float = 60.0, **arguments: Any) -> dict[str, Any]:
        """Gives an order and returns the answer. Raises BedError if it failed or took longer than `seconds`."""
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        if self._reader is None or self._reader.done():
            raise BedError(f"{self.name} ended: {self.complaint()}")
        self._write({"n": number, "do": do, **arguments})
        try:
            answer = await asyncio.wait_for(future, seconds)
        except TimeoutError:
            raise BedError(f"{self.name}: {do} took longer than {seconds:.0f} s") from None
        if not answer["ok"]:
            raise BedError(f"{self.name}: {do}: {answer['error']}")
        return dict(answer)

    async def stop(self, seconds: float = 15.0) -> int:
        status = await super().stop(seconds)
        if self._reader is not None:
            await self._reader
        return status
