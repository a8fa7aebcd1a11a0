"""From TCP segments to TLS records: connections of a capture, each direction put in order, its record headers found.

What is seen twice counts once, what comes late is waited for, what the capture has lost is stepped over. Only the five
bytes of each record header are looked at (RFC 8446 §5.1). Where there are no records, or they cannot be followed, a
segment's payload counts as one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from quietwire.lab.pcap import ACK, FIN, RST, SYN, Address, Segment
from quietwire.lab.trace import RecordType

TYPES: Final[tuple[RecordType, ...]] = ("plain", "ccs", "alert", "handshake", "app", "other")
PLAIN, OTHER = 0, 5
_OF: Final = {20: 1, 21: 2, 22: 3, 23: 4, 24: 5}
"""Record type -> index into `TYPES`; heartbeats (RFC 6520) are other."""
MAX_RECORD: Final = 16_384 + 2_048
"""Bytes of a TLS 1.2 record, expansion included (RFC 5246 §6.2.3)."""
HEADER: Final = 5
EARLY: Final = 1 << 20
"""Bytes that wait for a segment before them. More is more than common windows hold: then it is lost."""
EARLY_SEGMENTS: Final = 1024
"""As many of them: putting in order looks at all."""
SERVERS: Final = {5222, 5223, 5269, 5270, 443, 5443, 5280, 5281}
"""Ports of those who are dialled, where the capture begins after the dialling."""


class Records:
    """Finds record headers in what one side says. `feed` and `skip` come in the order of the stream."""

    __slots__ = ("_head", "_left", "_synced", "begun", "sizes", "times", "types")

    def __init__(self) -> None:
        self.times = array("d")
        self.sizes = array("l")
        self.types = array("b")
        self.begun = False
        """Whether a record was ever found."""
        self._synced = False
        self._left = 0
        self._head = b""

    def feed(self, time: float, data: bytes) -> None:
        """The next bytes, captured at `time`, which begin where a segment begins or goes on."""
        position = 0
        if not self._synced:
            # A record begins where a segment does: nobody sends a hello before it is asked for.
            head = self._head + data[: HEADER - len(self._head)]
            if not _plausible(head):
                self._note(time, OTHER if self.begun else PLAIN, len(self._head) + len(data))
                self._head = b""
                return
            if len(head) < HEADER:
                self._head = head
                return
            self._synced = self.begun = True
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
                continue
            need = HEADER - len(self._head)
            head = self._head + data[position : position + need]
            if not _plausible(head):
                self._synced = False
                self._note(time, OTHER, len(self._head) + len(data) - position)
                self._head = b""
                return
            self._head = head
            position += need
            if len(head) < HEADER:
                return
            self._left = int.from_bytes(head[3:5], "big")
            self._note(time, _OF[head[0]], self._left)
            self._head = b""

    def skip(self, time: float, size: int) -> None:
        """Bytes that were not captured. Inside of a record they do no harm."""
        if self._synced and size <= self._left:
            self._left -= size
            return
        self._synced = False
        self._left = 0
        self._head = b""

    def unseen(self, time: float, size: int) -> None:
        """A segment's payload of which nothing was captured."""
        if self._synced and size <= self._left:
            self._left -= size
            return
        self.skip(time, size)
        self._note(time, OTHER if self.begun else PLAIN, size)

    def _note(self, time: float, type: int, size: int) -> None:
        self.times.append(time)
        self.types.append(type)
        self.sizes.append(size)


def _plausible(head: bytes) -> bool:
    """Whether a record may begin with these up to five bytes."""
    return (
        (not head or head[0] in _OF)
        and (len(head) < 2 or head[1] == 3)
        and (len(head) < 3 or head[2] <= 4)
        and (len(head) < 5 or int.from_bytes(head[3:5], "big") <= MAX_RECORD)
    )


@dataclass(slots=True)
class Side:
    """One direction of a connection."""

    records: Records = field(default_factory=Records)
    next: int | None = None
    """Sequence number of the byte that comes next."""
    early: dict[int, Segment] = field(default_factory=dict)
    waiting: int = 0
    finished: bool = False

    def put(self, segment: Segment) -> None:
        """A segment with payload, or a SYN."""
        start = segment.seq
        if segment.flags & SYN:
            start = (start + 1) & 0xFFFFFFFF
            self.next = start if self.next is None else self.next
        if not segment.length:
            return
        if self.next is None:
            self.next = start
        ahead = (start - self.next + 0x80000000) % 0x100000000 - 0x80000000
        if ahead <= 0:
            self._take(segment, -ahead)
            self._catch_up()
            return
        known = self.early.get(start)
        if known is None or known.length < segment.length:
            self.waiting += segment.length - (known.length if known else 0)
            self.early[start] = segment
        while self.waiting > EARLY or len(self.early) > EARLY_SEGMENTS:
            self._give_up()

    def end(self) -> None:
        """The capture is over: what is missing will not come."""
        while self.early:
            self._give_up()

    def _take(self, segment: Segment, known: int) -> None:
        """All of the segment but its first `known` bytes."""
        if known >= segment.length or self.next is None:
            return
        data = segment.data[known:]
        missing = segment.length - known - len(data)
        if data:
            self.records.feed(segment.time, data)
            if missing:
                self.records.skip(segment.time, missing)
        else:
            self.records.unseen(segment.time, missing)
        self.next = (self.next + segment.length - known) & 0xFFFFFFFF

    def _catch_up(self) -> None:
        moved = True
        while moved and self.early:
            moved = False
            for start in list(self.early):
                ahead = self._ahead(start)
                if ahead <= 0:
                    segment = self.early.pop(start)
                    self.waiting -= segment.length
                    self._take(segment, -ahead)
                    moved = True

    def _ahead(self, start: int) -> int:
        assert self.next is not None
        return (start - self.next + 0x80000000) % 0x100000000 - 0x80000000

    def _give_up(self) -> None:
        """Steps over the gap before the first that waits."""
        start = min(self.early, key=self._ahead)
        segment = self.early[start]
        self.records.skip(segment.time, max(0, self._ahead(start)))
        self.next = start
        self._catch_up()


@dataclass(slots=True)
class Connection:
    """`name`: ``address:port>address:port``, who dialled first. Times of the first and last segment, with payload or
    without."""

    name: str
    initiator: Address
    began: float
    ended: float = 0.0
    isn: int | None = None
    up: Side = field(default_factory=Side)
    down: Side = field(default_factory=Side)


def connections(segments: Iterable[Segment]) -> list[Connection]:
    """All of a capture, in the order in which they were first seen."""
    made: list[Connection] = []
    current: dict[tuple[Address, Address], Connection] = {}
    names: dict[str, int] = {}

    def begin(segment: Segment) -> Connection:
        near, far = _ends(segment)
        name = f"{_text(near)}>{_text(far)}"
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name += f"#{names[name]}"
        connection = Connection(name, near, segment.time)
        made.append(connection)
        current[segment.source, segment.target] = current[segment.target, segment.source] = connection
        return connection

    for segment in segments:
        dials = segment.flags & (SYN | ACK) == SYN
        known = current.get((segment.source, segment.target))
        if known is None and segment.flags & RST:
            continue  # nobody listens there
        if known is None or (dials and known.isn != segment.seq):
            known = begin(segment)
            if dials:
                known.isn = segment.seq
        known.ended = max(known.ended, segment.time)
        side = known.up if segment.source == known.initiator else known.down
        side.put(segment)
        side.finished = side.finished or bool(segment.flags & (FIN | RST))
    for connection in made:
        connection.up.end()
        connection.down.end()
    return made


def _ends(segment: Segment) -> tuple[Address, Address]:
    """(who dialled, who was dialled)."""
    here, there = segment.source, segment.target
    if segment.flags & SYN:
        return (there, here) if segment.flags & ACK else (here, there)
    if (here[1] in SERVERS) != (there[1] in SERVERS):
        return (there, here) if here[1] in SERVERS else (here, there)
    return (here, there) if here[1] >= there[1] else (there, here)  # clients' ports are the high ones


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
