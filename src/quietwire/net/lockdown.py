"""What is in the memory of this process stays there: no core dumps, no swapping.

Linux through ctypes; elsewhere, or where it is not allowed, the caller is told. An argument or a name that the system
does not know is answered with an error and changes nothing.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

_PR_SET_DUMPABLE: Final = 4
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
"""A page is locked when it is used, not when it is mapped: without it every thread's whole stack is made real."""
_CAP_IPC_LOCK: Final = 14
_STATUS = Path("/proc/self/status")
_SWAPS = Path("/proc/swaps")


def no_core_dumps() -> bool:
    """A crash leaves no core dump, and nobody but root looks into this process. False where only the first half could
    be done: a limit of zero bytes, which a program that collects dumps may ignore."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = _library()
    return library is not None and library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0


def may_lock(status: Path = _STATUS) -> bool:
    """Whether all memory may be locked: no limit, or none for us. With a limit it is not tried: what is locked is
    counted as it is mapped, and a busy server would find no memory when it needs it."""
    return resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY or _capable(status)


def lock_memory() -> bool:
    """No page of this process, present or future, is written to swap. False where that is not to be had."""
    library = _library()
    if library is None or not may_lock():
        return False
    return bool(library.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)


def has_swap(swaps: Path = _SWAPS) -> bool:
    """Whether this system swaps at all; True where it does not say."""
    try:
        return len(swaps.read_text().splitlines()) > 1
    except OSError:
        return True


def _capable(status: Path) -> bool:
    try:
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return bool(int(fields["CapEff"], 16) >> _CAP_IPC_LOCK & 1)
    except (OSError, KeyError, ValueError):
        return False


@cache
def _library() -> Any:
    """The C library, or None where it is not Linux's."""
    if sys.platform != "linux" or os.name != "posix":
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
        prctl, mlockall = library.prctl, library.mlockall
    except (OSError, AttributeError):
        return None
    prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    prctl.restype = mlockall.restype = ctypes.c_int
    mlockall.argtypes = (ctypes.c_int,)
    return library
