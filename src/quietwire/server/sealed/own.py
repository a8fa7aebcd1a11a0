"""An account's sealed rows, while it is unlocked: small ones in the table `sealed`, large ones in `body`.

From outside no row tells which of the account's tables it belongs to, and small ones are rounded up to a power of two
with dummies, so that neither contacts nor bookmarks can be counted. The manifest lists every row; it is written in the
commit that changes one. At unlocking rows and manifest are compared: what is not as it was written is isolated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from quietwire.core.errors import QuietwireError
from quietwire.core.later import Later, Ticket
from quietwire.seal import rows
from quietwire.seal.manifest import BODY, DUMMY, ISOLATED, Manifest
from quietwire.seal.sizes import SMALL, rounded
from quietwire.seal.wraps import SealError
from quietwire.server.sealed.keyring import Unlocked
from quietwire.server.sealed.seals import Seals
from quietwire.store.ports import Store

KINDS: Final = {
    name: number
    for number, name in enumerate(
        ("roster", "block", "private", "vcard", "preference", "device", "node", "item"), start=1
    )
}
"""Table of the account -> kind of its rows. Numbers stay: they are on disks."""
SEALED, LARGE = "sealed", "body"
LEAST: Final = 8
"""Rows of an account that has next to nothing."""
_MANIFEST: Final = b"manifest"
_PER_ROW: Final = 64
"""Bytes of the manifest a row takes, for the store's weights."""


class OwnRows:
    """All accounts' own rows. `note(event, **facts)`: the log."""

    def __init__(self, store: Store, seals: Seals, note: Callable[..., None]) -> None:
        self._store = store
        self._seals = seals
        self._note = note

    # -- unlocking --------------------------------------------------------------------------------------------------

    async def open(self, unlocked: Unlocked) -> bool:
        """Reads the account's rows and compares them with its manifest. -> whether there was one. Raises
        StorageError."""
        owner = unlocked.owner
        wanted = (
            (SEALED, self._seals.owner(SEALED, owner), None),
            (LARGE, self._seals.owner(LARGE, owner), rows.HEAD_BYTES),
        )
        found, heads = map(dict, await self._store.scan_many(wanted))
        key = self._manifest_key(unlocked)
        row = found.pop(key, None)
        manifest = Manifest()
        if row is not None:
            try:
                _, _, data = rows.unpack(self._seals.open(SEALED, owner, key, row))
                manifest = Manifest.from_bytes(data)
            except SealError:
                unlocked.faults += 1
        elif found or heads:
            unlocked.faults += 1
        unlocked.manifest, unlocked.cache = manifest, found
        self._compare(unlocked, found, heads)
        if unlocked.faults:
            self._note("sealed-rows-isolated", count=str(unlocked.faults))
            self._write(unlocked)
        return row is not None

    def _compare(self, unlocked: Unlocked, found: dict[bytes, bytes], heads: dict[bytes, bytes]) -> None:
        manifest = unlocked.manifest
        there = {key: (False, row) for key, row in found.items()} | {key: (True, row) for key, row in heads.items()}
        for kind, key, tag in list(manifest):
            body, row = there.pop(key, (False, None))
            if row is None:
                manifest.remove(key)
                if kind != ISOLATED:
                    unlocked.faults += 1
            elif rows.tag(row) != tag or body != bool(kind & BODY and kind != ISOLATED):
                unlocked.faults += 1
                manifest.put(ISOLATED, key, rows.tag(row))
        for key, (_, row) in there.items():
            unlocked.faults += 1
            manifest.put(ISOLATED, key, rows.tag(row).ljust(rows.TAG_BYTES, b"\0"))

    def begin(self, unlocked: Unlocked) -> None:
        """An account that has no manifest yet gets one, and dummies."""
        self._round(unlocked)
        self._write(unlocked)

    # -- reading ----------------------------------------------------------------------------------------------------

    def get(self, unlocked: Unlocked, table: str, key: bytes) -> Later[bytes | None]:
        hashed = self._key(unlocked, table, key)
        record = unlocked.manifest.get(hashed)
        if record is None or record[0] == ISOLATED:
            return Later.of(None)
        if unlocked.cache is not None and hashed in unlocked.cache:
            opened = self._opened(unlocked, SEALED, hashed, unlocked.cache[hashed])
            return Later.of(opened[2] if opened is not None else None)
        place = LARGE if record[0] & BODY else SEALED
        later: Later[bytes | None] = Later()
        read = self._store.get(place, self._seals.owner(place, unlocked.owner), hashed)

        def done() -> None:
            try:
                row = read.result()
                opened = self._opened(unlocked, place, hashed, row) if row is not None else None
            except QuietwireError as error:
                later.fail(error)
                return
            later.resolve(opened[2] if opened is not None else None)

        read.when_settled(done)
        return later

    async def scan(self, unlocked: Unlocked, table: str) -> list[tuple[bytes, bytes]]:
        """Every (key, value) of that table of the account's."""
        kind, owner, manifest = KINDS[table], unlocked.owner, unlocked.manifest
        small, large = manifest.keys((kind,)), manifest.keys((kind | BODY,))
        found: list[tuple[str, bytes, bytes]] = []
        cache = unlocked.cache
        if cache is not None:
            found += [(SEALED, key, cache[key]) for key in small if key in cache]
            small = [key for key in small if key not in cache]
        for place, keys in ((SEALED, small), (LARGE, large)):
            if keys:
                read = await self._store.get_many(place, self._seals.owner(place, owner), keys)
                found += [(place, key, row) for key, row in read.items()]
        opened = [self._opened(unlocked, place, key, row) for place, key, row in found]
        return [each[1:] for each in opened if each is not None and each[0] == kind]

    def _opened(self, unlocked: Unlocked, place: str, key: bytes, row: bytes) -> tuple[int, bytes, bytes] | None:
        """(kind, key, value); None for a row that is not what was written."""
        record = unlocked.manifest.get(key)
        try:
            if record is None or record[1] != rows.tag(row):
                raise SealError("not the row that was written")
            return rows.unpack(self._seals.open(place, unlocked.owner, key, row))
        except SealError:
            self._isolate(unlocked, key, row)
            return None

    def _isolate(self, unlocked: Unlocked, key: bytes, row: bytes) -> None:
        record = unlocked.manifest.get(key)
        if record is None or record[0] == ISOLATED:
            return
        unlocked.faults += 1
        self._note("sealed-rows-isolated", count="1")
        unlocked.manifest.put(ISOLATED, key, rows.tag(row).ljust(rows.TAG_BYTES, b"\0"))
        self._write(unlocked)

    # -- writing ----------------------------------------------------------------------------------------------------

    def put(self, unlocked: Unlocked, table: str, key: bytes, value: bytes) -> Ticket:
        kind, hashed = KINDS[table], self._key(unlocked, table, key)
        content = rows.pack(kind, key, value)
        place = LARGE if len(content) > SMALL[-1] else SEALED
        former = unlocked.manifest.get(hashed)
        if former is not None and _place(former[0]) != place:
            self._delete(unlocked, hashed, former[0])
        row = self._put(unlocked, place, hashed, content)
        unlocked.manifest.put(kind | (BODY if place is LARGE else 0), hashed, rows.tag(row))
        if former is None or _place(former[0]) != place:
            self._round(unlocked)
        return self._write(unlocked)

    def delete(self, unlocked: Unlocked, table: str, key: bytes) -> Ticket | None:
        """None where there is nothing to be deleted."""
        hashed = self._key(unlocked, table, key)
        former = unlocked.manifest.get(hashed)
        if former is None:
            return None
        self._delete(unlocked, hashed, former[0])
        self._round(unlocked)
        return self._write(unlocked)

    def _put(self, unlocked: Unlocked, place: str, hashed: bytes, content: bytes) -> bytes:
        row = self._seals.seal_own(place, unlocked.owner, hashed, content)
        self._store.put(place, self._seals.owner(place, unlocked.owner), hashed, row)
        if place is SEALED and unlocked.cache is not None:
            unlocked.cache[hashed] = row
        return row

    def _delete(self, unlocked: Unlocked, hashed: bytes, kind: int) -> None:
        place = _place(kind)
        self._store.delete(place, self._seals.owner(place, unlocked.owner), hashed)
        unlocked.manifest.remove(hashed)
        if unlocked.cache is not None:
            unlocked.cache.pop(hashed, None)

    def _round(self, unlocked: Unlocked) -> None:
        """As many dummies as make the small rows, the manifest among them, a power of two. They become fewer only when
        three quarters would do nothing else: a count that swings about a power of two costs nothing."""
        manifest = unlocked.manifest
        dummies = manifest.keys((DUMMY,))
        real = 1 + sum(not kind & BODY for kind, _, _ in manifest) - len(dummies)
        total = real + len(dummies)
        wanted = max(LEAST, rounded(real))
        if total == rounded(total) and total >= wanted and (total == LEAST or real * 4 > total):
            return
        for key in dummies[max(0, wanted - real) :]:
            self._delete(unlocked, key, DUMMY)
        for _ in range(wanted - total):
            key = self._seals.randomness(16)
            row = self._put(unlocked, SEALED, key, rows.pack(DUMMY, b"", b""))
            manifest.put(DUMMY, key, rows.tag(row))

    def _write(self, unlocked: Unlocked) -> Ticket:
        """The manifest, once a commit."""
        key = self._manifest_key(unlocked)
        return self._store.put_late(
            SEALED,
            self._seals.owner(SEALED, unlocked.owner),
            key,
            partial(self._manifest_row, unlocked, key),
            _PER_ROW * len(unlocked.manifest),
        )

    def _manifest_row(self, unlocked: Unlocked, key: bytes) -> bytes:
        return self._seals.seal_own(SEALED, unlocked.owner, key, rows.pack(0xFF, b"", unlocked.manifest.to_bytes()))

    def _manifest_key(self, unlocked: Unlocked) -> bytes:
        return unlocked.keys.key(_MANIFEST, b"")

    def _key(self, unlocked: Unlocked, table: str, key: bytes) -> bytes:
        return unlocked.keys.key(table.encode(), key)


def _place(kind: int) -> str:
    return LARGE if kind & BODY and kind != ISOLATED else SEALED
