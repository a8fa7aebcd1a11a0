"""The port "store" of a real server: modules write names and values, the driver keeps hashes and sealed rows.

Which table is under whose key: `SERVER` what must be readable while its owner is away, `own.KINDS` what only the owner
may read, `room` what a room keeps. What comes for somebody who may be away goes past this, through `Seals.seal`.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Final

from quietwire.core.later import Later, Ticket, started
from quietwire.seal import rows
from quietwire.seal.keys import KEY_BYTES, AccountKeys
from quietwire.seal.wraps import SealError
from quietwire.server.accounts import ARRIVALS, CREDENTIALS, TABLE
from quietwire.server.sealed.findings import Findings, finding
from quietwire.server.sealed.keyring import Unlocked
from quietwire.server.sealed.own import KINDS, LARGE, SEALED, OwnRows
from quietwire.server.sealed.rooms import ROOM, SECRET, RoomSecrets
from quietwire.server.sealed.seals import BEGUN, HANDLE, Sealed, Seals
from quietwire.store.ports import LONGEST_NAME, Storage

SERVER: Final = {
    "account": "account",
    "push": "push",
    "invitation": "invitation",
    "upload": "upload",
    "open_node": "node",
    "open_item": "item",
    "open_vcard": "vcard",
}
"""Table -> the driver's. Under the server's key."""
OWN: Final = (SEALED, LARGE, "arrival", "archive", "spool")
"""Driver's tables that hold what only an account's own keys open."""
PLACES: Final = (*SERVER.values(), "preference", ROOM, *OWN)
"""The driver's tables in which an owner has a hash."""


def places(tables: Iterable[str]) -> set[str]:
    """The driver's tables in which rows of those tables lie, and those that every server has."""
    found = {"server", "arrival", "account"}
    for table in tables:
        found.add(SERVER.get(table, table))
        if table in KINDS:
            found |= {SEALED, LARGE, SERVER.get(f"open_{table}", SEALED)}
    return found


DAMAGED: Final = b"\0"
"""What is read for an account's record that does not open: no record either, but there."""
RECORD_BYTES: Final = 304
"""Of an account's credentials."""
_NOTHING: Final = Ticket()
_NOTHING.settle()


async def _nothing(unlocked: Unlocked) -> None:
    """Of a database that was always sealed nothing is to be adopted."""


def has_begun(public: bytes) -> bool:
    """Whether the account has rows of its own, by what is stored as its public key."""
    return public[KEY_BYTES : KEY_BYTES + 1] == BEGUN


def vouched(keys: AccountKeys, public: bytes) -> bytes:
    """What is stored as the public key of an account that has begun: the account itself says that it is its own, which
    spares computing it at each login."""
    return public + BEGUN + keys.key(ARRIVALS, public)


class SealedStore:
    """Implements `ports.Store`. Reads of what is a locked account's find nothing, writes raise `Sealed`."""

    def __init__(self, storage: Storage, seals: Seals, note: Callable[..., None]) -> None:
        self.storage = storage
        self.seals = seals
        self._driver = storage.store
        self.findings = Findings(note, seals.account)
        self.own = OwnRows(storage.store, seals, self.findings)
        self.rooms = RoomSecrets(storage.store, seals, self.erase, self._damaged)
        self._decoy = b""
        """A row as long as an account's."""
        self.in_clear: set[bytes] = set()
        """Accounts of which something is left from before the sealed store, under its name."""
        self.adopt_rows: Callable[[Unlocked], Awaitable[None]] = _nothing
        """Awaited before an account's rows are read or written, and"""
        self.adopt_rest: Callable[[Unlocked], Awaitable[None]] = _nothing
        """once they can be: see `migration.py`."""

    async def open(self) -> None:
        """Reads the rooms' secrets. Call it once, before the first stream."""
        await self.rooms.open()

    async def unlock(self, owner: bytes) -> None:
        """Makes the rows of an account that has a lease readable. The first time it gets what an account has from then
        on: a manifest, and a public key for arrivals. Raises StorageError, StanzaError(resource-constraint), Sealed."""
        unlocked = self.seals.unlocked(owner)
        if unlocked.ready:
            return
        if unlocked.opening is not None:
            await unlocked.opening
            return
        unlocked.opening = opening = Later[None]()
        try:
            await self._unlock(unlocked)
        except BaseException as error:
            unlocked.opening = None
            opening.fail(error)
            raise
        unlocked.opening = None
        opening.resolve(None)

    async def _unlock(self, unlocked: Unlocked) -> None:
        owner, handle = unlocked.owner, self.seals.handle_of(unlocked.owner)
        stored = self.seals.publics.get(handle[len(HANDLE) :], b"")
        known = await self.own.open(unlocked, has_begun(stored))
        public = stored[:KEY_BYTES]
        if not hmac.compare_digest(stored, vouched(unlocked.keys, public)):
            public = unlocked.keys.arrival_public()
        if stored[:KEY_BYTES] != public:
            self._publish(owner, handle, public)
            if stored or known:
                self.findings.report(owner, (finding("account", ARRIVALS, stored),))
        if not has_begun(stored):
            await self.adopt_rows(unlocked)
        unlocked.ready = True
        try:
            if not has_begun(stored):
                await self.adopt_rest(unlocked)
            whole = vouched(unlocked.keys, public)
            if stored != whole:  # last: from now on a manifest must be there, and nothing is adopted
                self._publish(owner, handle, whole)
        except BaseException:
            unlocked.ready = False
            raise

    def _publish(self, owner: bytes, handle: bytes, public: bytes) -> None:
        self.put(TABLE, owner, ARRIVALS, public)
        self.seals.learn(handle, public)

    # -- reading ----------------------------------------------------------------------------------------------------

    def get(self, table: str, owner: bytes, key: bytes) -> Later[bytes | None]:
        place = self._shared(table, owner)
        if place is None:
            unlocked = self._unlocked(owner)
            return started(self.own.get(unlocked, table, key)) if unlocked is not None else Later.of(None)
        return started(self._get(place, owner, key))

    async def _get(self, place: str, owner: bytes, key: bytes) -> bytes | None:
        hashed = self.seals.owner(place, owner)
        name = self.seals.keys.key(place, hashed, key)
        row = await self._driver.get(place, hashed, name)
        if row is None:
            if place == TABLE:
                self._pretend()
            return None
        opened = self._opened(place, owner, name, row)
        return opened[1] if opened is not None else None

    def _pretend(self) -> None:
        """A name that is nobody's costs a login what an account's does."""
        place, owner, name = TABLE, b"", b""
        if not self._decoy:
            self._decoy = self.seals.seal_server(place, owner, name, rows.pack(0, CREDENTIALS, bytes(RECORD_BYTES)))
        rows.unpack(self.seals.open_server(place, owner, name, self._decoy))

    def get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> Later[dict[bytes, bytes]]:
        return started(self._get_many(table, owner, keys))

    async def _get_many(self, table: str, owner: bytes, keys: Collection[bytes]) -> dict[bytes, bytes]:
        place = self._shared(table, owner)
        if place is None:
            unlocked = self._unlocked(owner)
            return await self.own.get_many(unlocked, table, keys) if unlocked is not None else {}
        hashed = self.seals.owner(place, owner)
        names = [self.seals.keys.key(place, hashed, key) for key in keys]
        sealed = await self._driver.get_many(place, hashed, names)
        return dict(filter(None, (self._opened(place, owner, name, row) for name, row in sealed.items())))

    def scan(
        self, table: str, owner: bytes, first: bytes = b"", stop: bytes | None = None, head: int | None = None
    ) -> Later[list[tuple[bytes, bytes]]]:
        return started(self._scan(table, owner, first, stop, head))

    async def _scan(
        self, table: str, owner: bytes, first: bytes, stop: bytes | None, head: int | None
    ) -> list[tuple[bytes, bytes]]:
        place = self._shared(table, owner)
        if place is None:
            unlocked = self._unlocked(owner)
            found = await self.own.scan(unlocked, table) if unlocked is not None else []
        else:
            sealed = await self._driver.scan(place, self.seals.owner(place, owner))
            secret = self.rooms.key(owner) if place == ROOM else b""
            opened = (self._opened(place, owner, name, row) for name, row in sealed if name != secret)
            found = [each for each in opened if each is not None]
        return [(key, value[:head]) for key, value in found if key >= first and (stop is None or key < stop)]

    def scan_many(self, wanted: Sequence[tuple[str, bytes, int | None]]) -> Later[list[list[tuple[bytes, bytes]]]]:
        return started(self._scan_many(wanted))

    async def _scan_many(self, wanted: Sequence[tuple[str, bytes, int | None]]) -> list[list[tuple[bytes, bytes]]]:
        return [await self.scan(table, owner, head=head) for table, owner, head in wanted]

    def owners(self, table: str) -> Later[list[bytes]]:
        """Handles, and of rooms the names. KeyError for a table whose owners nobody but they themselves may know."""
        if table == ROOM:
            return Later.of(list(self.rooms.kept))
        return started(self._handles(SERVER.get(table) or table))

    def handle(self, table: str, owner: bytes) -> bytes:
        return owner if table == ROOM else HANDLE + self.seals.owner(SERVER.get(table) or table, owner)

    async def _handles(self, place: str) -> list[bytes]:
        return [HANDLE + owner for owner in await self._driver.owners(place)]

    # -- writing ----------------------------------------------------------------------------------------------------

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Ticket:
        """Raises Sealed, besides what `ports.Store` says."""
        if len(owner) > LONGEST_NAME or len(key) > LONGEST_NAME:
            raise ValueError("owners and keys have at most 4,096 bytes")
        place = self._shared(table, owner)
        if place is None:
            return self.own.put(self._must(owner), table, key, value)
        hashed = self.seals.owner(place, owner)
        name = self.seals.keys.key(place, hashed, key)
        content = rows.pack(0, key, value)
        if place == ROOM:
            self.rooms.keep(owner)
            return self._driver.put(place, hashed, name, self.seals.seal_own(place, owner, name, content))
        return self._driver.put(place, hashed, name, self.seals.seal_server(place, owner, name, content))

    def put_late(self, table: str, owner: bytes, key: bytes, make: Callable[[], bytes], size: int) -> Ticket:
        """Made at once: what is sealed here is small."""
        return self.put(table, owner, key, make())

    def delete(self, table: str, owner: bytes, key: bytes) -> Ticket:
        place = self._shared(table, owner)
        if place is None:
            return self.own.delete(self._must(owner), table, key) or _NOTHING
        if place == ROOM and key == SECRET:
            return self.rooms.lose(owner)
        hashed = self.seals.owner(place, owner)
        return self._driver.delete(place, hashed, self.seals.keys.key(place, hashed, key))

    def erase(self, owner: bytes) -> Ticket:
        """Everything of the owner, in all tables and the spool. A locked account needs not be unlocked for it."""
        ticket = _NOTHING
        for table in PLACES:
            ticket = self._driver.erase(self.seals.owner(table, owner))
        self._erase_old(owner)
        unlocked = self.seals.keyring.get(owner)
        if unlocked is not None:
            self.seals.keyring.wipe(unlocked)
        self.findings.forget(owner)
        self.seals.forget(owner)
        self.rooms.forget(owner)
        return ticket

    def renew(self, owner: bytes, public: bytes) -> Ticket:
        """Everything that is sealed for the account alone goes, since it has a new secret; `public`: its key for
        arrivals from now on. What is under the server's key stays."""
        unlocked = self.seals.keyring.get(owner)
        if unlocked is not None:
            self.seals.keyring.wipe(unlocked)
        ticket = _NOTHING
        for table in OWN:
            ticket = self._driver.erase(self.seals.owner(table, owner))
        self._erase_old(owner)
        self.seals.forget(owner)
        self.findings.forget(owner)
        self.seals.learn(self.seals.handle_of(owner), public)
        return ticket

    def _erase_old(self, owner: bytes) -> None:
        """What is there under its name, if it comes from before the sealed store."""
        if owner in self.in_clear:
            self.in_clear.discard(owner)
            self._driver.erase(owner)

    # -- how ----------------------------------------------------------------------------------------------------------

    def _shared(self, table: str, owner: bytes) -> str | None:
        """The driver's table of what is under the server's or a room's key; None for what is an account's own."""
        if table in SERVER:
            return SERVER[table]
        if table == ROOM or (table == "preference" and self.seals.is_server(owner)):
            return table
        if table in KINDS:
            return None
        raise KeyError(table)

    def _unlocked(self, owner: bytes) -> Unlocked | None:
        unlocked = self.seals.keyring.get(owner)
        return unlocked if unlocked is not None and unlocked.ready else None

    def _must(self, owner: bytes) -> Unlocked:
        unlocked = self._unlocked(owner)
        if unlocked is None:
            raise Sealed
        return unlocked

    def _opened(self, place: str, owner: bytes, name: bytes, row: bytes) -> tuple[bytes, bytes] | None:
        """(key, value); None for a row that is damaged or of another place: the others can be read."""
        try:
            if place == ROOM:
                return rows.unpack(self.seals.open(place, owner, name, row))[1:]
            return rows.unpack(self.seals.open_server(place, owner, name, row))[1:]
        except SealError:
            whose = owner if place == TABLE or not owner.startswith(HANDLE) else b""  # no other handle tells
            self.findings.report(whose, (finding(place, name, row),))
            hashed = self.seals.owner(place, owner)
            if place == TABLE and name == self.seals.keys.key(place, hashed, CREDENTIALS):
                return CREDENTIALS, DAMAGED  # the account is there: nobody else can have its name
            return None

    def _damaged(self, place: str, name: bytes, row: bytes) -> None:
        """Nobody's, as far as can be told."""
        self.findings.report(b"", (finding(place, name, row),))
