"""`quietwire account` without a running server: what is said, what is refused, what is in the database afterwards."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from quietwire.cli import app as cli
from quietwire.cli.account import administrate, new_password, read_import
from quietwire.cli.config import load
from quietwire.core.errors import ConfigError, QuietwireError

CONFIG = 'domain = "chat.example"\n[login]\niterations = 4096\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "quietwire.toml"
    path.write_text(CONFIG)
    return path


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def account(config: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.run(["account", *arguments, "--config", str(config)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def accounts(config: Path) -> list[str]:
    listed = administrate(load(config), "account-list")
    assert isinstance(listed, list)
    return listed


def test_a_new_account_gets_a_passphrase_that_is_shown_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert account(config, "add", "alice") == 0
    shown = capsys.readouterr().out
    assert re.fullmatch(r"alice@chat\.example\npassphrase: [a-z]{5}(-[a-z]{5}){4}\n", shown)
    assert account(config, "list") == 0
    assert capsys.readouterr().out == "alice@chat.example\n"


def test_a_password_from_standard_input_is_not_shown(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "chosen by hand\n")
    assert account(config, "add", "alice", "--password-stdin") == 0
    assert capsys.readouterr() == ("alice@chat.example\n", "")


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_password_is_none(
    text: str, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, text)
    assert account(config, "add", "alice", "--password-stdin") == 1
    assert capsys.readouterr().err == "quietwire: standard input holds no password\n"
    assert accounts(config) == []


def test_a_password_that_no_client_could_send(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "bell\x07\n")
    assert account(config, "add", "alice", "--password-stdin") == 1
    assert "the password cannot be used" in capsys.readouterr().err
    assert accounts(config) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["add", "alice"], "alice@chat.example exists already: `quietwire account passwd` sets a new password"),
        (["add", "two words"], "'two words' is not an address: use name or name@chat.example"),
        (["add", "bob@other.example"], "'bob@other.example' is not an account of chat.example"),
        (["passwd", "bob"], "bob@chat.example does not exist: `quietwire account add` makes it"),
        (["delete", "bob", "--yes"], "bob@chat.example does not exist"),
        (["import", "nowhere"], "nowhere: file: cannot be read: No such file or directory"),
        (["import", "nowhere", "--iterations", "1"], "--iterations: at least 4096"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], complaint: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    administrate(load(config), "account-add", name="alice", password="x")
    assert account(config, *arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"quietwire: {complaint}")
    assert said.count("\n") == 1
    assert accounts(config) == ["alice@chat.example"]


def test_delete_asks_first(config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    administrate(load(config), "account-add", name="alice", password="x")
    typed(monkeypatch, "n\n")
    assert account(config, "delete", "alice") == 1
    assert accounts(config) == ["alice@chat.example"]
    typed(monkeypatch, "y\n")
    assert account(config, "delete", "alice") == 0
    assert accounts(config) == []
    assert "alice@chat.example deleted" in capsys.readouterr().out


def test_many_at_once(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "accounts"
    file.write_text("# two people\nalice pass word\n\nbob x\n")
    assert account(config, "import", str(file)) == 0
    assert account(config, "import", str(file)) == 0
    assert capsys.readouterr().out == "2 accounts made, 0 existed\n0 accounts made, 2 existed\n"
    assert accounts(config) == ["alice@chat.example", "bob@chat.example"]


def test_one_bad_name_and_none_is_made(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("alice x\n@@ x\n")
    assert account(config, "import", str(file)) == 1
    assert accounts(config) == []


def test_an_import_keeps_spaces_inside_a_password(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("alice pass word\n")
    assert read_import(file) == [("alice", "pass word")]


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"alice x\nbob\n", "line 2: one `name password` a line"), (b"\xff", "not UTF-8")]
)
def test_an_import_that_cannot_be_understood(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "accounts"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        read_import(file)


def test_generated_passphrases_differ() -> None:
    first, second = new_password(from_stdin=False), new_password(from_stdin=False)
    assert first != second
    assert first[1]
    assert second[1]


def test_a_password_from_standard_input_keeps_its_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, " a b \n")
    assert new_password(from_stdin=True) == (" a b ", False)
    typed(monkeypatch, "")
    with pytest.raises(QuietwireError):
        new_password(from_stdin=True)
