"""When a `steady` stream writes: fixed at its login, in slots of one clock, whatever it carries. Pure."""

from __future__ import annotations

from quietwire.shaping.policy import Policy


class Schedule:
    """The slots in which one stream writes a cell.

    Every tick from its phase on; every fast tick while a window is open. A window opens with the stream, with
    `welcome()` (its resumption), and once in `bulk_every`, counted from the stream's beginning.
    """

    __slots__ = ("_bulk", "_fast", "_opened", "_phase", "_slow", "_window", "_window_from")

    def __init__(self, policy: Policy, slot: int, phase: int) -> None:
        """`slot`: the stream's first; `phase`: a random number that fixes its place among the others, >= 0."""
        self._fast = policy.slots(policy.fast_tick)
        self._slow = policy.slots(policy.tick)
        self._window = policy.slots(policy.window)
        self._bulk = policy.slots(policy.bulk_every)
        self._phase = phase % self._slow
        self._opened = self._window_from = slot

    @property
    def period(self) -> int:
        """Slots between two cells outside of windows."""
        return self._slow

    def welcome(self, slot: int) -> None:
        """Opens the fixed window of a login or a resumption."""
        self._window_from = slot

    def _windows(self, slot: int) -> tuple[int, int]:
        """The window that is open at `slot` or is the next of those that are fixed: first slot, and the one after."""
        if slot < self._window_from + self._window:
            return self._window_from, self._window_from + self._window
        if not self._bulk:
            return 1 << 62, 1 << 62
        since = slot - self._opened
        begin = self._opened + since // self._bulk * self._bulk
        if slot >= begin + self._window:
            begin += self._bulk
        return begin, begin + self._window

    def next_after(self, slot: int) -> int:
        """The first slot after this one in which a cell is written."""
        slow = slot + 1 + (self._phase - slot - 1) % self._slow
        begin, end = self._windows(slot + 1)
        start = max(slot + 1, begin)
        fast = start + (self._phase - start) % self._fast
        return fast if fast < end and fast < slow else slow
