from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from quietwire.core.errors import QuietwireError
from quietwire.lab.audit import snapshot


def test_plain_files_only_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "data"
    (source / "uploads").mkdir(parents=True)
    (source / "uploads" / "a").write_bytes(b"a")
    os.mkfifo(source / "pipe")
    (source / "link").symlink_to("/etc/hostname")
    with tempfile.TemporaryDirectory() as short:  # a socket's path may not be long
        place = Path(short) / "s"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(place))
        place.rename(source / "socket") if place.stat().st_dev == source.stat().st_dev else None
        server.close()
    copy = snapshot.take(source, tmp_path / "copy")
    assert [str(path.relative_to(copy)) for path in sorted(copy.rglob("*"))] == ["uploads", "uploads/a"]


def test_one_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x")
    assert (snapshot.take(tmp_path / "log", tmp_path / "copy") / "log").read_bytes() == b"x"


def test_nothing_is_said_to_be_nothing(tmp_path: Path) -> None:
    with pytest.raises(QuietwireError, match="nothing"):
        snapshot.take(tmp_path / "missing", tmp_path / "copy")
