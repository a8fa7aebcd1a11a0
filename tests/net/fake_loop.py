"""Time that a test moves by hand, for code that asks an event loop for timers alone; and connections on it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any, cast

from quietwire.net.pacer import Pacer
from quietwire.net.shell import Shell


class _Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """`call_later`, `call_soon` and `time` of an event loop."""

    def __init__(self) -> None:
        self.now = 0.0
        self._number = itertools.count()
        self._timers: list[tuple[float, int, _Handle, Callable[..., Any], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, action: Callable[..., Any], *arguments: Any) -> _Handle:
        handle = _Handle()
        heapq.heappush(self._timers, (self.now + delay, next(self._number), handle, action, arguments))
        return handle

    def call_soon(self, action: Callable[..., Any], *arguments: Any) -> _Handle:
        return self.call_later(0, action, *arguments)

    def sleep(self, seconds: float) -> None:
        """Time passes; what is due happens in its order."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            at, _, handle, action, arguments = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if not handle.cancelled:
                action(*arguments)
        self.now = until


def shell_on(loop: FakeLoop) -> Shell:
    """A shell and its pacer that have this time."""
    real = cast(asyncio.AbstractEventLoop, loop)
    shell = Shell(real)
    shell.pacer = Pacer(real, loop.time, lambda seconds: None)
    return shell


class Outside(asyncio.Transport):
    """To somebody who takes nothing; TLS is up. `stalled`: bytes that have not reached the kernel."""

    def __init__(self, stalled: int = 0) -> None:
        super().__init__()
        self._stalled = stalled
        self.aborted = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "ssl_object" else default

    def version(self) -> str:
        return "TLSv1.3"

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self._stalled

    def abort(self) -> None:
        self.aborted = True
