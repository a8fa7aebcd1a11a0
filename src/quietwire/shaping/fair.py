"""What waits for a link that is slower than those who write to it: fair by sender, in order for each. Pure."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Fair(Generic[T]):
    """A queue for each sender; next is whoever has had the fewest bytes, so that nobody's flood makes others wait for
    more than what is under way (start-time fair queueing: Goyal, Vin and Cheng, 1996)."""

    __slots__ = ("_had", "_now", "_number", "_queues", "size")

    def __init__(self) -> None:
        self._queues: dict[str, deque[tuple[int, int, T]]] = {}
        self._had: dict[str, int] = {}
        """Bytes that each who waits has had, counted from what the others had when they came."""
        self._now = 0
        self._number = 0
        self.size = 0
        """Bytes."""

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __bool__(self) -> bool:
        return bool(self._queues)

    def push(self, sender: str, size: int, item: T) -> None:
        queue = self._queues.get(sender)
        if queue is None:
            queue = self._queues[sender] = deque()
            self._had[sender] = self._now
        self._number += 1
        queue.append((self._number, size, item))
        self.size += size

    def pop(self) -> T:
        """The next item. Raises ValueError when nothing waits."""
        sender = min(self._had, key=self._had.__getitem__)
        queue = self._queues[sender]
        _, size, item = queue.popleft()
        self._now = self._had[sender]
        self.size -= size
        if queue:
            self._had[sender] += size
        else:
            del self._queues[sender], self._had[sender]
        return item

    def drain(self) -> list[T]:
        """Everything, in the order in which it came."""
        entries = sorted((entry for queue in self._queues.values() for entry in queue), key=lambda entry: entry[0])
        self._queues.clear()
        self._had.clear()
        self.size = 0
        return [item for _, _, item in entries]
