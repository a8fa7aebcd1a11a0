from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quietwire.net import lockdown
from quietwire.net.lockdown import has_swap, lock_memory, may_lock, no_core_dumps

LINUX = sys.platform == "linux"


def in_a_process(script: str, *, limit: str = "") -> str:
    """What it prints: these things cannot be undone."""
    preamble = "import resource, sys\nfrom quietwire.net.lockdown import *\n" + limit
    done = subprocess.run(
        [sys.executable, "-c", preamble + script], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_a_crash_leaves_no_core_dump(tmp_path: Path) -> None:
    script = f"""
import ctypes, os
os.chdir({str(tmp_path)!r})
told = no_core_dumps()
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else 0
print(told, resource.getrlimit(resource.RLIMIT_CORE), dumpable)
"""
    assert in_a_process(script) == f"{LINUX} (0, 0) 0"


@pytest.mark.skipif(not LINUX, reason="Linux says how much is locked")
def test_what_is_locked_is_what_is_used() -> None:
    script = """
def field(name):
    lines = open("/proc/self/status").read().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), 0)

import mmap
before = field("VmRSS")
done = lock_memory()
big = mmap.mmap(-1, 256 << 20)
big[:4096] = b"x" * 4096
print(done, may_lock(), field("VmLck") > 0, field("VmRSS") - before < 64 << 10)
"""
    done, may, locked, small = in_a_process(script).split()
    assert (done, locked) == (may, may), "all of it where it may, nothing where it may not"
    assert small == "True", "what is mapped and never touched takes no memory"


@pytest.mark.skipif(not LINUX, reason="limits of Linux")
def test_with_a_limit_it_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (65_536, 65_536))
    status = tmp_path / "status"
    for text, may in (("CapEff:\t0000000000004000\n", True), ("CapEff:\t0000000000000000\n", False), ("", False)):
        status.write_text(text)
        assert may_lock(status) is may
    assert not may_lock(tmp_path / "none")
    monkeypatch.setattr("resource.getrlimit", lambda which: (-1, -1))
    assert may_lock(tmp_path / "none")


def test_another_system_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockdown, "_library", lambda: None)
    monkeypatch.setattr("resource.setrlimit", lambda which, limits: None)
    assert (no_core_dumps(), lock_memory()) == (False, False)


def test_swap(tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    assert has_swap(swaps)
    swaps.write_text("Filename\tType\tSize\n")
    assert not has_swap(swaps)
    swaps.write_text("Filename\tType\tSize\n/dev/sda2\tpartition\t8\n")
    assert has_swap(swaps)
