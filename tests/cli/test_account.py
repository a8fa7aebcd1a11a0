from __future__ import annotations

import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quietwire.cli.account import new_password, read_import
from quietwire.cli.app import app
from quietwire.core.errors import ConfigError, QuietwireError


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "quietwire.toml"
    path.write_text('domain = "a.example"\n[login]\niterations = 4096\n')
    return str(path)


def run(*words: str, stdin: str | None = None) -> str:
    done = CliRunner().invoke(app, ["account", *words], input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_life_of_an_account_without_a_server(config: str) -> None:
    output = run("add", "alice", "-c", config)
    assert output.startswith("alice@a.example\npassphrase: ")
    assert run("add", "bob@a.example", "-c", config, "--password-stdin", stdin="secret\n") == "bob@a.example\n"
    assert run("list", "-c", config) == "alice@a.example\nbob@a.example\n"
    assert run("passwd", "bob", "-c", config, "--password-stdin", stdin="other\n") == "bob@a.example\n"
    assert "deleted" in run("delete", "alice", "-c", config, "--yes")
    assert run("list", "-c", config) == "bob@a.example\n"
    with pytest.raises(QuietwireError, match="exists already"):
        run("add", "bob", "-c", config)


def test_nothing_is_deleted_without_a_yes(config: str) -> None:
    run("add", "alice", "-c", config)
    done = CliRunner().invoke(app, ["account", "delete", "alice", "-c", config], input="n\n")
    assert done.exit_code == 1
    assert run("list", "-c", config) == "alice@a.example\n"


def test_import(config: str, tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("# name password\nu0 pw\n\nu1 p w\nu0 pw\n")
    assert read_import(file) == [("u0", "pw"), ("u1", "p w"), ("u0", "pw")]
    assert run("import", str(file), "-c", config, "--iterations", "4096") == "2 accounts made, 1 existed\n"


def test_mistakes_in_an_import_have_a_line(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("u0 pw\nu1\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_import(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_import(tmp_path / "none")


def test_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    password, shown = new_password(False)
    assert shown
    assert password != new_password(False)[0]
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\nmore"))
    assert new_password(True) == ("secret", False)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(QuietwireError, match="no password"):
        new_password(True)
