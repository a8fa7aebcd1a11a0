"""The cells of a tunnel: any bytes, in pieces of one size (docs/protocols/shield.md). Pure.

A cell is a kind, a length, so many bytes, and zeros up to the size. The first of a direction is a greeting, which says
the version and the size of all. What fills a cell is known to its sender alone: outside is TLS.
"""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import QuietwireError
from quietwire.shaping.outbox import Outbox
from quietwire.shaping.policy import Policy
from quietwire.shaping.steady import Steady

VERSION: Final = 1
HEAD: Final = 3
"""Bytes before the payload: kind, and its length, big-endian."""
SMALLEST: Final = 64
LARGEST: Final = 16_384
"""What one TLS record holds: a cell must not be two."""
DATA: Final = 0
END: Final = 1
"""Nothing more comes in this direction."""
GREETING: Final = 0x51
_GREETED = HEAD + 3


class TunnelError(QuietwireError):
    """The other end does not keep to the protocol. The text is for the log."""


def cell(kind: int, payload: bytes, size: int) -> bytes:
    """One cell. Raises ValueError for what does not fit."""
    if len(payload) > size - HEAD:
        raise ValueError("more than a cell holds")
    return (bytes((kind,)) + len(payload).to_bytes(2, "big") + payload).ljust(size, b"\0")


def greeting(size: int) -> bytes:
    """The first cell of a direction. Raises ValueError for a size that a tunnel cannot have."""
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"a cell of a tunnel has {SMALLEST} to {LARGEST} bytes")
    return cell(GREETING, bytes((VERSION,)) + size.to_bytes(2, "big"), size)


class Cells:
    """What is put, cut into cells: a greeting first, an end last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._first = greeting(size)
        self._ending = False
        self.ended = False
        """The last cell has been made; what follows is cover."""

    def end(self) -> None:
        """Nothing more will be put."""
        self._ending = True

    def stop(self) -> None:
        """Nothing can be said any more."""
        self._first, self._ending = b"", False

    @property
    def owing(self) -> bool:
        """A greeting or an end has still to be said."""
        return bool(self._first) or (self._ending and not self.ended)

    def next(self, queue: bytearray) -> tuple[bytes, int]:
        """The next cell, whether there is anything to say or not, and how much that is: bytes taken off the queue, or 1
        for the greeting and the end."""
        if self._first:
            first, self._first = self._first, b""
            return first, 1
        room = self._size - HEAD
        payload = bytes(queue[:room])
        del queue[:room]
        if not payload and self._ending and not self.ended:
            self.ended = True
            return cell(END, b"", self._size), 1
        return cell(DATA, payload, self._size), len(payload)


class PaddedTunnel(Outbox):
    """`padded` with the cells of a tunnel: as many as what is put needs, at once."""

    __slots__ = ("cells",)

    def __init__(self, size: int) -> None:
        """Raises ValueError for a size that a tunnel cannot have."""
        super().__init__()
        self.cells = Cells(size)

    def take(self) -> bytes:
        queue, made = bytearray(super().take()), []
        while queue or self.cells.owing:
            made.append(self.cells.next(queue)[0])
        return b"".join(made)


class SteadyTunnel(Steady):
    """`steady` with the cells of a tunnel instead of spaces."""

    __slots__ = ("cells",)

    def __init__(self, policy: Policy, slot: int, phase: int) -> None:
        """Raises ValueError for a cell that is too small or too big."""
        super().__init__(policy, slot, phase)
        self.cells = Cells(policy.cell)

    def admit(self) -> None:
        self.queue += b"".join(self.parts)
        self.parts.clear()

    def room(self) -> int:
        return super().room() - HEAD

    def waiting(self) -> int:
        return super().waiting() + self.cells.owing

    def fill(self) -> None:
        if self._ready:
            return
        self.admit()
        self._ready, self._used = self.cells.next(self.queue)

    def stop(self) -> None:
        """The connection has gone: nothing waits here any more."""
        self.parts.clear()
        self.queue = bytearray()
        self._ready, self._used = b"", 0
        self.cells.stop()

    def rest(self) -> bytes:
        """A tunnel's link keeps its profile."""
        raise NotImplementedError


class Opener:
    """Cells in, their payload out. Any way of cutting the input gives the same."""

    def __init__(self) -> None:
        self._buffer = b""
        self._size = 0
        """Of the cells that come; 0 before the greeting."""
        self.ended = False

    @property
    def greeted(self) -> bool:
        """The other end keeps to the protocol so far."""
        return bool(self._size)

    def feed(self, data: bytes) -> bytes:
        """What was in the cells that are whole now. Raises TunnelError."""
        self._buffer += data
        if not self._size and not self._greeted():
            return b""
        size, out, at = self._size, [], 0
        while len(self._buffer) - at >= size:
            out.append(self._open(self._buffer[at : at + size]))
            at += size
        self._buffer = self._buffer[at:]
        return b"".join(out)

    def _greeted(self) -> bool:
        """Whether the greeting is there, whole; it is taken off."""
        buffer = self._buffer
        if buffer and buffer[0] != GREETING:
            raise TunnelError("no tunnel at the other end")
        if len(buffer) < _GREETED:
            return False
        size = int.from_bytes(buffer[4:6], "big")
        if buffer[1:3] != b"\0\3" or buffer[3] != VERSION or not SMALLEST <= size <= LARGEST:
            raise TunnelError("the other end has another version")
        if len(buffer) < size:
            return False
        if buffer[:size] != greeting(size):
            raise TunnelError("bad greeting")
        self._size, self._buffer = size, buffer[size:]
        return True

    def _open(self, one: bytes) -> bytes:
        length = int.from_bytes(one[1:HEAD], "big")
        if length > len(one) - HEAD or one.count(0, HEAD + length) != len(one) - HEAD - length:
            raise TunnelError("bad cell")
        if one[0] == END and not length:
            self.ended = True
            return b""
        if one[0] != DATA or (length and self.ended):
            raise TunnelError("bad cell")
        return one[HEAD : HEAD + length]
