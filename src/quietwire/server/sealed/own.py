"""An account's sealed rows, while it is unlocked: small ones in the table `sealed`, large ones in `body`.

From outside no row tells which of the account's tables it belongs to, and small ones are rounded up to a power of two
with dummies, so that neither contacts nor bookmarks can be counted. The manifest lists every row; it is written in the
commit that changes one. At unlocking rows and manifest are compared: what is not as it was written is isolated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.core.errors import QuietwireError
from quietwire.core.later import Ticket
from quietwire.seal import rows
from quietwire.seal.manifest import BODY, DUMMY, ISOLATED, Manifest
from quietwire.seal.sizes import SMALL, rounded
from quietwire.seal.wraps import SealError
from quietwire.server.sealed.findings import Findings, finding
from quietwire.server.sealed.keyring import Unlocked
from quietwire.server.sealed.seals import Sealed, Seals
from quietwire.store.ports import Store

KINDS: Final = {
    name: number
    for number, name in enumerate(
        ("roster", "block", "private", "vcard", "preference", "device", "node", "item"), start=1
    )
}
"""Table of the account -> kind of its rows. Numbers stay: they are on disks."""
MANIFEST: Final = 0xFF
"""Kind in the content of the manifest's own row, which it does not list."""
SEALED, LARGE = "sealed", "body"
LEAST: Final = 8
"""Rows of an account that has next to nothing."""
_NAMES: Final = {number: name for name, number in KINDS.items()}
_PER_ROW: Final = 40
"""Bytes of the manifest a row takes, with its padding, for the store's weights."""


class _Pending:
    """A manifest that waits for its commit. Sealed when that is handed over, or when the account is locked before."""

    __slots__ = ("_done", "_make", "row")

    def __init__(self, make: Callable[[], bytes], done: Callable[[], object]) -> None:
        self._make = make
        self._done = done
        self.row = b""

    def make(self) -> bytes:
        self._done()
        return self.row or self._make()

    def part(self) -> None:
        """The keys go."""
        self.row = self._make()
        self._done()


class OwnRows:
    """All accounts' own rows."""

    def __init__(self, store: Store, seals: Seals, findings: Findings) -> None:
        self._store = store
        self._seals = seals
        self._findings = findings
        self._pending: dict[Unlocked, _Pending] = {}

    # -- unlocking --------------------------------------------------------------------------------------------------

    async def open(self, unlocked: Unlocked, known: bool) -> bool:
        """Reads the account's rows and compares them with its manifest. `known`: it must have one. -> whether
        it has had one; it has from now on. Raises StorageError, and Sealed where the account is locked meanwhile."""
        owner = unlocked.owner
        wanted = ((SEALED, self._name(SEALED, owner), None), (LARGE, self._name(LARGE, owner), rows.HEAD_BYTES))
        found, heads = map(dict, await self._store.scan_many(wanted))
        _check(unlocked)
        unlocked.keys.parting = partial(self._part, unlocked)
        key = self._manifest_key(unlocked)
        row = found.pop(key, None)
        unlocked.cache = found
        manifest = self._read_manifest(unlocked, key, row) if row is not None else None
        faults: list[bytes] = []
        if manifest is not None:
            unlocked.manifest = manifest
            faults = self._compare(unlocked, found, heads)
        else:
            unlocked.manifest = Manifest()
            if row is not None or found or heads or known:
                faults = [finding(SEALED, key, row or b""), *await self._salvage(unlocked, found, heads)]
        if manifest is None or faults:
            self._round(unlocked)
            self._touch(unlocked)
            self._findings.report(owner, faults)
        return manifest is not None or bool(faults)

    def _read_manifest(self, unlocked: Unlocked, key: bytes, row: bytes) -> Manifest | None:
        try:
            kind, _, data = self._open(unlocked, SEALED, key, row)
            return Manifest.from_bytes(data) if kind == MANIFEST else None
        except SealError:
            return None

    def _compare(self, unlocked: Unlocked, found: dict[bytes, bytes], heads: dict[bytes, bytes]) -> list[bytes]:
        """Rows that are not those of the manifest are marked in it. -> what was found."""
        manifest, faults = unlocked.manifest, []
        left = {SEALED: dict(found), LARGE: dict(heads)}
        for kind, key, tag in manifest:
            place = _place(kind)
            row = left[place].pop(key, None)
            if row is not None and rows.tag(row) == tag:
                continue
            if row is None:
                manifest.remove(key)
                if kind & ~BODY == ISOLATED:
                    continue
            else:
                manifest.put(ISOLATED | kind & BODY, key, rows.tag(row))
            faults.append(finding(place, key, row or b""))
        for place, strangers in left.items():
            for key, row in strangers.items():
                faults.append(finding(place, key, row))
                if len(key) != len(self._manifest_key(unlocked)) or manifest.get(key) is not None:
                    self._store.delete(place, self._name(place, unlocked.owner), key)  # it can stand in no manifest
                    found.pop(key, None) if place is SEALED else None
                else:
                    manifest.put(ISOLATED | (BODY if place is LARGE else 0), key, rows.tag(row))
        return faults

    async def _salvage(self, unlocked: Unlocked, found: dict[bytes, bytes], heads: dict[bytes, bytes]) -> list[bytes]:
        """There should be a manifest: whatever opens is taken, although nobody can say now whether it is all, and the
        newest. -> what was isolated."""
        manifest, faults = Manifest(), []
        owner = unlocked.owner
        for place, all_ in ((SEALED, found), (LARGE, heads)):
            for key, head in list(all_.items()):
                row = head
                if place is LARGE:
                    row = await self._store.get(place, self._name(place, owner), key) or head
                    _check(unlocked)
                body = BODY if place is LARGE else 0
                try:
                    kind, name, _ = self._open(unlocked, place, key, row)
                    sound = kind == DUMMY or (kind in _NAMES and self._key(unlocked, _NAMES[kind], name) == key)
                except SealError:
                    kind, sound = ISOLATED, False
                if len(key) != len(self._manifest_key(unlocked)) or manifest.get(key) is not None:
                    self._store.delete(place, self._name(place, owner), key)
                    sound = False
                else:
                    manifest.put((kind if sound else ISOLATED) | body, key, rows.tag(row))
                if not sound:
                    faults.append(finding(place, key, row))
        unlocked.manifest = manifest
        return faults

    # -- reading ----------------------------------------------------------------------------------------------------

    async def get(self, unlocked: Unlocked, table: str, key: bytes) -> bytes | None:
        return (await self.get_many(unlocked, table, (key,))).get(key)

    async def get_many(self, unlocked: Unlocked, table: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        if unlocked.keys.locked:
            return {}
        found = await self._read(unlocked, _asked(unlocked, {self._key(unlocked, table, key) for key in keys}))
        return {name: value for _, name, value in found}

    async def scan(self, unlocked: Unlocked, table: str) -> list[tuple[bytes, bytes]]:
        """Every (key, value) of that table of the account's."""
        kind, manifest = KINDS[table], unlocked.manifest
        asked = {SEALED: dict(manifest.of(kind)), LARGE: dict(manifest.of(kind | BODY))}
        return [(name, value) for _, name, value in await self._read(unlocked, asked)]

    async def _read(self, unlocked: Unlocked, asked: dict[str, dict[bytes, bytes]]) -> list[tuple[int, bytes, bytes]]:
        """(kind, key, value) of those rows that exist and are as they were written; nothing once the account is
        locked. `asked`: the tags by place and key. Where a row was written while it was read, what came may be the
        former one, or the next: it is read again."""
        manifest = unlocked.manifest
        found: list[tuple[int, bytes, bytes]] = []
        faults: list[bytes] = []
        again: set[bytes] = set()
        while any(asked.values()):
            for place, tags in asked.items():
                there = await self._fetch(unlocked, place, tags)
                cipher = unlocked.keys.cipher
                if cipher is None:
                    return []
                for key, tag in tags.items():
                    row = there.get(key)
                    if row is not None and rows.tag(row) == tag:
                        try:
                            found.append(self._open(unlocked, place, key, row, cipher))
                            continue
                        except SealError:
                            pass
                    now = manifest.get(key)
                    if now is not None and now[1] != tag:
                        again.add(key)
                    elif now is not None:
                        faults.append(finding(place, key, row or b""))
                        self._isolate(unlocked, key, now[0], row)
            asked, again = _asked(unlocked, again), set()
        self._findings.report(unlocked.owner, faults)
        return found

    async def _fetch(self, unlocked: Unlocked, place: str, keys: Collection[bytes]) -> dict[bytes, bytes]:
        cache = unlocked.cache
        if cache is not None and place is SEALED:
            return {key: cache[key] for key in keys if key in cache}
        return await self._store.get_many(place, self._name(place, unlocked.owner), keys) if keys else {}

    def _isolate(self, unlocked: Unlocked, key: bytes, kind: int, row: bytes | None) -> None:
        if row is None:
            unlocked.manifest.remove(key)
        else:
            unlocked.manifest.put(ISOLATED | kind & BODY, key, rows.tag(row))
        try:
            self._touch(unlocked)
        except QuietwireError:
            pass  # the store takes nothing now: the next change has it too

    # -- writing ----------------------------------------------------------------------------------------------------

    # The manifest is asked for first: should the store refuse what comes then, it is as the rows are.

    def put(self, unlocked: Unlocked, table: str, key: bytes, value: bytes) -> Ticket:
        """Raises StorageError, StanzaError(resource-constraint)."""
        kind, hashed = KINDS[table], self._key(unlocked, table, key)
        content = rows.pack(kind, key, value)
        place = LARGE if len(content) > SMALL[-1] else SEALED
        manifest = unlocked.manifest
        former = manifest.get(hashed)
        ticket = self._touch(unlocked)
        if former is not None and _place(former[0]) != place:
            self._delete(unlocked, hashed, former[0])
            former = None
        if former is None and place is SEALED and manifest.dummies:
            self._delete(unlocked, manifest.keys(DUMMY, 1)[0], DUMMY)
        self._put(unlocked, place, kind, hashed, content)
        self._round(unlocked)
        return ticket

    def delete(self, unlocked: Unlocked, table: str, key: bytes) -> Ticket | None:
        """None where there is nothing to be deleted. Raises StorageError, StanzaError(resource-constraint)."""
        hashed = self._key(unlocked, table, key)
        former = unlocked.manifest.get(hashed)
        if former is None:
            return None
        ticket = self._touch(unlocked)
        self._delete(unlocked, hashed, former[0])
        self._round(unlocked)
        return ticket

    def _put(self, unlocked: Unlocked, place: str, kind: int, hashed: bytes, content: bytes) -> None:
        owner = self._name(place, unlocked.owner)
        row = self._seal(unlocked, place, hashed, content)
        self._store.put(place, owner, hashed, row)
        unlocked.manifest.put(kind | (BODY if place is LARGE else 0), hashed, rows.tag(row))
        if place is SEALED and unlocked.cache is not None:
            unlocked.cache[hashed] = row

    def _delete(self, unlocked: Unlocked, hashed: bytes, kind: int) -> None:
        place = _place(kind)
        self._store.delete(place, self._name(place, unlocked.owner), hashed)
        unlocked.manifest.remove(hashed)
        if place is SEALED and unlocked.cache is not None:
            unlocked.cache.pop(hashed, None)

    def _round(self, unlocked: Unlocked) -> None:
        """As many dummies as make the small rows, the manifest among them, a power of two. They become half as many
        only where a quarter would do: a count that swings about a power of two costs nothing."""
        manifest = unlocked.manifest
        total = 1 + manifest.small
        real = total - manifest.dummies
        wanted = max(LEAST, rounded(total))
        while wanted > LEAST and real * 4 <= wanted:
            wanted //= 2
        for key in manifest.keys(DUMMY, total - wanted) if total > wanted else ():
            self._delete(unlocked, key, DUMMY)
        for _ in range(wanted - total):
            self._put(unlocked, SEALED, DUMMY, self._seals.randomness(16), rows.pack(DUMMY, b"", b""))

    def _touch(self, unlocked: Unlocked) -> Ticket:
        """The manifest is written with what is written now, once a commit."""
        pending = self._pending.get(unlocked)
        if pending is None:
            done = partial(self._pending.pop, unlocked, None)
            pending = self._pending[unlocked] = _Pending(partial(self._manifest_row, unlocked), done)
        owner, size = self._name(SEALED, unlocked.owner), _PER_ROW * len(unlocked.manifest)
        return self._store.put_late(SEALED, owner, self._manifest_key(unlocked), pending.make, size)

    def _part(self, unlocked: Unlocked) -> None:
        """Its keys are about to be wiped."""
        pending = self._pending.get(unlocked)
        if pending is not None:
            pending.part()

    # -- how ----------------------------------------------------------------------------------------------------------

    def _manifest_row(self, unlocked: Unlocked) -> bytes:
        content = rows.pack(MANIFEST, b"", unlocked.manifest.to_bytes())
        return self._seal(unlocked, SEALED, self._manifest_key(unlocked), content)

    def _seal(self, unlocked: Unlocked, place: str, key: bytes, content: bytes) -> bytes:
        """Raises Sealed."""
        cipher = unlocked.keys.cipher
        if cipher is None:
            raise Sealed
        return rows.seal(cipher, self._seals.randomness(12), content, place, self._name(place, unlocked.owner), key)

    def _open(
        self, unlocked: Unlocked, place: str, key: bytes, row: bytes, cipher: AESGCM | None = None
    ) -> tuple[int, bytes, bytes]:
        """(kind, key, value). Raises SealError. `cipher`: the account's, where there are many rows to open."""
        cipher = cipher or unlocked.keys.cipher
        if cipher is None:
            raise SealError("the account is locked")
        return rows.unpack(rows.open_row(cipher, row, place, self._name(place, unlocked.owner), key))

    def _name(self, place: str, owner: bytes) -> bytes:
        return self._seals.owner(place, owner)

    def _manifest_key(self, unlocked: Unlocked) -> bytes:
        return unlocked.keys.key(b"manifest", b"")

    def _key(self, unlocked: Unlocked, table: str, key: bytes) -> bytes:
        return unlocked.keys.key(table.encode(), key)


def _place(kind: int) -> str:
    return LARGE if kind & BODY else SEALED


def _asked(unlocked: Unlocked, keys: Collection[bytes]) -> dict[str, dict[bytes, bytes]]:
    """By place and key, the tags of those rows that can be read."""
    asked: dict[str, dict[bytes, bytes]] = {SEALED: {}, LARGE: {}}
    for key in keys:
        record = unlocked.manifest.get(key)
        if record is not None and record[0] & ~BODY not in (DUMMY, ISOLATED):
            asked[_place(record[0])][key] = record[1]
    return asked


def _check(unlocked: Unlocked) -> None:
    """Raises Sealed where it has been locked."""
    if unlocked.keys.locked:
        raise Sealed
