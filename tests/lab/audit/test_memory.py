from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quietwire.core.errors import QuietwireError
from quietwire.lab.audit import memory
from quietwire.lab.audit.raw import Canary

HELD = "import sys; held = bytes.fromhex(sys.stdin.readline()); print('ready', flush=True); sys.stdin.read()"
KEY = bytes(range(32, 64))
CANARY = Canary("zqbmvjfkbfkl")


@pytest.fixture
def process() -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write((KEY + CANARY.text.encode()).hex().encode() + b"\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"ready\n"
    yield child  # type: ignore[misc]
    child.stdin.close()
    child.stdout.close()
    child.wait()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no /proc here")
@pytest.mark.elsewhere
def test_what_a_process_holds_is_found(process: subprocess.Popen[bytes]) -> None:
    missing = Canary("zqnothere123")
    assert [found.canary for found in memory.search(process.pid, [CANARY, missing])] == [CANARY]
    times = memory.search_bytes(process.pid, [("key", KEY), ("other", bytes(range(99, 131)))])
    assert times["key"] >= 1
    assert times["other"] == 0


def test_a_process_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(QuietwireError, match="memory of process 7"):
        memory.search(7, [CANARY], tmp_path)
