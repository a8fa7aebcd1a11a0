from __future__ import annotations

import os
from pathlib import Path

import pytest

from quietwire.cli import key_source
from quietwire.cli.key_source import NoFile, discard, make_secret, read_secret, succeed, successor
from quietwire.core.errors import ConfigError
from quietwire.seal.server_key import Passphrase, RawKey, Source

KEY = bytes(range(32))


def piped(data: bytes) -> int:
    """A descriptor as a process is started with, which gives these bytes and ends."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.write(writing, data)
    os.close(writing)
    return reading


def refused(source: Source) -> str:
    with pytest.raises(ConfigError) as caught:
        read_secret(source)
    (line,) = str(caught.value).splitlines()
    return line


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    source = Source("file", str(path))
    with pytest.raises(NoFile):
        read_secret(source)
    path.write_bytes(KEY)
    path.chmod(0o640)
    said: list[str] = []
    assert read_secret(source, lambda: said.append("tightened")) == RawKey(KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secret(source, lambda: said.append("again")) == RawKey(KEY)
    assert said == ["tightened"]
    path.write_bytes(KEY + b"\n")
    assert refused(source) == f"{path}: server_key: that is no server key: 32 random bytes"


def test_a_mode_that_cannot_be_tightened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.key"
    path.write_bytes(KEY)
    path.chmod(0o644)

    def refuse(descriptor: int, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    assert "others on this machine may read it (mode 0644): chmod 600" in refused(Source("file", str(path)))


def test_a_passphrase_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "phrase"
    path.write_bytes(b"correct horse\n")
    path.chmod(0o600)
    assert read_secret(Source("file", str(path), True)) == Passphrase(b"correct horse")
    path.write_bytes(b"two\nlines\n")
    assert "that is no passphrase: one line" in refused(Source("file", str(path), True))


def test_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert "systemd gives this process no credentials" in refused(Source("credential", "key"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert "No such file" in refused(Source("credential", "key"))
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o440)
    assert read_secret(Source("credential", "key")) == RawKey(KEY)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o440, "systemd's own business"


def test_a_descriptor_is_read_once_and_closed() -> None:
    number = piped(KEY)
    assert read_secret(Source("fd", str(number))) == RawKey(KEY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert "Bad file descriptor" in refused(Source("fd", str(number)))


def test_a_descriptor_of_our_own_is_left_alone(tmp_path: Path) -> None:
    with (tmp_path / "database").open("w+b") as file:
        assert "was not started with that descriptor" in refused(Source("fd", str(file.fileno())))
        file.write(b"still open")


def test_a_descriptor_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    number = piped(b"correct horse")
    monkeypatch.setenv("QUIETWIRE_KEY", str(number))
    assert read_secret(Source("env-fd", "QUIETWIRE_KEY", True)) == Passphrase(b"correct horse")
    assert "QUIETWIRE_KEY" not in os.environ
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    for value in ("x", "-3", ""):
        monkeypatch.setenv("QUIETWIRE_KEY", value)
        assert "no descriptor's number" in refused(Source("env-fd", "QUIETWIRE_KEY"))


def test_more_than_a_key_is_not_read_to_its_end() -> None:
    number = piped(bytes(5_000))
    assert "32 random bytes" in refused(Source("fd", str(number)))


def test_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("prompt", "", True)
    assert "there is no terminal" in refused(source)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "correct horse")
    assert read_secret(source) == Passphrase(b"correct horse")


def test_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(key_source, "sync_folder", lambda path: flushed.append(path.name))
    source = Source("file", str(tmp_path / "deeper" / "server.key"))
    made = make_secret(source)
    assert made == read_secret(source)
    assert Path(source.name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="File exists"):
        make_secret(source)
    words = Source("file", str(tmp_path / "phrase"), True)
    made = make_secret(words)
    assert isinstance(made, Passphrase)
    assert len(made.octets.split(b"-")) == 5
    assert made == read_secret(words)
    assert flushed == ["server.key", "phrase"]


def test_a_successor_takes_the_place(tmp_path: Path) -> None:
    source = Source("file", str(tmp_path / "server.key"))
    make_secret(source)
    new = successor(source)
    later = make_secret(new)
    succeed(source)
    assert read_secret(source) == later
    assert not Path(new.name).exists()
    discard(new)
    discard(source)
    assert not Path(source.name).exists()
