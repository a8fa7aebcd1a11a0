"""Values that arrive later, without an event loop: what ports return and what coroutines of the server await.

`Later` is awaited by IQ handlers, logins and access to accounts that are away. The shell (or a test) drives the
coroutine by hand with `drive`: nothing here knows of asyncio. `Ticket` is the receipt for something being made
durable or confirmed; nobody awaits it, 0198 acknowledgements wait for it (XEP-0198 §4).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Later(Generic[T]):
    """A value that is there or will be. Settled once, from the thread that runs the server."""

    __slots__ = ("_error", "_value", "_waiters", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._waiters: list[Callable[[], None]] | None = None

    @classmethod
    def of(cls, value: T) -> Later[T]:
        """A `Later` that is there already."""
        later = cls()
        later.resolve(value)
        return later

    def resolve(self, value: T) -> None:
        self._value = value
        self._settle()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._settle()

    def _settle(self) -> None:
        if self.settled:
            raise RuntimeError("settled twice")
        self.settled = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            waiter()

    def result(self) -> T:
        """The value; raises what `fail` was given, or RuntimeError while it is not there."""
        if not self.settled:
            raise RuntimeError("not there yet")
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def when_settled(self, waiter: Callable[[], None]) -> None:
        """Calls `waiter` when the value is there; at once if it is."""
        if self.settled:
            waiter()
        elif self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)

    def __await__(self) -> Generator[Later[Any], None, T]:
        if not self.settled:
            yield self
        return self.result()


class Ticket:
    """Unsettled until what it stands for is durable or confirmed by its recipient."""

    __slots__ = ("_waiters", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._waiters: list[Callable[[], None]] | None = None

    @property
    def awaited(self) -> bool:
        """Somebody waits for it."""
        return self._waiters is not None

    def settle(self) -> None:
        """Idempotent: an entry may be confirmed and committed in the same turn."""
        if self.settled:
            return
        self.settled = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            waiter()

    def when_settled(self, waiter: Callable[[], None]) -> None:
        if self.settled:
            waiter()
        elif self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)


def settled(ticket: Ticket) -> Later[None]:
    """For coroutines that go on when it is settled."""
    later: Later[None] = Later()
    ticket.when_settled(lambda: later.resolve(None))
    return later


def all_of(tickets: Collection[Ticket]) -> Ticket | None:
    """Settled when all are; None where all are already."""
    open_ = [ticket for ticket in tickets if not ticket.settled]
    if len(open_) < 2:
        return open_[0] if open_ else None
    joint, left = Ticket(), len(open_)

    def one_more() -> None:
        nonlocal left
        left -= 1
        if not left:
            joint.settle()

    for ticket in open_:
        ticket.when_settled(one_more)
    return joint


class _Driving(Generic[T]):
    """A coroutine on its way. Refers to nothing that refers to it, so that what a login leaves is gone with its end: a
    collector of cycles would let it lie for as long as it has nothing better to do."""

    __slots__ = ("coroutine", "done", "ended")

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        self.coroutine = coroutine
        self.done = done
        self.ended = False

    def step(self) -> None:
        try:
            waited = self.coroutine.send(None)
        except StopIteration as stop:
            self.ended = True
            self.done(stop.value, None)
        except BaseException as error:
            self.ended = True
            self.done(None, error)
        else:
            if not isinstance(waited, Later):
                self.coroutine.close()
                raise TypeError(f"a coroutine of the server awaited {type(waited).__name__}; ports return Later")
            waited.when_settled(self.step)


def drive(coroutine: Coroutine[Any, Any, T], done: Callable[[T | None, BaseException | None], None]) -> bool:
    """Runs `coroutine` until it ends or suspends on a `Later`; goes on by itself when that settles.

    `done(value, error)` is called exactly once. Returns True if it ended before `drive` returned.
    """
    driving = _Driving(coroutine, done)
    driving.step()
    return driving.ended


def started(coroutine: Coroutine[Any, Any, T]) -> Later[T]:
    """Drives `coroutine` on its own: what it returns or raises, once it has ended."""
    later: Later[T] = Later()

    def done(value: T | None, error: BaseException | None) -> None:
        if error is not None:
            later.fail(error)
        else:
            later.resolve(cast(T, value))

    drive(coroutine, done)
    return later
