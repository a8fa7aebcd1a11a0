"""What the server asks of storage: opaque owner, key and value bytes, and receipts for what becomes durable.

The server seals, the store keeps. Writes return a `Ticket` that settles when they are durable; writes of one turn
are committed together, at the latest 40 ms after the first of them. Reads see every write made before them.

Modules speak of the tables in LOGICAL; the sealed store of `server/sealed` keeps their rows in the driver's TABLES.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from quietwire.core.errors import QuietwireError
from quietwire.core.later import Later, Ticket


class StorageError(QuietwireError):
    """The storage cannot answer now: disk full, read-only, broken or closed. The text names no path and no data."""


LOGICAL = (
    "account", "roster", "node", "item", "block", "private", "vcard", "preference", "archive", "room", "push", "device",
    "invitation", "upload", "open_node", "open_item", "open_vcard",
)  # fmt: skip
"""Tables that modules use. `account`: the verifiers and wrapped secrets. `roster`: one row a contact. `node`, `item`:
personal eventing. `block`: whom the owner blocks. `private`: XEP-0049. `vcard`: XEP-0054. `preference`: settings of the
account that modules keep, by module. `archive`: messages of an account or room. `room`: owner is the room's bare JID.
`push`: registrations. `device`: the clients that have logged in (XEP-0494). `invitation`: tokens. `upload`: what was
uploaded. `open_node`, `open_item`, `open_vcard`: what everybody may read while the owner is away. A row is
(owner, key) -> value; owners and keys are at most LONGEST_NAME bytes."""

OLD = (
    "old_account", "old_roster", "old_node", "old_item", "old_block", "old_private", "old_vcard", "old_preference",
    "old_archive", "old_room", "old_push", "old_device", "old_invitation", "old_upload", "old_spool",
)  # fmt: skip
"""What a database from before the sealed store held, in clear, until it is sealed: the server's part at its start, an
owner's at the first login. `old_spool` is the spool of then, as rows like any other."""

TABLES = (
    "account", "node", "item", "vcard", "preference", "push", "invitation", "upload", "room", "sealed", "body",
    "arrival", "archive", "server", *OLD,
)  # fmt: skip
"""Tables of a driver, beside the spool. Under the server's key: `account`, `push`, `invitation`, `upload`, and what of
`node`, `item`, `vcard` and `preference` all may read or is the server's own. `room`: rooms, each under its secret.
`sealed`: the small rows of an account that only its owner can open, of all kinds alike, dummies among them; `body`: its
large ones. `arrival`: what came for an account, other than messages, and waits to be folded into `sealed`. `archive`:
archived messages of accounts and rooms. `server`: the key block that the server's key opens. And OLD. Owners and keys
are hashes, values are sealed: which is the business of whoever puts them."""

LONGEST_NAME = 4096
"""Bytes of an owner or key: fits a hashed or sealed JID (at most 3,071 bytes, RFC 7622 §3.1)."""


class Store(Protocol):
    """Rows by table, owner and key.

    At once: KeyError for an unknown table; for writes ValueError for an owner or key that is too long, StanzaError
    (resource-constraint) when more waits to be committed than memory may hold. A read that the disk refuses fails its
    `Later` with StorageError; a write that the disk refuses stays buffered, its ticket unsettled, and is tried again.
    """

    def get(self, table: str, owner: bytes, key: bytes) -> Later[bytes | None]: ...

    def get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> Later[dict[bytes, bytes]]:
        """The values of those keys that exist."""
        ...

    def scan(
        self, table: str, owner: bytes, first: bytes = b"", stop: bytes | None = None, head: int | None = None
    ) -> Later[list[tuple[bytes, bytes]]]:
        """Every (key, value) of the owner with first <= key < stop, in no order that means anything; of the values
        the first `head` bytes only, where that is given; 0 reads none of them."""
        ...

    def scan_many(self, wanted: Sequence[tuple[str, bytes, int | None]]) -> Later[list[list[tuple[bytes, bytes]]]]:
        """For each (table, owner, head) what `scan` of all keys gives: one question instead of several."""
        ...

    def owners(self, table: str) -> Later[list[bytes]]: ...

    def handle(self, table: str, owner: bytes) -> bytes:
        """What `owners` gives in the place of that one: of a driver the owner itself. It can be used like the name."""
        ...

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Ticket: ...

    def put_late(self, table: str, owner: bytes, key: bytes, make: Callable[[], bytes], size: int) -> Ticket:
        """Like `put` of `make()`, which is called once, in the loop's thread, when the commit is handed over: a row
        that covers others, or grows with each write, costs one value a commit. From then on the bytes are fixed, also
        while the disk refuses. A later write of the row before that takes its place, and `make` is not called.

        The row is in the same commit as all that was written in its turn, and in no earlier commit than what was
        written since: two commits that both have the row late are made one. `size`: about how long the value will be.
        `make` must not raise; if it does, the row keeps its value. Where this is refused for want of memory, a write
        after it in the same turn may be too: what a late row covers is written after it.
        """
        ...

    def delete(self, table: str, owner: bytes, key: bytes) -> Ticket: ...

    def erase(self, owner: bytes) -> Ticket:
        """Deletes all rows of the owner in all tables and in the spool."""
        ...


class Driver(Store, Protocol):
    """A store that keeps the bytes itself."""

    def measure(self, table: str, owner: bytes) -> Later[tuple[int, int]]:
        """(rows, bytes of their values) of the owner, without reading them."""
        ...


class Entry:
    """One message in the spool: accepted, and not yet confirmed by its recipient.

    `holders` counts the sessions it was handed to and that have not answered for it; the server's business alone.
    """

    __slots__ = (
        "__weakref__",
        "confirmed",
        "holders",
        "key",
        "owner",
        "size",
        "stored",
        "ticket",
        "value",
    )  # fmt: skip - drivers refer weakly

    def __init__(self, owner: bytes, key: bytes, value: bytes, ticket: Ticket, stored: bool = False) -> None:
        self.owner = owner
        self.key = key
        self.value = value
        self.ticket = ticket
        """Settles when the entry is durable or confirmed, with its group: entries of one commit share one ticket."""
        self.stored = stored
        """It was read from the disk, and `value` is what `Storage.dress` made of it, until somebody replaces that."""
        self.size = len(value)
        """Bytes that `Spool.usage` counts for it: of the plain value, once it is written of what is on the disk."""
        self.confirmed = False
        self.holders = 0


class Spool(Protocol):
    """The durable spool: offline messages and unacknowledged 0198 queues in one."""

    def keep(self, owner: bytes, value: bytes) -> Entry:
        """Accepts a value for `owner` under a fresh random key. Never blocks; called for every message.

        StanzaError (resource-constraint) when more waits to be committed than memory may hold.
        """
        ...

    def confirm(self, entry: Entry) -> None:
        """The recipient has it: an entry that is not yet committed never touches the disk, a committed one is
        deleted with the next commit. Idempotent."""
        ...

    def load(self, owner: bytes) -> Later[list[Entry]]:
        """All entries of the owner that are unconfirmed when the `Later` settles, in no order that means anything.

        Entries still in memory are the same objects.
        """
        ...

    def usage(self, owner: bytes) -> tuple[int, int]:
        """(entries, bytes) unconfirmed for the owner, without reading them; see `Entry.size`."""
        ...


class Storage(Protocol):
    """A whole storage: what the composition root opens and closes."""

    dress: Callable[[bytes, bytes, bytes], bytes] | None
    """(owner, key, value) of an entry -> what the disk is to hold. Called in the loop's thread when a commit is handed
    over, once for each entry that is really written. None: the value itself. Must not raise; an entry for which it does
    is not written."""

    @property
    def store(self) -> Driver: ...

    @property
    def spool(self) -> Spool: ...

    @property
    def latest(self) -> Ticket | None:
        """The ticket of the newest group with writes that are not durable yet, or None. Groups settle in order,
        so whoever waits for it waits for every write made so far. Entries that were confirmed before their commit,
        and the deletion of confirmed ones, do not count: no acknowledgement rests on them."""
        ...

    def sync(self) -> Ticket:
        """Commits at once what is pending; the ticket settles when all of it is durable."""
        ...

    def cut_log(self) -> None:
        """Somebody's account is locked from now on: what tells which of its rows were written together with whose is
        to be gone in some seconds."""
        ...

    def close(self) -> None:
        """Commits, checkpoints and closes. Blocks; idempotent."""
        ...


Rows = Sequence[tuple[bytes, bytes]]
