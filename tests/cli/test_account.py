from __future__ import annotations

import io
import re
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


def failed(*words: str, stdin: str | None = None) -> str:
    with pytest.raises(QuietwireError) as error:
        CliRunner().invoke(app, ["account", *words], input=stdin, catch_exceptions=False)
    return str(error.value)


CODE = r"recovery code: ([0-9A-Z]{4}(?:-[0-9A-Z]{4}){6})\n"


def test_the_life_of_an_account_without_a_server(config: str) -> None:
    output = run("add", "alice", "-c", config)
    assert re.fullmatch(r"alice@a.example\npassphrase: [a-z-]{29}\n" + CODE + r"Shown once.*\n", output)
    assert run("list", "-c", config) == "1 account, 1 of them locked: names are kept as hashes\n"
    given = run("add", "bob@a.example", "-c", config, "--password-stdin", "--no-recovery", stdin="secret\n")
    assert given == "bob@a.example\n"
    assert run("list", "-c", config) == "2 accounts, 2 of them locked: names are kept as hashes\n"
    assert run("show", "bob", "-c", config) == "bob@a.example\n"
    assert "contacts were not told" in run("delete", "alice", "-c", config, "--yes")
    assert "does not exist" in failed("show", "alice", "-c", config)
    assert "exists already" in failed("add", "bob", "-c", config)


def test_a_forgotten_password_without_the_code_destroys_or_is_refused(config: str) -> None:
    run("add", "bob", "-c", config)
    refused = failed("passwd", "bob", "-c", config)
    assert all(way in refused for way in ("--old-password", "account recover", "--destroy-sealed-data"))
    told = run("passwd", "bob", "-c", config, "--destroy-sealed-data", "--password-stdin", stdin="other\n")
    assert told.startswith("bob@a.example\n")
    assert "destroyed" in told


def test_with_the_old_password_or_the_code_it_does_not(config: str) -> None:
    [code] = re.findall(CODE, run("add", "bob", "-c", config, "--password-stdin", stdin="secret\n"))
    old = ("passwd", "bob", "-c", config, "--old-password", "--password-stdin")
    assert run(*old, stdin="secret\nother\n") == "bob@a.example\n"
    assert "not right" in failed(*old, stdin="secret\nthird\n")
    recover = ("recover", "bob", "-c", config)
    assert run(*recover, "--stdin", stdin=f"{code}\nthird\n") == "bob@a.example\n"
    assert "mistyped" in failed(*recover, "--stdin", stdin=f"{code[:-1]}{'0' if code[-1] != '0' else '1'}\nx\n")
    assert "not right" in failed("recover", "eve", "-c", config, "--stdin", stdin=f"{code}\nx\n")
    typed = run(*recover, stdin=f"{code}\n")
    assert "passphrase: " in typed
    [passphrase] = re.findall(r"passphrase: (.*)\n", typed)
    assert "is locked" in failed("recovery", "bob", "-c", config)
    assert "not right" in failed("recovery", "bob", "-c", config, "--password-stdin", stdin="third\n")
    [new] = re.findall(CODE, run("recovery", "bob", "-c", config, "--password-stdin", stdin=f"{passphrase}\n"))
    assert "not right" in failed(*recover, "--stdin", stdin=f"{code}\nx\n")
    assert run(*recover, "--stdin", stdin=f"{new}\nx\n") == "bob@a.example\n"


def test_nothing_is_deleted_without_a_yes(config: str) -> None:
    run("add", "alice", "-c", config)
    done = CliRunner().invoke(app, ["account", "delete", "alice", "-c", config], input="n\n")
    assert done.exit_code == 1
    assert run("show", "alice", "-c", config) == "alice@a.example\n"


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
