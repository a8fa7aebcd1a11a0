from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from quickstart_world import Home, make, start


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A quickstart's server with alice and bob, running; it must stop in order and have told its log nothing."""
    folder: Path = tmp_path_factory.mktemp("quickstart") / "server"
    home = make(folder, "alice", "bob")
    with (folder / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = start(home, log)
        try:
            yield home
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=60)
            log.write(rest)
    assert process.returncode == 0
    for leaked in ("alice", "bob", "127.0.0.1", "fault"):
        assert leaked not in home.log
