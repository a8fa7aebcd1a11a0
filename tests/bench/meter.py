"""What a process and everything it started cost: CPU time and memory, as Linux counts them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

_TICKS = os.sysconf("SC_CLK_TCK")


def family(root: int, parents: Mapping[int, int]) -> list[int]:
    """`root` and all its descendants, given each process's parent."""
    members = [root]
    for member in members:
        members.extend(child for child, parent in parents.items() if parent == member)
    return members


def parents() -> dict[int, int]:
    """The parent of each process of this machine."""
    found: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    return found


def cpu(pids: list[int]) -> float:
    """CPU seconds of the processes with all their threads, ended ones too.

    The process's CPU clock (clock_getcpuclockid(3)) counts nanoseconds; /proc/PID/stat only hundredths of a second,
    which at 500 messages a second is a tenth of what is to be measured.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def rss_kb(pids: list[int]) -> int:
    """Resident memory of the processes together, in KB."""
    return sum(
        int(line.split()[1])
        for pid in pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    )


def machine_cpu() -> float:
    """CPU seconds that all of the machine has burnt since it started (user, system, interrupts)."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / _TICKS


class Meter:
    """`with Meter(pids) as meter: ...` and then `wall`, `server`, `load` and `other` in seconds."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self.wall = self.server = self.load = self.other = 0.0

    def _now(self) -> tuple[float, float, float, float]:
        return time.perf_counter(), cpu(self.pids), time.process_time(), machine_cpu()

    def __enter__(self) -> Meter:
        self._start = self._now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wall, server, load, machine = (b - a for a, b in zip(self._start, self._now(), strict=True))
        self.wall, self.server, self.load = wall, server, load
        self.other = max(0.0, machine - server - load)

    def report(self) -> dict[str, float]:
        """For a JSON line; the utilisations say who was the bottleneck, `other_cpu` whether the run is worth much."""
        return {
            "wall_s": round(self.wall, 2),
            "server_cpu_s": round(self.server, 3),
            "server_share": round(self.server / self.wall, 2),
            "load_share": round(self.load / self.wall, 2),
            "other_cpu_s": round(self.other, 2),
        }
