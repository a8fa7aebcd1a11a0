from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from quietwire.cli.checks.finding import Finding, Severity
from quietwire.cli.checks.system import descriptors, features, files, ports, reachable
from quietwire.cli.config import Config
from quietwire.server.modules import discover


def config(folder: Path, **listen: Any) -> Config:
    shut = dict.fromkeys(("c2s", "c2s_tls", "s2s", "s2s_tls", "https", "http"), 0)
    return Config.model_validate(
        {
            "domain": "a.example", "data": folder / "data",
            "listen": {**shut, "address": "127.0.0.1", **listen},
        }
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path


def bad(findings: list[Finding]) -> str:
    return "; ".join(f"{one.subject}: {one.cause}" for one in findings if one.severity >= Severity.WARNING)


def test_ports_of_a_server_that_is_not_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free, used = probe.getsockname()[1], taken.getsockname()[1]
        probe.close()
        told = asyncio.run(ports(config(tmp_path, c2s=free, c2s_tls=used), running=False))
    assert [one.severity for one in told] == [Severity.OK, Severity.ERROR]
    assert "Address already in use" in told[1].cause


def test_ports_of_a_server_that_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        told = asyncio.run(
            ports(config(tmp_path, c2s=ours.getsockname()[1], c2s_tls=probe.getsockname()[1]), running=True)
        )
    assert [one.severity for one in told] == [Severity.OK, Severity.ERROR]
    assert "does not answer" in told[1].cause


def test_files_as_they_should_be(folder: Path) -> None:
    assert bad(files(config(folder), os.getuid())) == ""


def test_modes(folder: Path) -> None:
    (folder / "data").chmod(0o755)
    (folder / "data" / "quietwire.sqlite").write_bytes(b"")
    (folder / "data" / "quietwire.sqlite").chmod(0o644)
    told = bad(files(config(folder), os.getuid()))
    assert "may look in (mode 0755)" in told
    assert "quietwire.sqlite: others on this machine may read it (mode 0644)" in told


def test_another_user(folder: Path) -> None:
    told = bad(files(config(folder), os.getuid() + 1))
    assert "belongs to another user than the one who checks" in told


def test_nothing_there_yet(tmp_path: Path) -> None:
    told = files(config(tmp_path), os.getuid())
    assert [one.severity for one in told].count(Severity.NOTE) == 1
    assert bad(told) == ""


@pytest.mark.parametrize(
    ("free", "severity"), [(10 << 30, Severity.OK), (900 << 20, Severity.WARNING), (1, Severity.ERROR)]
)
def test_disk_space(folder: Path, monkeypatch: pytest.MonkeyPatch, free: int, severity: Severity) -> None:
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    told = {one.subject: one.severity for one in files(config(folder), os.getuid())}
    assert told["disk"] == severity


def test_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 1024))
    assert descriptors()[0].severity == Severity.WARNING
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 65_536))
    assert descriptors()[0].severity == Severity.OK


def test_features_are_named() -> None:
    (told,) = features(discover())
    assert "ping" in told.cause.split(", ")


def test_whether_a_server_is_there(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert not reachable(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert reachable(path)
    assert not reachable(path)
