"""Our own storage, as a thief opens it: `backup` without the server key, `disk` with it.

Rows that lie in the clear (databases of older versions, until their owners' first login) are read as such. Of sealed
ones a thief without keys has their number, place and size; with the server key also what is under it, and guesses at
names. The format is docs/protocols/sealed-store.md; nothing is asked of the server's code but how names are hashed and
rows opened.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.lab.audit import sqlite_file, stanzas
from quietwire.lab.audit.facts import Category, Facts
from quietwire.lab.audit.sqlite_file import File
from quietwire.lab.audit.stanzas import Node
from quietwire.lab.audit.xml import of_text
from quietwire.seal import rows
from quietwire.seal.key_block import KeyBlock
from quietwire.seal.keys import KEY_BYTES, Cipher, ServerKeys, expand
from quietwire.seal.members import Members
from quietwire.seal.pages import Page, read_batch, read_segment
from quietwire.seal.server_key import Secret
from quietwire.seal.wraps import SealError

APPLICATION_ID = 0x51574952
BLOCK = "server"
"""The table with the key block."""
ROOM_TABLES = ("room", "archive")
CATEGORY: dict[str, Category] = {
    "account": "accounts",
    "roster": "contacts",
    "node": "nodes",
    "item": "nodes",
    "block": "blocks",
    "private": "nodes",
    "vcard": "profiles",
    "preference": "preferences",
    "archive": "messages",
    "spool": "messages",
    "arrival": "messages",
    "room": "rooms",
    "push": "push",
    "device": "devices",
    "invitation": "invitations",
    "upload": "uploads",
}
_JID = re.compile(r"[^\s@/'\"<>&:\x00-\x20]+@[a-z0-9.-]+\.[a-z]{2,}")
_FORMS = (rows.OWN, 2, rows.SERVER)
_TAG_AT = 1 + rows.NONCE_BYTES
_LETTERS = (b"a", b"p", b"s", b"c", b"A", b"P", b"S", b"C", b"m")
"""What keys of an archive begin with: batches, pages, segments, the catalogue, of accounts and of rooms; and in older
databases."""
_HEAD = 32
"""Bytes of a message in an older database's archive before the other side's address."""
_MEMBER = b"member:"
_CONFIG = b"config"


@dataclass(frozen=True, slots=True)
class Row:
    """A row where it lies. `order`: its place on its page by where its content was put, which is when; `page`: the
    page."""

    table: str
    owner: bytes
    key: bytes
    value: bytes
    page: int
    order: int

    @property
    def sealed(self) -> bool:
        """As far as can be seen."""
        return len(self.value) > rows.HEAD_BYTES and self.value[0] in _FORMS and not named(self.owner)


def named(owner: bytes) -> bool:
    """Whether that is a name, and no hash."""
    try:
        text = owner.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text.isprintable() and ("@" in text or "." in text)


@dataclass
class Left:
    """What number and size tell whoever has the file."""

    accounts: int = 0
    rooms: int | None = None
    rows: dict[str, int] = field(default_factory=dict)
    """By table."""
    clear: dict[str, int] = field(default_factory=dict)
    """Those of them that are not sealed."""
    counts: dict[str, dict[int, int]] = field(default_factory=dict)
    """Table -> rows of an owner -> owners who have as many."""
    sizes: dict[str, dict[int, int]] = field(default_factory=dict)
    """Table -> bytes of a value -> rows of that length."""
    archives: dict[int, int] = field(default_factory=dict)
    """Size class of an archive, a power of two of bytes -> archives."""
    months: dict[str, int] = field(default_factory=dict)
    """Month as it stands in keys -> rows."""
    guessed: list[str] = field(default_factory=list)
    """Names that were tested and are there, with the tables that have them."""


def is_ours(file: File | None) -> bool:
    return file is not None and file.application_id == APPLICATION_ID


def table_rows(file: File) -> Iterator[Row]:
    """Every row of every table with our three columns."""
    for name, (root, _) in file.tables.items():
        for number in sqlite_file.tree(file, root):
            page = sqlite_file.parse(file, number)
            placed = sorted(page.cells, key=lambda cell: -cell.offset)
            for order, cell in enumerate(placed):
                if len(cell.columns) == 3 and all(isinstance(each, bytes) for each in cell.columns):
                    yield Row(name, *cell.columns, number, order)


def rows_of(path: Path) -> list[Row]:
    """Of a database file and its write-ahead log, none of which is opened by SQLite. Raises OSError."""
    file = sqlite_file.read(path.read_bytes())
    if file is None:
        return []
    journal = path.with_name(path.name + "-wal")
    log = sqlite_file.commits(journal.read_bytes()) if journal.exists() else []
    return list(table_rows(sqlite_file.replayed(file, log)))


def opened(found: Iterable[Row], keys: ServerKeys, table: str, owner: str) -> list[tuple[bytes, bytes]]:
    """(key, value) of all rows of an owner in a table under the server's key."""
    hashed = keys.owner(table, owner.encode())
    each = [_opened(keys.cipher, row) for row in found if row.table == table and row.owner == hashed]
    return [one for one in each if one is not None]


def keys_of(found: Iterable[Row], secret: Secret) -> ServerKeys:
    """What the server key opens. Raises SealError for a wrong one, and where there is no block."""
    for row in found:
        if row.table == BLOCK:
            return KeyBlock.from_bytes(row.value).open(secret).master.keys()
    raise SealError("the database has no key block: it was made before there was a sealed store")


def observe(found: list[Row], facts: Facts, keys: ServerKeys | None, guesses: Iterable[str], place: str) -> Left:
    """Adds what can be read, and returns what can be counted."""
    left = _left(found)
    rooms: dict[bytes, _Room] = {}
    names = _guessed(found, keys, guesses, left) if keys is not None else {}
    for row in found:
        ref = f"{place}#{row.table}"
        table = row.table.removeprefix("old_")
        if not row.sealed:
            if named(row.owner):
                _clear(facts, table, row.owner.decode("utf-8", "replace"), row.key, row.value, ref)
            elif row.table != BLOCK and row.value:
                facts.add("strings", "", f"a row of {row.table} that is not sealed", repr(row.value[:40]), ref)
            continue
        if keys is None:
            continue
        opened = _opened(keys.cipher, row)
        if opened is None:
            continue
        facts.opened.append((ref, b"\0".join(opened)))
        owner = names.get((row.table, row.owner), f"#{row.owner.hex()[:12]}")
        if row.table == "room":
            name, secret = opened
            owner = name.decode("utf-8", "replace")
            facts.add("rooms", "", owner, "", ref)
            if len(secret) == KEY_BYTES:
                room = _Room(owner, AESGCM(bytes(expand(secret, "room data 1"))))
                rooms |= {keys.owner(each, name): room for each in ROOM_TABLES}
            continue
        _clear(facts, table, owner, *opened, ref)
    for row in found:
        if row.owner in rooms and row.sealed:
            content = _content(rooms[row.owner].cipher, row)
            if content is not None:
                ref = f"{place}#{row.table} of a room"
                facts.opened.append((ref, content))
                rooms[row.owner].read(facts, row, content, ref)
    for room in {id(room): room for room in rooms.values()}.values():
        room.listed(facts)
    left.rooms = len({row.owner for row in found if row.table == "room"})
    return left


def _opened(cipher: Cipher, row: Row) -> tuple[bytes, bytes] | None:
    """(key, value)."""
    content = _content(cipher, row)
    try:
        return None if content is None else rows.unpack(content)[1:]
    except SealError:
        return None


def _content(cipher: Cipher, row: Row) -> bytes | None:
    nonce, tag, box = row.value[1:_TAG_AT], row.value[_TAG_AT : rows.HEAD_BYTES], row.value[rows.HEAD_BYTES :]
    try:
        return cipher.decrypt(nonce, box + tag, rows.bound(row.table, row.owner, row.key))
    except InvalidTag:
        return None


def _guessed(
    found: Iterable[Row], keys: ServerKeys, guesses: Iterable[str], left: Left
) -> dict[tuple[str, bytes], str]:
    """(table, owner) -> name, of the names that are there: whoever has the index key tests a name in each table."""
    there = {(row.table, row.owner) for row in found}
    every = list(dict.fromkeys(row.table for row in found))
    names = {}
    for name in guesses:
        tables = [table for table in every if (table, keys.owner(table, name.encode())) in there]
        for table in tables:
            names[table, keys.owner(table, name.encode())] = name
        if tables:
            left.guessed.append(f"{name}: {', '.join(tables)}")
    return names


def _left(found: list[Row]) -> Left:
    left = Left()
    owners: dict[str, Counter[bytes]] = defaultdict(Counter)
    sizes: dict[str, Counter[int]] = defaultdict(Counter)
    archives: Counter[bytes] = Counter()
    months: Counter[str] = Counter()
    for row in found:
        owners[row.table][row.owner] += 1
        sizes[row.table][len(row.value)] += 1
        if row.table in ("archive", "arrival"):
            archives[row.owner] += len(row.value)
            months[month(row.key)] += 1
        if not row.sealed and row.table != BLOCK:
            left.clear[row.table] = left.clear.get(row.table, 0) + 1
    left.accounts = len(owners["account"] | owners["old_account"])
    left.rows = {table: sum(each.values()) for table, each in owners.items()}
    left.counts = {table: dict(sorted(Counter(each.values()).items())) for table, each in owners.items()}
    left.sizes = {table: dict(sorted(each.items())) for table, each in sizes.items()}
    left.archives = dict(sorted(Counter(1 << (size - 1).bit_length() for size in archives.values()).items()))
    left.months = dict(sorted(months.items()))
    return left


def month(key: bytes) -> str:
    """The month in an archive's key, "" for a key that has none."""
    if key[:1] in _LETTERS and len(key) == 19:
        year, number = divmod(int.from_bytes(key[1:3], "big"), 12)
        return f"{year:04}-{number + 1:02}"
    return ""


def _clear(facts: Facts, table: str, owner: str, key: bytes, value: bytes, place: str) -> None:
    """A row that could be read. `owner`: a name, or # and the start of its hash."""
    said = key.decode("utf-8", "replace"), value.decode("utf-8", "replace")
    text = " ".join(filter(None, map(_printable, said)))
    category = CATEGORY.get(table, "strings")
    if table == "account":
        facts.add("accounts", "", owner, "", place)
        facts.add("passwords", owner, "SCRAM verifier", "", place)
    elif table in ("archive", "spool", "arrival"):
        _message(facts, owner, value, place)
    elif table in ("node", "item"):
        node = said[0].partition("\0")[0] if "\0" in said[0] else said[0]
        facts.add(stanzas.kind(node), owner, node, text, place)
    elif table in ("roster", "block"):
        jid = next(iter(_JID.findall(text)), text)
        facts.add(category, owner, jid, text, place)
    elif table == "room":
        _settings(facts, owner, key, value, place)
    else:
        facts.add(category, owner, _printable(said[0]), text, place)


@dataclass
class _Room:
    """A room whose secret the thief has. `secret`: of its members, which stands in its configuration."""

    name: str
    cipher: Cipher
    secret: bytes = b""
    found: list[tuple[bytes, bytes, str]] = field(default_factory=list)
    """(hash, row, place) of members."""

    def read(self, facts: Facts, row: Row, content: bytes, place: str) -> None:
        """What a row holds: a member, an archived message or several, or settings."""
        with contextlib.suppress(SealError):
            if row.table == "archive":
                self._archived(facts, row.key, content, place)
                return
            _, key, value = rows.unpack(content)
            if key.startswith(_MEMBER):
                self.found.append((key.removeprefix(_MEMBER), value, place))
            else:
                if key == _CONFIG:
                    with contextlib.suppress(ValueError, KeyError):
                        self.secret = bytes.fromhex(json.loads(value[1:])["secret"])
                _settings(facts, self.name, key, value, place)

    def listed(self, facts: Facts) -> None:
        """Everything was read: who the members are."""
        if len(self.secret) != KEY_BYTES:
            return
        members = Members(self.secret)
        for hashed, value, place in self.found:
            with contextlib.suppress(SealError):
                jid, nick, reason = members.open(hashed, value[1:18], value[18:])
                rank = int.from_bytes(value[1:2], "big", signed=True)
                facts.add("members", self.name, jid, f"{rank} {nick} {reason}".strip(), place)

    def _archived(self, facts: Facts, key: bytes, content: bytes, place: str) -> None:
        if key[:1] == b"A":
            _, _, headers, messages = read_batch(content)
            for header, message in zip(headers, messages, strict=True):
                _stanza(facts, self.name, message, place, stamp=_date(header.stamp), other=header.with_)
        elif key[:1] == b"S":
            for message in read_segment(content):
                _stanza(facts, self.name, message, place)
        elif key[:1] == b"P":
            page = Page(int.from_bytes(key[1:3], "big"))
            page.load(content, b"S" + key[1:3], {})
            for header in page.headers():
                facts.add("times", self.name, _date(header.stamp), "message", place)


def _settings(facts: Facts, room: str, key: bytes, value: bytes, place: str) -> None:
    """A row of a room that is no message."""
    text = _printable(f"{key.decode('utf-8', 'replace')} {value.decode('utf-8', 'replace')}")
    people = [jid for jid in _JID.findall(text) if jid != room]
    if people:
        for jid in people:
            facts.add("members", room, jid, text, place)
    else:
        facts.add("rooms", "", room, text, place)


def _message(facts: Facts, owner: str, value: bytes, place: str) -> None:
    """A message that waits, or one in an older database's archive: after its head, whatever that is, comes XML."""
    at = value.find(b"<message")
    if at < 0:
        facts.add("messages", owner, "", _printable(value.decode("utf-8", "replace")), place)
        return
    stamp = ""
    if at >= _HEAD and value[0] == 1:
        stamp = _date(int.from_bytes(value[10:18], "big"))
    other = _printable(value[_HEAD:at].decode("utf-8", "replace"))
    _stanza(facts, owner, value[at:].rstrip(b"\0"), place, stamp=stamp, other=other)


def _stanza(facts: Facts, owner: str, message: bytes, place: str, *, stamp: str = "", other: str = "") -> None:
    text = message.decode("utf-8", "replace")
    stanza = of_text(text) or Node("message", {}, [], text)
    stanzas.message(facts, stanza, owner, place, stamp=stamp, other=other)


def _date(milliseconds: int) -> str:
    """ "" for what is no time of ours."""
    if not 1e12 < milliseconds < 1e13:
        return ""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).isoformat()


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() and each != "\ufffd" else " " for each in text).strip()
