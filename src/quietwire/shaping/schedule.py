"""When a `steady` stream writes: fixed at its beginning, in slots of one clock, whatever it carries. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from quietwire.shaping.policy import Policy


class Schedule:
    """The slots in which one stream writes a cell.

    Every tick from its phase on; every fast tick while a window is open. A window is open from the stream's beginning
    on, and once in `bulk_every` counted from there. `welcome()`, a login or a resumption, opens the next whole window
    of a row that began with the stream: at what moment somebody was welcome does not show.
    """

    __slots__ = ("_bulk", "_fast", "_first", "_phase", "_slow", "_welcome", "_window")

    def __init__(self, policy: Policy, slot: int, phase: int) -> None:
        """`slot`: the stream's first; `phase`: a random number that fixes its place among the others, >= 0."""
        self._fast = policy.slots(policy.fast_tick)
        self._slow = policy.slots(policy.tick)
        self._window = policy.slots(policy.window)
        self._bulk = policy.slots(policy.bulk_every)
        self._phase = phase % self._slow
        self._first = self._welcome = slot

    @property
    def period(self) -> int:
        """Slots between two cells outside of windows."""
        return self._slow

    def welcome(self, slot: int) -> None:
        """A login or a resumption: opens the next window of the row, once for each window in which it is called."""
        if self._window:
            self._welcome = self._first + ((slot - self._first) // self._window + 1) * self._window

    def rephase(self, phase: int) -> None:
        """Another place among the others: a client's, before its server's (DESIGN §5). Once, at a fixed time."""
        self._phase = phase % self._slow

    def opens(self, slot: int) -> int:
        """The first slot from this one on that lies in a window; this one where there are none."""
        begins = [max(slot, begin) for begin, end in self._windows(slot) if slot < end]
        return min(begins, default=slot)

    def _windows(self, slot: int) -> Iterator[tuple[int, int]]:
        """Those that may be open at `slot` or next: first slot, and the one after."""
        window = self._window
        if not window:
            return
        yield self._first, self._first + window
        yield self._welcome, self._welcome + window
        if self._bulk:
            begin = self._first + (slot - self._first) // self._bulk * self._bulk
            yield begin, begin + window
            yield begin + self._bulk, begin + self._bulk + window

    def turn(self, slot: int, phase: int) -> int:
        """The first slot after this one that lies at `phase` of a tick; while a window is open, of a fast one."""
        every = self._fast if any(begin <= slot < end for begin, end in self._windows(slot)) else self._slow
        slot += 1
        return slot + (phase - slot) % every

    def next_after(self, slot: int) -> int:
        """The first slot after this one in which a cell is written."""
        slot += 1
        found = slot + (self._phase - slot) % self._slow
        for begin, end in self._windows(slot):
            start = max(slot, begin)
            fast = start + (self._phase - start) % self._fast
            if fast < end and fast < found:
                found = fast
        return found
