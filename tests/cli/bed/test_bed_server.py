from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_mistake_in_the_configuration_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("domian = 'a.example'\n")
    argv = [sys.executable, "-m", "quietwire.cli.bed.server", "--config", str(tmp_path / "c.toml")]
    done = subprocess.run(
        [*argv, "--record", str(tmp_path / "t")], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("quietwire: ")
    assert len(done.stderr.splitlines()) == 1
