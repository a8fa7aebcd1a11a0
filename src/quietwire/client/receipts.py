"""Receipts that wait for their displayed markers: on a `steady` link one stanza says both (DESIGN §5)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

SECONDS: Final = 10.0
"""How long a receipt waits before it goes alone: three default ticks, which a reader who is there needs to look."""


class Receipts:
    """In memory only: a receipt that is lost with the process is one that the other side does not get."""

    def __init__(self, alone: Callable[[str, str], None]) -> None:
        """`alone(peer, ref)` is called when no marker came in time; it has to `take` the receipt."""
        self._alone = alone
        self._held: dict[tuple[str, str], tuple[str, asyncio.TimerHandle]] = {}

    def hold(self, peer: str, ref: str) -> str:
        """-> id that the stanza will have."""
        if (held := self._held.get((peer, ref))) is not None:
            return held[0]
        id = secrets.token_hex(16)
        timer = asyncio.get_running_loop().call_later(SECONDS, self._alone, peer, ref)
        self._held[peer, ref] = id, timer
        return id

    def take(self, peer: str, ref: str) -> str | None:
        """The id of a receipt that waits, which now goes; None if there is none."""
        if (held := self._held.pop((peer, ref), None)) is None:
            return None
        held[1].cancel()
        return held[0]

    def waiting(self) -> list[tuple[str, str]]:
        """(peer, ref) of each."""
        return list(self._held)
