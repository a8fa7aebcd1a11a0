"""What a skipped test counts for: the suite's own hooks, tried on a suite of three tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.peer
def test_foreign():
    pytest.skip("no such server installed")

@pytest.mark.elsewhere
def test_other():
    pytest.skip("only on another system")

def test_passes():
    pass
"""


@pytest.mark.parametrize(("ci", "status", "result"), [("true", 1, "1 failed"), ("", 0, "2 skipped")])
def test_what_is_skipped_fails_in_ci_alone(tmp_path: Path, ci: str, status: int, result: str) -> None:
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  peer: a foreign server\n  elsewhere: may be skipped\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert result in done.stdout
    assert "1 passed" in done.stdout
    assert "no such server installed" in done.stdout
    assert "only on another system" in done.stdout
