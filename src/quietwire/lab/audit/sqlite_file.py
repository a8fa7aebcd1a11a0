"""Reads an SQLite file and its write-ahead log as bytes, without SQLite: pages, rows where they lie on them, what no
table refers to any more, and which pages were written together.

The format: https://www.sqlite.org/fileformat2.html (sections 1.2 to 1.6, 2.1, 4.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAGIC = b"SQLite format 3\0"
_WAL = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_HEAD, _FRAME = 32, 24
_INTERIOR = {2: "index", 5: "table"}
_LEAF = {10: "index", 13: "table"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A row or an index entry on a page. `offset`: where its content lies; `size`: bytes of all its columns."""

    offset: int
    columns: tuple[Any, ...]
    size: int
    child: int = 0


@dataclass(slots=True)
class Page:
    """`kind`: "table leaf", "index interior"…, or "" for what is no page of a tree. `slack`: bytes in it that belong
    to no cell and are not zero."""

    number: int
    kind: str
    cells: list[Cell]
    right: int = 0
    slack: bytes = b""


@dataclass(slots=True)
class Commit:
    """Pages that were written in one transaction, in the order of the log; `past`: of an earlier round of the log."""

    pages: list[tuple[int, bytes]]
    past: bool


@dataclass
class File:
    """`tables`: name -> (root, sql); `of`: page -> table; `free`: pages of the free list, with what is in them."""

    size: int
    pages: dict[int, bytes]
    tables: dict[str, tuple[int, str]] = field(default_factory=dict)
    of: dict[int, str] = field(default_factory=dict)
    free: dict[int, bytes] = field(default_factory=dict)
    user_version: int = 0
    application_id: int = 0


def read(data: bytes) -> File | None:
    """None for bytes that are no SQLite file."""
    if not data.startswith(MAGIC) or len(data) < 100:
        return None
    size = int.from_bytes(data[16:18], "big")
    size = 65_536 if size == 1 else size
    if size < 512 or size & (size - 1):
        return None
    return of_pages(size, {number + 1: data[at : at + size] for number, at in enumerate(range(0, len(data), size))})


def of_pages(size: int, pages: dict[int, bytes]) -> File:
    """The file that these pages are, the first one among them."""
    head = pages[1]
    file = File(size, pages)
    file.user_version = int.from_bytes(head[60:64], "big")
    file.application_id = int.from_bytes(head[68:72], "big")
    _free_list(file, int.from_bytes(head[32:36], "big"))
    for cell in walk(file, 1):
        if len(cell.columns) == 5 and cell.columns[0] == "table" and isinstance(cell.columns[3], int):
            file.tables[str(cell.columns[1])] = cell.columns[3], str(cell.columns[4])
    for name, (root, _) in file.tables.items():
        for number in tree(file, root):
            file.of[number] = name
    return file


def _free_list(file: File, trunk: int) -> None:
    seen: set[int] = set()
    while trunk in file.pages and trunk not in seen:
        seen.add(trunk)
        page = file.pages[trunk]
        count = min(int.from_bytes(page[4:8], "big"), file.size // 4)
        file.free[trunk] = page[8 + 4 * count :]  # what is before are numbers of pages
        for at in range(8, 8 + 4 * count, 4):
            leaf = int.from_bytes(page[at : at + 4], "big")
            if leaf in file.pages:
                file.free[leaf] = file.pages[leaf]
        trunk = int.from_bytes(page[:4], "big")


def tree(file: File, root: int) -> Iterator[int]:
    """The numbers of all pages of a tree, in the order of its keys."""
    waiting, seen = [root], set()
    while waiting:
        number = waiting.pop()
        if number in seen or number not in file.pages:
            continue
        seen.add(number)
        yield number
        page = parse(file, number)
        children = [cell.child for cell in page.cells if cell.child] + ([page.right] if page.right else [])
        waiting.extend(reversed(children))


def walk(file: File, root: int) -> Iterator[Cell]:
    """All rows of a tree."""
    for number in tree(file, root):
        for cell in parse(file, number).cells:
            if cell.columns:
                yield cell


def parse(file: File, number: int, data: bytes | None = None) -> Page:
    """One page; `data`: another version of it than the file's."""
    page = file.pages[number] if data is None else data
    at = 100 if number == 1 else 0
    kind = page[at] if len(page) > at else 0
    if kind not in _INTERIOR and kind not in _LEAF:
        return Page(number, "", [])
    interior = kind in _INTERIOR
    name = f"{_INTERIOR.get(kind) or _LEAF[kind]} {'interior' if interior else 'leaf'}"
    count = int.from_bytes(page[at + 3 : at + 5], "big")
    first = at + (12 if interior else 8)
    cells, used = [], []
    for slot in range(first, min(first + 2 * count, len(page) - 1), 2):
        offset = int.from_bytes(page[slot : slot + 2], "big")
        try:
            cell, end = _cell(file, page, offset, kind)
        except (IndexError, ValueError):
            continue
        cells.append(cell)
        used.append((offset, end))
    slack, past = [], first + 2 * count
    for offset, end in [*sorted(used), (len(page), len(page))]:
        if offset > past:
            slack.append(page[past:offset])
        past = max(past, end)
    remains = b"".join(slack)
    if not remains.strip(b"\0"):
        remains = b""
    return Page(number, name, cells, int.from_bytes(page[at + 8 : at + 12], "big") if interior else 0, remains)


def _cell(file: File, page: bytes, offset: int, kind: int) -> tuple[Cell, int]:
    at, child = offset, 0
    if kind in _INTERIOR:
        child = int.from_bytes(page[at : at + 4], "big")
        at += 4
        if kind == 5:
            _, at = varint(page, at)
            return Cell(offset, (), 0, child), at
    size, at = varint(page, at)
    if kind == 13:
        _, at = varint(page, at)
    usable = file.size
    most = usable - 35 if kind == 13 else (usable - 12) * 64 // 255 - 23
    least = (usable - 12) * 32 // 255 - 23
    local = size
    if size > most:
        local = least + (size - least) % (usable - 4)
        local = local if local <= most else least
    payload = page[at : at + local]
    end = at + local
    if local < size:
        payload += _overflow(file, int.from_bytes(page[end : end + 4], "big"), size - local)
        end += 4
    return Cell(offset, record(payload), size, child), end


def _overflow(file: File, number: int, left: int) -> bytes:
    parts = []
    while left > 0 and number in file.pages:
        page = file.pages[number]
        parts.append(page[4 : 4 + min(left, file.size - 4)])
        left -= file.size - 4
        number = int.from_bytes(page[:4], "big")
    return b"".join(parts)


def record(payload: bytes) -> tuple[Any, ...]:
    """The columns of a row: None, int, bytes for a real number, str or bytes. Raises IndexError."""
    head, at = varint(payload, 0)
    types = []
    while at < head:
        kind, at = varint(payload, at)
        types.append(kind)
    columns: list[Any] = []
    at = head
    for kind in types:
        if kind >= 12:
            size = (kind - 12) // 2
            piece = payload[at : at + size]
            columns.append(piece.decode("utf-8", "replace") if kind % 2 else piece)
        else:
            size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]
            piece = payload[at : at + size]
            fixed = {0: None, 8: 0, 9: 1, 7: piece}
            columns.append(fixed[kind] if kind in fixed else int.from_bytes(piece, "big", signed=True))
        at += size
    return tuple(columns)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Raises IndexError where the bytes end."""
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1


def commits(log: bytes) -> list[Commit]:
    """The transactions in a write-ahead log, and those of earlier rounds whose frames were not overwritten yet."""
    if len(log) < _HEAD or log[:4] not in _WAL:
        return []
    size = int.from_bytes(log[8:12], "big")
    salts = log[16:24]
    found, pages = [], []
    for at in range(_HEAD, len(log) - _FRAME - size + 1, _FRAME + size):
        number = int.from_bytes(log[at : at + 4], "big")
        pages.append((number, log[at + _FRAME : at + _FRAME + size]))
        if log[at + 4 : at + 8] != b"\0\0\0\0":
            found.append(Commit(pages, log[at + 8 : at + 16] != salts))
            pages = []
    return found


def replayed(file: File, done: list[Commit]) -> File:
    """The file as it is with the log's present round."""
    pages = dict(file.pages)
    for commit in done:
        if not commit.past:
            pages.update(commit.pages)
    return of_pages(file.size, pages)
