"""A thief's copy of a data directory. The audit reads copies only: opening a database may change it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from quietwire.core.errors import QuietwireError

TRIES = 3
"""A file may vanish while a running server is copied."""


def take(source: Path, target: Path) -> Path:
    """Copies all plain files of a folder (or one file) byte by byte; follows no links. Raises QuietwireError, OSError.

    A running server goes on meanwhile: its files may then not fit each other, as for any thief of a live disk."""
    if not source.exists():
        raise QuietwireError(f"{source}: there is nothing")
    if source.is_file():
        target.mkdir(parents=True)
        shutil.copyfile(source, target / source.name)
        return target
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            _copy(Path(folder, name), place / name)
    return target


def _copy(source: Path, target: Path) -> None:
    for again in range(1, TRIES + 1):
        try:
            if stat.S_ISREG(source.lstat().st_mode):
                shutil.copyfile(source, target)
        except FileNotFoundError:
            if again < TRIES:
                continue
        return
