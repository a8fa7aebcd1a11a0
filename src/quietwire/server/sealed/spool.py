"""The port "spool" of a real server: messages that wait are arrivals of their recipient.

Most entries are confirmed before they are written: only what is really written is sealed (`dress`).
"""

from __future__ import annotations

from typing import Final

from quietwire.core.later import Later, started
from quietwire.seal import rows
from quietwire.seal.wraps import SealError
from quietwire.server.sealed.findings import Findings, finding
from quietwire.server.sealed.seals import Safe
from quietwire.store.ports import Entry, Spool

TABLE: Final = "spool"


class SealedSpool:
    """Implements `ports.Spool`."""

    def __init__(self, spool: Spool, seals: Safe, findings: Findings) -> None:
        self._spool = spool
        self._seals = seals
        self._findings = findings
        self._owners: dict[bytes, bytes] = {}
        """By hash, of those for whom something was kept: at most all accounts, some 150 bytes each."""

    def keep(self, owner: bytes, value: bytes) -> Entry:
        return self._spool.keep(self._hash(owner), value)

    def confirm(self, entry: Entry) -> None:
        self._spool.confirm(entry)

    def usage(self, owner: bytes) -> tuple[int, int]:
        return self._spool.usage(self._hash(owner))

    def load(self, owner: bytes) -> Later[list[Entry]]:
        """Entries that do not open are isolated: left where they are, and reported. Fails with Sealed where one cannot
        be opened since the account is locked."""
        return started(self._load(owner))

    async def _load(self, owner: bytes) -> list[Entry]:
        entries = await self._spool.load(self._hash(owner))
        found: list[Entry] = []
        damaged: list[bytes] = []
        for entry in entries:
            if entry.stored:
                try:
                    entry.value = rows.unpack(self._seals.open(TABLE, owner, entry.key, entry.value))[2]
                except SealError:
                    damaged.append(finding(TABLE, entry.key, entry.value))
                    continue
                entry.stored = False
            found.append(entry)
        self._findings.report(owner, damaged)
        return found

    def dress(self, owner: bytes, key: bytes, value: bytes) -> bytes:
        """What is written for an entry; `owner` as the driver has it."""
        return self._seals.seal(TABLE, self._owners[owner], key, rows.pack(0, b"", value))

    def _hash(self, owner: bytes) -> bytes:
        hashed = self._seals.owner(TABLE, owner)
        if hashed not in self._owners:
            self._owners[hashed] = owner
        return hashed
