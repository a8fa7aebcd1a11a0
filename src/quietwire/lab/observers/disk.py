"""`disk`: a thief with a copy of the server's files, its key and configuration among them. Opens the database and also
reads the raw bytes of every file.

Rows are read as text, whatever their tables; what is under the server's key is opened first (`sealed.py`).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from quietwire.lab.findings import Finding
from quietwire.lab.observers import sealed

_JID = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_BODY = re.compile(r"<body(?:\s[^>]*)?>([^<]+)</body>")
_DEVICE = re.compile(r"<device\b[^>]*\bid=['\"](\d+)['\"]")
_BUNDLE = re.compile(r"bundles(\d+)$")
_STAMP = re.compile(r"stamp=['\"]([0-9TZ:.+-]+)['\"]")
_DOMAIN = re.compile(rb"""^domain\s*=\s*['"]([^'"]+)['"]""", re.MULTILINE)
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as text, whatever its types, and as it is; `number` is its place in the table."""

    file: str
    table: str
    number: int
    cells: tuple[str, ...]
    raw: tuple[object, ...] = ()

    @property
    def ref(self) -> str:
        return f"{self.file}#{self.table}:{self.number}"


def observe(folder: Path) -> list[Finding]:
    """Reads a copy: opening a database may change it."""
    with tempfile.TemporaryDirectory() as copy:
        place = Path(copy) / "data"
        shutil.copytree(folder, place, ignore=_only_files)
        return _observe(place)


def _only_files(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not (Path(folder, name).is_file() or Path(folder, name).is_dir())}


def _observe(folder: Path) -> list[Finding]:
    raw = {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    rows = [
        row
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for row in _opened(_rows(path), folder, raw.values())
    ]
    contacts: dict[str, set[str]] = {}
    devices: dict[str, set[str]] = {}
    waiting: list[Row] = []
    contact_refs, device_refs, texts, text_refs = [], [], [], []
    pairs: dict[tuple[str, str], str] = {}
    for row in rows:
        owner = next(iter(_JID.findall(row.cells[0])), "") if row.cells else ""
        others = {jid for cell in row.cells for jid in _JID.findall(cell)} - {owner}
        if owner and others:
            contacts.setdefault(owner, set()).update(others)
            contact_refs.append(row.ref)
            for other in others:
                pairs.setdefault((min(owner, other), max(owner, other)), row.ref)
        numbers = {n for cell in row.cells for n in (*_DEVICE.findall(cell), *_BUNDLE.findall(cell))}
        if owner and numbers:
            devices.setdefault(owner, set()).update(numbers)
            device_refs.append(row.ref)
        if any("<message" in cell for cell in row.cells):
            waiting.append(row)
        bodies = [body for cell in row.cells for body in _BODY.findall(cell)]
        if bodies:
            texts += bodies
            text_refs.append(row.ref)
    for name, content in raw.items():
        left = [body for body in _BODY.findall(content.decode("utf-8", "replace")) if body not in texts]
        if left:  # pages that were freed but not overwritten, or the write-ahead log
            texts += left
            text_refs.append(f"{name}#raw")
    return [
        _who(pairs),
        *_of_waiting(waiting),
        Finding(
            "contacts",
            {"contacts": {owner: sorted(jids) for owner, jids in contacts.items()}},
            "rows that hold the addresses of two people" if contacts else "no row holds the addresses of two people",
            1.0,
            tuple(contact_refs),
        ),
        Finding(
            "devices",
            {"devices": {owner: sorted(ids) for owner, ids in devices.items()}},
            "OMEMO device lists are for everybody: the server's key opens them"
            if devices
            else "no device list to be read",
            1.0,
            tuple(device_refs),
        ),
        Finding(
            "text",
            {"texts": texts},
            "bodies in clear" if texts else f"no body in {len(rows)} rows, nor in the raw bytes of {len(raw)} files",
            1.0,
            tuple(text_refs),
        ),
    ]


def _opened(rows: list[Row], folder: Path, files: Iterable[bytes]) -> list[Row]:
    """The rows, and in the place of each that the server's key opens and whose owner is guessed what is in it."""
    block = next((row.raw[2] for row in rows if row.table == sealed.BLOCK and len(row.raw) == 3), None)
    keys = sealed.read_keys(block, folder) if isinstance(block, bytes) else None
    if keys is None:
        return rows
    domains = {domain.decode("utf-8", "replace") for file in files for domain in _DOMAIN.findall(file)}
    names = {(table, owner): jid for table, jid, owner in keys.names(domains)}
    found = []
    for row in rows:
        owner, key, value = row.raw if len(row.raw) == 3 else (b"", b"", b"")
        if isinstance(owner, bytes) and isinstance(key, bytes) and isinstance(value, bytes):
            jid = names.get((row.table, owner))
            inside = keys.open(row.table, owner, key, value) if jid is not None else None
            if inside is not None:
                found.append(replace(row, cells=(jid or "", *map(_text, inside))))
                continue
        found.append(row)
    return found


def _who(listed: dict[tuple[str, str], str]) -> Finding:
    return Finding(
        "who",
        {"pairs": [list(pair) for pair in listed]},
        "contact lists in clear name who may talk to whom; that they did is not written"
        if listed
        else "no row names two people",
        0.7 if listed else 0.0,
        tuple(listed.values()),
    )


def _of_waiting(waiting: list[Row]) -> list[Finding]:
    """What lies in clear though no device has confirmed it yet. Archives and kept messages are sealed, many to a row:
    their number is no number of messages."""
    when = [
        {"time": 0.0, "from": "", "id": row.ref, "stamp": stamp}
        for row in waiting
        for cell in row.cells
        for stamp in _STAMP.findall(cell)
    ]
    kept = tuple(row.ref for row in waiting)
    how_many = f"{len(waiting)} messages waiting for delivery" if waiting else "no message lies in clear"
    return [
        Finding("when", {"messages": when}, how_many, 1.0, kept),
        Finding("count", {"sent": {"": len(waiting)} if waiting else {}}, how_many, 1.0, kept),
        Finding("lengths", {"messages": []}, how_many, 1.0, kept),
        Finding("kinds", {"events": []}, how_many, 1.0, kept),
    ]


def _rows(path: Path) -> list[Row]:
    """Every row of every table, by what the file itself says of its schema."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return []
    found = []
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.text_factory = bytes
        try:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            for table in tables:
                name = table.decode("utf-8", "replace")
                quoted = name.replace('"', '""')
                for number, row in enumerate(database.execute(f'SELECT * FROM "{quoted}"'), 1):  # noqa: S608
                    found.append(Row(path.name, name, number, tuple(map(_text, row)), row))
        except sqlite3.DatabaseError:
            pass  # what could be read is taken; the raw bytes are read besides
    return found


def _text(cell: object) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
