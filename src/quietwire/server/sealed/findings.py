"""What was found not to be as it was written: told to the log at once, to its owner at the next occasion, each once.

No name, key or text goes into the log: how many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from quietwire.seal import rows

EVENT: Final = "sealed-rows-isolated"
_REMEMBERED: Final = 65_536
"""Findings that are known already, some hundred bytes each: beyond that they may be told again."""


def finding(table: str, key: bytes, row: bytes) -> bytes:
    """What makes a finding another one: where the row lies, and which damage it is."""
    return hashlib.blake2b(
        b"\0".join((table.encode(), key, row[: rows.HEAD_BYTES], len(row).to_bytes(8, "big"))), digest_size=16
    ).digest()


class Findings:
    """`note(event, **facts)`: the log. `account(owner)`: what stands for an account, whatever it is called by; None for
    what is none."""

    def __init__(self, note: Callable[..., None], account: Callable[[bytes], bytes | None]) -> None:
        self._note = note
        self._account = account
        self._known: set[bytes] = set()
        self._owed: dict[bytes, int] = {}

    def report(self, owner: bytes, found: Iterable[bytes]) -> None:
        """`found`: what `finding` made. `owner`: a bare JID or a handle."""
        fresh = set(found) - self._known
        if not fresh:
            return
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known |= fresh
        self._note(EVENT, count=str(len(fresh)))
        account = self._account(owner)
        if account is not None:
            self._owed[account] = self._owed.get(account, 0) + len(fresh)

    def take(self, owner: bytes) -> int:
        """How many the owner has not been told of; from now on they count as told."""
        account = self._account(owner) if self._owed else None
        return self._owed.pop(account, 0) if account is not None else 0

    def forget(self, owner: bytes) -> None:
        """The owner was erased."""
        self.take(owner)
