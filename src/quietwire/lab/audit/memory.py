"""`seizure`: the memory of a running process, searched for canaries and keys. Linux; needs the right to trace the
process."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from quietwire.core.errors import QuietwireError
from quietwire.lab.audit.raw import Canary, Searcher

PIECE = 1 << 24
OVERLAP = 4096
"""Bytes: longer than any form of a canary."""
_MAP = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Found:
    """A canary or key in memory, and how often it stands there."""

    canary: Canary
    times: int


def regions(pid: int, proc: Path = Path("/proc")) -> Iterator[tuple[int, int]]:
    """(start, end) of what the process can write to: what it has made itself."""
    for line in (proc / str(pid) / "maps").read_text().splitlines():
        match = _MAP.match(line)
        if match and match[3].startswith("rw") and not match[4].startswith(("[vvar", "[vdso", "[vsyscall")):
            yield int(match[1], 16), int(match[2], 16)


def read(pid: int, proc: Path = Path("/proc")) -> Iterator[bytes]:
    """The process's own memory, in pieces that overlap. Raises QuietwireError."""
    try:
        with (proc / str(pid) / "mem").open("rb", buffering=0) as memory:
            for start, end in regions(pid, proc):
                at = start
                while at < end:
                    memory.seek(at)
                    try:
                        piece = memory.read(min(PIECE, end - at))
                    except OSError:
                        break  # a guard page, or gone meanwhile
                    if not piece:
                        break
                    yield piece
                    at += len(piece) if at + len(piece) >= end else max(1, len(piece) - OVERLAP)
    except OSError as error:
        raise QuietwireError(f"memory of process {pid}: {error.strerror}") from None


def search(pid: int, canaries: Iterable[Canary], proc: Path = Path("/proc")) -> list[Found]:
    """Which canaries stand in it, in any form."""
    searcher = Searcher(canaries)
    times: dict[Canary, int] = {}
    for piece in read(pid, proc):
        for hit in searcher.search(piece):
            times[hit.canary] = times.get(hit.canary, 0) + 1
    return [Found(canary, count) for canary, count in times.items()]


def search_bytes(pid: int, wanted: Iterable[tuple[str, bytes]], proc: Path = Path("/proc")) -> dict[str, int]:
    """How often each of some (name, bytes), such as keys, stands in it."""
    needles = list(wanted)
    times = {name: 0 for name, _ in needles}
    for piece in read(pid, proc):
        for name, needle in needles:
            times[name] += piece.count(needle)
    return times
