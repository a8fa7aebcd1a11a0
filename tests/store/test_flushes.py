"""A power cut: what is reported as durable was flushed before, and nothing was written in between.

The system calls of a writing process are watched. That the drive keeps what it was told to flush no test here can show.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMITS = 20
CHILD = """
import os, queue, sys
from quietwire.store.sqlite import SqliteStorage

posted = queue.SimpleQueue()
storage = SqliteStorage(sys.argv[1], post=posted.put, later=lambda *_: lambda: None, randomness=os.urandom)
for n in range(int(sys.argv[2])):
    tickets = [storage.spool.keep(b"o", bytes(300)).ticket, storage.put("archive", b"o", os.urandom(19), bytes(300))]
    storage.sync()
    while not all(ticket.settled for ticket in tickets):
        posted.get()()
    os.write(1, b"durable\\n")
os._exit(0)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_ticket_settles_after_a_flush_of_all_that_was_written(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    watched = ["strace", "-f", "-e", "trace=fdatasync,fsync,pwrite64,pwritev,write", "-o", str(trace)]
    done = subprocess.run(
        [*watched, sys.executable, "-c", CHILD, str(tmp_path / "d" / "q.db"), str(COMMITS)],
        env=os.environ, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    if b"PTRACE" in done.stderr or b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.stdout == b"durable\n" * COMMITS, done.stderr
    calls = ""
    for line in trace.read_text().splitlines():
        if '"durable' in line:
            calls += "!"
        elif re.search(r"\bf(data)?sync\(", line):
            calls += "f"
        elif "pwrite" in line:
            calls += "w"
    commits = calls.split("!")[:COMMITS]
    assert len(commits) == COMMITS
    for commit in commits[1:]:
        assert re.fullmatch("w+f", commit), "one flush a commit, and the last thing that happens"
    assert commits[0].endswith("f")
