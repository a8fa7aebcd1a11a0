"""A flow: what a watcher has of one link, as arrays. From link traces (docs/protocols/traces.md), pcap and pcapng."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab import pcap
from quietwire.lab.reassembly import TYPES, Connection, connections
from quietwire.lab.trace import Record, RecordType, TraceError, read_links

LARGEST: Final = (1 << 31) - 1
"""Bytes that a size can be."""


@dataclass(frozen=True)
class Flow:
    """One link. All arrays have the same length, an entry each record."""

    link: str
    times: NDArray[np.float64]
    """Epoch seconds, ascending."""
    sizes: NDArray[np.int32]
    """Bytes: the length in the TLS record header, or of the TCP payload where no records are seen."""
    ways: NDArray[np.int8]
    """+1 from the initiator (a client's `up`), -1 to it."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> float:
        """From the first record to the last."""
        return float(self.times[-1] - self.times[0]) if len(self.times) else 0.0

    def between(self, begin: float, end: float) -> Flow:
        """The part with begin <= time < end (epoch seconds)."""
        first, last = np.searchsorted(self.times, (begin, end))
        return Flow(self.link, self.times[first:last], self.sizes[first:last], self.ways[first:last])

    def bytes(self, way: int) -> int:
        """Sum of the sizes of one way."""
        return int(self.sizes[self.ways == way].sum(dtype=np.int64))


def flows(path: Path, only: Collection[RecordType] | None = None) -> list[Flow]:
    """The links of a file in the order in which they begin, empty ones left out.

    `only`: types of records that are wanted; all by default, the prelude and handshakes included. Raises TraceError
    (one line) for a file that follows none of the formats, OSError for one that cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if pcap.is_capture(head):
        found: Iterable[Flow] = (_of_connection(one, only) for one in connections(pcap.segments(path)))
    elif head[:1] == b"{":
        found = _of_trace(path, only)
    else:
        raise TraceError(f"{path.name}: neither a link trace nor pcap or pcapng")
    return [flow for flow in found if len(flow)]


def make(link: str, times: Iterable[float], sizes: Iterable[int], ways: Iterable[int]) -> Flow:
    """A flow of what is given in any order; what has the same time keeps its order."""
    unsorted = np.fromiter(times, np.float64)
    order = np.argsort(unsorted, kind="stable")
    return Flow(link, unsorted[order], np.fromiter(sizes, np.int32)[order], np.fromiter(ways, np.int8)[order])


def _of_trace(path: Path, only: Collection[RecordType] | None) -> list[Flow]:
    try:
        trace = read_links(path)
    except (UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise TraceError(f"{path.name}: {type(error).__name__}") from None
    links: dict[str, tuple[list[float], list[int], list[int]]] = {}
    for event in trace.events:
        times, sizes, ways = links.setdefault(event.link, ([], [], []))
        if not isinstance(event, Record) or (only is not None and event.type not in only):
            continue
        if not math.isfinite(event.time) or not 0 <= event.size <= LARGEST or event.direction not in ("up", "down"):
            raise TraceError(f"{path.name}: record {event.id}: a time, size or direction that cannot be")
        times.append(event.time)
        sizes.append(event.size)
        ways.append(1 if event.direction == "up" else -1)
    return [make(link, *columns) for link, columns in links.items()]


def _of_connection(connection: Connection, only: Collection[RecordType] | None) -> Flow:
    times: list[float] = []
    sizes: list[int] = []
    ways: list[int] = []
    for way, side in ((1, connection.up), (-1, connection.down)):
        for time, size, type in zip(side.records.times, side.records.sizes, side.records.types, strict=True):
            if only is None or TYPES[type] in only:
                times.append(time)
                sizes.append(size)
                ways.append(way)
    return make(connection.name, times, sizes, ways)
