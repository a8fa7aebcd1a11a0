"""The one layer that does I/O: clock, timers, threads and the end of each loop turn."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from quietwire.core.errors import QuietwireError
from quietwire.core.later import Later, drive
from quietwire.net.pacer import Pacer
from quietwire.server.timers import Timers
from quietwire.shaping.outbox import Outbox, SpacePadded
from quietwire.shaping.policy import Policy, Profile

T = TypeVar("T")


COMPUTING_AT_MOST = 128
"""Jobs for the threads at once, running or waiting. A PLAIN login or a new password is one, of some 50 ms at the usual
100,000 iterations: who is further back than six seconds had better be told so. SCRAM logins need no thread."""


class Busy(QuietwireError):
    """Too much waits for a thread. A login is answered with temporary-auth-failure."""


class Flushes(Protocol):
    """A connection with something to write."""

    def flush(self) -> None: ...

    def abort(self) -> None: ...


class Shell:
    """Binds the pure server to one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        workers: int = 1,
        tls_pads: int = 0,
    ) -> None:
        """`tls_pads`: the block to which this process' OpenSSL pads TLS 1.3 records, 0 for none."""
        self.loop = loop
        self._tls_pads = tls_pads
        self.pacer = Pacer(loop)
        """Of links that are shaped by time."""
        self.timers = Timers(time.monotonic, self._rearm)
        self._alarm: asyncio.TimerHandle | None = None
        self._pending: list[Flushes] = []
        self.computing = 0
        """Jobs that a thread has or that wait for one."""
        # PBKDF2 lets go of the interpreter lock: one worker leaves the other core to the loop.
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="compute")

    def outbox(self, policy: Policy, tls_version: str | None) -> Outbox:
        """The outbox, which is the shaper, of a connection that is secured by `tls_version`: by size alone."""
        if policy.profile is Profile.PADDED and not (self._tls_pads == policy.block and tls_version == "TLSv1.3"):
            return SpacePadded(policy.block)
        return Outbox()

    # -- writes: once per connection and turn ---------------------------------------------------------------------

    def flush_soon(self, connection: Flushes) -> None:
        if not self._pending:
            self.loop.call_soon(self._flush)
        self._pending.append(connection)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for connection in pending:
            try:
                connection.flush()
            except Exception:  # a transport that breaks while it is written to must not silence all others
                connection.abort()

    # -- time -------------------------------------------------------------------------------------------------------

    def _rearm(self) -> None:
        at = self.timers.next_at()
        if at is None:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_later(max(at - time.monotonic(), 0.0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        try:
            self.timers.fire(time.monotonic())
        finally:
            self._rearm()

    # -- threads ----------------------------------------------------------------------------------------------------

    def post(self, action: Callable[[], None]) -> None:
        """Runs `action` on the loop; from any thread. After the loop is closed there is nobody to tell."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(action)

    def compute(self, work: Callable[[], T]) -> Later[T]:
        """Runs something slow in a thread. Fails with Busy when too much waits for one already."""
        later: Later[T] = Later()
        if self.computing >= COMPUTING_AT_MOST:
            later.fail(Busy("too much is being computed; try again in some seconds"))
            return later
        self.computing += 1

        def finish(settle: Callable[[], None]) -> None:
            self.computing -= 1
            settle()

        def run() -> None:
            try:
                value = work()
            except BaseException as error:
                self.post(lambda error=error: finish(lambda: later.fail(error)))  # type: ignore[misc]
            else:
                self.post(lambda: finish(lambda: later.resolve(value)))

        self._pool.submit(run)
        return later

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)


async def driven(coroutine: Any) -> Any:
    """Runs a coroutine of the server, which awaits `Later`s, inside the event loop."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(value: Any, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)

    drive(coroutine, done)
    return await future
