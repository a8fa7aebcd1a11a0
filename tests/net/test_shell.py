from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from quietwire.net.shell import Shell


def run(work: Callable[[Shell], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        shell = Shell(asyncio.get_running_loop())
        try:
            return await asyncio.wait_for(work(shell), 10)
        finally:
            shell.close()

    return asyncio.run(whole())


class Line:
    def __init__(self, told: list[str], name: str, broken: bool = False) -> None:
        self.told, self.name, self.broken = told, name, broken

    def flush(self) -> None:
        if self.broken:
            raise RuntimeError("the transport is closed")
        self.told.append(self.name)

    def abort(self) -> None:
        self.told.append(f"{self.name} aborted")


def test_writes_once_a_turn_and_one_that_breaks_silences_nobody() -> None:
    async def work(shell: Shell) -> list[str]:
        told: list[str] = []
        for line in (Line(told, "a"), Line(told, "b", broken=True), Line(told, "c")):
            shell.flush_soon(line)
        assert told == []
        await asyncio.sleep(0)
        shell.flush_soon(Line(told, "d"))
        await asyncio.sleep(0)
        return told

    assert run(work) == ["a", "b aborted", "c", "d"]


def test_timers_fire_in_order() -> None:
    async def work(shell: Shell) -> list[str]:
        told: list[str] = []
        done = asyncio.Event()
        shell.timers.after(0.02, done.set)
        shell.timers.after(0.01, lambda: told.append("second"))
        shell.timers.after(0.001, lambda: told.append("first"))
        await done.wait()
        return told

    assert run(work) == ["first", "second"]


def test_computes_in_a_thread_and_answers_on_the_loop() -> None:
    async def work(shell: Shell) -> tuple[bool, bool]:
        done, answered_by = asyncio.Event(), []
        later = shell.compute(threading.get_ident)

        def answered() -> None:
            answered_by.append(threading.get_ident())
            done.set()

        later.when_settled(answered)
        await done.wait()
        return later.result() != threading.get_ident(), answered_by == [threading.get_ident()]

    assert run(work) == (True, True)


def test_a_failure_comes_back() -> None:
    async def work(shell: Shell) -> None:
        done = asyncio.Event()
        later = shell.compute(lambda: 1 // 0)
        later.when_settled(done.set)
        await done.wait()
        later.result()

    with pytest.raises(ZeroDivisionError):
        run(work)


def test_posting_after_the_end_is_no_error() -> None:
    shells: list[Shell] = []

    async def work(shell: Shell) -> None:
        shells.append(shell)

    run(work)
    shells[0].post(lambda: None)
