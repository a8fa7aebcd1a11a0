"""What the server asks of storage: opaque owner, key and value bytes, and receipts for what becomes durable.

The server seals, the store keeps. Writes return a `Ticket` that settles when they are durable; writes of one turn
are committed together, at the latest 40 ms after the first of them. Reads see every write made before them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from quietwire.core.errors import QuietwireError
from quietwire.core.later import Later, Ticket


class StorageError(QuietwireError):
    """The storage cannot answer now: disk full, read-only, broken or closed. The text names no path and no data."""


TABLES = (
    "account", "roster", "node", "item", "block", "private", "vcard", "preference", "archive", "room", "push", "device",
    "invitation", "upload",
)  # fmt: skip
"""Tables of the generic store. `account`: the verifiers and wrapped secrets. `roster`: one row a contact.
`node`, `item`: personal eventing. `block`: whom the owner blocks. `private`: XEP-0049. `vcard`: XEP-0054.
`preference`: settings of the account that modules keep, by module. `archive`: messages of an account or room. `room`:
owner is the room's bare JID. `push`: registrations. `device`: the clients that have logged in (XEP-0494).
`invitation`: tokens. `upload`: what was uploaded. A row is (owner, key) -> value; owners and keys are at most
LONGEST_NAME bytes."""

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
        the first `head` bytes only, where that is given."""
        ...

    def owners(self, table: str) -> Later[list[bytes]]: ...

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Ticket: ...

    def delete(self, table: str, owner: bytes, key: bytes) -> Ticket: ...

    def erase(self, owner: bytes) -> Ticket:
        """Deletes all rows of the owner in all tables and in the spool."""
        ...


class Entry:
    """One message in the spool: accepted, and not yet confirmed by its recipient.

    `holders` counts the sessions it was handed to and that have not answered for it; the server's business alone.
    """

    __slots__ = ("__weakref__", "confirmed", "holders", "key", "owner", "ticket", "value")  # drivers refer weakly

    def __init__(self, owner: bytes, key: bytes, value: bytes, ticket: Ticket) -> None:
        self.owner = owner
        self.key = key
        self.value = value
        self.ticket = ticket
        """Settles when the entry is durable or confirmed, with its group: entries of one commit share one ticket."""
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
        """(entries, bytes) unconfirmed for the owner, without reading them."""
        ...


class Storage(Protocol):
    """A whole storage: what the composition root opens and closes."""

    @property
    def store(self) -> Store: ...

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

    def close(self) -> None:
        """Commits, checkpoints and closes. Blocks; idempotent."""
        ...


Rows = Sequence[tuple[bytes, bytes]]
