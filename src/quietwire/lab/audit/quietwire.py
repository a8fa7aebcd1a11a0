"""Our own storage, as a thief opens it: `backup` without the server key, `disk` with it.

Rows that lie in the clear (databases of older versions, until their owners' first login) are read as such. Of sealed
ones a thief without keys has their number, place and size; with the server key also what is under it, and guesses at
names. The format is docs/protocols/sealed-store.md; nothing is asked of the server's code but how names are hashed and
rows opened.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.lab.audit import sqlite_file, stanzas
from quietwire.lab.audit.facts import Category, Facts
from quietwire.lab.audit.sqlite_file import File
from quietwire.lab.audit.stanzas import Node
from quietwire.lab.audit.xml import of_text
from quietwire.seal import rows
from quietwire.seal.key_block import KeyBlock
from quietwire.seal.keys import Cipher, ServerKeys, expand
from quietwire.seal.server_key import Secret
from quietwire.seal.wraps import SealError

APPLICATION_ID = 0x51574952
BLOCK = "server"
"""The table with the key block."""
ROOM_TABLES = ("room", "archive")
GUESSED = ("account", "room", "archive", "sealed", "push", "upload", "node", "item", "spool")
"""Tables whose owners are hashed under the index key: who has it tests a name in each."""
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
_MESSAGE = b"m"
_HEAD = 32
"""Bytes of an archived message before the other side's address (docs/protocols/archive.md)."""


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


def keys_of(found: Iterable[Row], secret: Secret) -> ServerKeys:
    """What the server key opens. Raises SealError for a wrong one, and where there is no block."""
    for row in found:
        if row.table == BLOCK:
            return KeyBlock.from_bytes(row.value).open(secret).master.keys()
    raise SealError("the database has no key block: it was made before there was a sealed store")


def observe(found: list[Row], facts: Facts, keys: ServerKeys | None, guesses: Iterable[str], place: str) -> Left:
    """Adds what can be read, and returns what can be counted."""
    left = _left(found)
    ciphers: dict[bytes, tuple[str, Cipher]] = {}
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
            for each in ROOM_TABLES:
                ciphers[keys.owner(each, name)] = owner, AESGCM(bytes(expand(secret, "room data 1")))
            continue
        _clear(facts, table, owner, *opened, ref)
    for row in found:
        if row.owner in ciphers and row.sealed:
            owner, cipher = ciphers[row.owner]
            opened = _opened(cipher, row)
            if opened is not None:
                facts.opened.append((f"{place}#{row.table} of a room", b"\0".join(opened)))
                _room(facts, owner, row.table, *opened, f"{place}#{row.table}")
    left.rooms = len({row.owner for row in found if row.table == "room"})
    return left


def _opened(cipher: Cipher, row: Row) -> tuple[bytes, bytes] | None:
    nonce, tag, box = row.value[1:_TAG_AT], row.value[_TAG_AT : rows.HEAD_BYTES], row.value[rows.HEAD_BYTES :]
    try:
        return rows.unpack(cipher.decrypt(nonce, box + tag, rows.bound(row.table, row.owner, row.key)))[1:]
    except (InvalidTag, SealError):
        return None


def _guessed(
    found: Iterable[Row], keys: ServerKeys, guesses: Iterable[str], left: Left
) -> dict[tuple[str, bytes], str]:
    """(table, owner) -> name, of the names that are there."""
    there = {(row.table, row.owner) for row in found}
    names = {}
    for name in guesses:
        tables = [table for table in GUESSED if (table, keys.owner(table, name.encode())) in there]
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
    if key[:1] == _MESSAGE and len(key) == 19:
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
        _room(facts, owner, table, key, value, place)
    else:
        facts.add(category, owner, _printable(said[0]), text, place)


def _room(facts: Facts, room: str, table: str, key: bytes, value: bytes, place: str) -> None:
    """A row of a room, opened or in the clear."""
    if table == "archive":
        _message(facts, room, value, place)
        return
    text = _printable(f"{key.decode('utf-8', 'replace')} {value.decode('utf-8', 'replace')}")
    people = [jid for jid in _JID.findall(text) if jid != room]
    if people:
        for jid in people:
            facts.add("members", room, jid, text, place)
    else:
        facts.add("rooms", "", room, text, place)


def _message(facts: Facts, owner: str, value: bytes, place: str) -> None:
    """An archived message or one that waits: after its head, whatever that is, comes XML."""
    at = value.find(b"<message")
    if at < 0:
        facts.add("messages", owner, "", _printable(value.decode("utf-8", "replace")), place)
        return
    text = value[at:].rstrip(b"\0").decode("utf-8", "replace")
    stanza = of_text(text) or Node("message", {}, [], text)
    stamp = ""
    if at >= _HEAD and value[0] == 1:
        seconds = int.from_bytes(value[10:18], "big") / 1000
        if 1e9 < seconds < 1e10:
            stamp = datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
    stanzas.message(
        facts, stanza, owner, place, stamp=stamp, other=_printable(value[_HEAD:at].decode("utf-8", "replace"))
    )


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() and each != "\ufffd" else " " for each in text).strip()
