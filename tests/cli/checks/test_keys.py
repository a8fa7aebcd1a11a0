from __future__ import annotations

import os
from pathlib import Path

import pytest

from quietwire.cli.checks.finding import Severity
from quietwire.cli.checks.keys import _memory, keys
from quietwire.cli.config import Config


def told(source: str, *, uid: int | None = None, database: bool = False) -> tuple[Severity, str]:
    """The worst that is said."""
    config = Config.model_validate({"domain": "a.example", "server_key": source})
    found = [one for one in keys(config, os.getuid() if uid is None else uid, database) if one.subject == "server_key"]
    worst = max(found, key=lambda one: one.severity)
    return worst.severity, worst.cause


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "server.key"
    path.write_bytes(b"k" * 32)
    path.chmod(0o600)
    return path


def test_a_file_as_it_should_be(key: Path) -> None:
    assert told(str(key), database=True) == (Severity.OK, "is there, for its owner only")


def test_others_may_read_it(key: Path) -> None:
    key.chmod(0o640)
    assert told(str(key)) == (Severity.WARNING, "others on this machine may read it (mode 0640)")


def test_it_is_somebody_elses(key: Path) -> None:
    assert told(str(key), uid=os.getuid() + 1)[0] is Severity.ERROR


def test_it_is_none(key: Path) -> None:
    key.write_bytes(b"short")
    assert told(str(key)) == (Severity.ERROR, "has 5 bytes instead of 32")
    assert told(f"passphrase:{key}")[0] is Severity.OK, "which has any length"


def test_it_is_missing(tmp_path: Path) -> None:
    assert told(str(tmp_path / "none")) == (Severity.NOTE, "is made when the server starts")
    severity, cause = told(str(tmp_path / "none"), database=True)
    assert (severity, "cannot be opened" in cause) == (Severity.ERROR, True)
    (tmp_path / "file").write_bytes(b"")
    assert told(str(tmp_path / "file" / "none"))[0] is Severity.ERROR


def test_a_rotation_was_broken_off(key: Path) -> None:
    key.with_name("server.key.new").write_bytes(b"")
    severity, cause = told(str(key))
    assert (severity, "broken off" in cause) == (Severity.WARNING, True)


def test_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert told("credential:key")[0] is Severity.OK
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert told("credential:key")[0] is Severity.ERROR
    (tmp_path / "key").write_bytes(b"k" * 32)
    assert told("credential:key")[0] is Severity.OK
    assert told("fd:3") == (Severity.OK, "comes from fd:3: it is read when the server starts")
    assert told("passphrase:prompt")[0] is Severity.NOTE


def memory(*, may: bool, swap: bool, **process: bool) -> list[tuple[str, Severity]]:
    config = Config.model_validate({"domain": "a.example", "process": process})
    return [(one.subject, one.severity) for one in _memory(config, may, swap)]


def test_memory_that_gets_to_the_disk() -> None:
    assert memory(may=False, swap=False) == [("swap", Severity.OK)]
    assert memory(may=True, swap=True) == [("swap", Severity.OK)]
    assert memory(may=False, swap=True) == [("swap", Severity.WARNING)]
    assert memory(may=True, swap=True, lock_memory=False) == [("swap", Severity.WARNING)]
    assert memory(may=True, swap=False, core_dumps=True)[0] == ("process.core_dumps", Severity.WARNING)
