"""`quietwire send-file` and `fetch`. The client itself is a fake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from quietwire.cli import files

test_client = pytest.importorskip("test_client", reason="the client's libraries are not installed")
Fake = test_client.FakeClient


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(test_client.core, "Client", Fake)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("QUIETWIRE_ACCOUNT", "alice@a.example")
    monkeypatch.setenv("QUIETWIRE_PASSWORD", "pencil")
    app = typer.Typer()
    files.register(app)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_send_file(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("send-file", "bob@b.example", "a.png", "--link-profile", "steady")
    assert (result.exit_code, result.stdout) == (0, "id\n")
    assert Fake.last.calls == [("file", "bob@b.example", Path("a.png"), False), ("close",)]
    assert Fake.last.settings.link.profile == "steady"
    run("send-file", "bob@b.example", "a.png", "--leave-link")
    assert Fake.last.calls[0][-1] is True
    monkeypatch.setattr(Fake, "confirmed", False)
    assert "not confirmed" in run("send-file", "bob@b.example", "a.png").stderr


def test_fetch(run: Any, tmp_path: Path) -> None:
    for id in ("f", "mine"):
        result = run("fetch", "bob@b.example", id, "--to", str(tmp_path), "--delay", "1")
        assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'a.png'}\n")
        assert Fake.last.calls == [("history", "bob@b.example"), ("fetch", id, tmp_path, 1.0), ("close",)]
    result = run("fetch", "bob@b.example", "another")
    assert (result.exit_code, result.stderr) == (1, "quietwire: no file was offered in that message\n")
