"""The command line as a whole: every mistake is one line on standard error and a status, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from quietwire.cli import app as cli


def run(arguments: Sequence[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.run(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("quickstart", "serve", "account", "send", "listen", "devices", "lab"):
        assert command in shown


@pytest.mark.parametrize("arguments", [[], ["account"], ["devices"], ["lab"]])
def test_no_command_shows_what_there_is(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    shown, complaint = capsys.readouterr()
    assert "Usage" in shown
    assert complaint == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["account", "nosuch"], "No such command 'nosuch'"),
        (["serve", "--nosuch"], "No such option: --nosuch"),
        (["account", "add"], "Missing argument"),
        (["account", "import", "file", "--iterations", "many"], "--iterations"),
        (["lab", "demo", "--seconds", "1"], "--seconds"),
    ],
)
def test_what_cannot_be_understood(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("quietwire: ")
    assert complaint in said
    assert said.count("\n") == 1


def test_what_cannot_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.toml"
    assert run(["serve", "--config", str(missing)]) == 1
    assert capsys.readouterr().err == f"quietwire: {missing}: file: not found; `quietwire quickstart` makes one\n"


def test_an_answer_that_never_came_means_no(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        def readline(self) -> str:
            return ""

    monkeypatch.setattr(sys, "stdin", Closed())
    assert run(["account", "delete", "alice", "--config", str(tmp_path / "missing.toml")]) == 1
    assert "nothing was done" in capsys.readouterr().err


def test_what_the_system_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "certificate.pem").mkdir()  # the folder is there, so this is neither a mistake of ours nor a bug
    assert run(["quickstart", "--folder", str(tmp_path), "--no-run"]) == 1
    assert capsys.readouterr().err == f"quietwire: {tmp_path / 'certificate.pem'}: Is a directory\n"


def test_it_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "quietwire", "nosuch"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("quietwire: No such command")
