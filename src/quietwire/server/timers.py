"""The server's one heap of timers. The shell asks `next_at()` and calls `fire(now)`; a test does the same by hand."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Timer:
    """One pending call; `cancel()` is idempotent."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class Timers:
    """Times are seconds of the clock that is handed in."""

    def __init__(self, clock: Callable[[], float], changed: Callable[[], None] = lambda: None) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self.changed = changed
        """Called when `next_at()` became earlier, so that the shell can sleep less."""

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Calls `action` once, in `seconds`."""
        timer = Timer(self.clock() + seconds, action)
        earliest = not self._heap or timer.at < self._heap[0][0]
        heapq.heappush(self._heap, (timer.at, next(self._order), timer))
        if earliest:
            self.changed()
        return timer

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Calls `action` again and again, as long as the server lives."""

        def again() -> None:
            self.after(seconds, again)
            action()

        self.after(seconds, again)

    def next_at(self) -> float | None:
        """When the next timer is due; None without one."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire(self, now: float) -> None:
        """Runs everything that is due. An action that sets a timer for now waits for the next call."""
        due: list[Timer] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        for done, timer in enumerate(due, 1):
            action, timer.action = timer.action, None
            if action is None:
                continue
            try:
                action()
            except BaseException:
                for rest in due[done:]:  # one that fails must not take the others with it
                    heapq.heappush(self._heap, (rest.at, next(self._order), rest))
                raise
