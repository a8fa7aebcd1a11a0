"""Receipts and markers that wait for a message to the same person, on a `steady` link: a cell of their own would delay
a text (DESIGN §5; the whole rule: docs/protocols/client-link.md).

What waits is in the store only; here are its timers. Each change is part of a batch, so that what goes with a stanza
leaves in the transaction that keeps the stanza.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Final, Protocol

from quietwire.client.db import Batch
from quietwire.client.gathered import Notice

SECONDS: Final = 9.0
"""How long the first of them waits, or a tick if that is longer. At four texts a minute each way 45 % find a text to
the same person in that time (1 - exp(-9 * 4 / 60)); a longer wait would take more along and make "delivered" late: a
third more, 12 s, would bring that to 55 %."""

MAX_HELD: Final = 8
"""For one person. An envelope of nothing but so many is of the smallest size class, if our address is no longer than 60
characters."""


class Timer(Protocol):
    def cancel(self) -> None: ...


@dataclass(frozen=True)
class Held:
    """What waits for one person."""

    id: str
    """Origin-id of the stanza with which it will go."""
    notices: tuple[Notice, ...]


class Receipts:
    def __init__(
        self, due: Callable[[str], None], later: Callable[[float, Callable[[], None]], Timer], *, tick: float = 0.0
    ) -> None:
        """`due(peer)` is called when what waits for `peer` must go; `later(seconds, call)` calls back. `tick`: seconds
        between our cells."""
        self._due = due
        self._later = later
        self._tick = tick
        self._timers: dict[str, Timer] = {}

    def peers(self, batch: Batch) -> list[str]:
        """For whom something waits."""
        found: list[str] = json.loads(batch.get("held") or b"[]")
        return found

    def held(self, batch: Batch, peer: str) -> Held | None:
        data = batch.get(f"held/{peer}")
        if data is None:
            return None
        fields = json.loads(data)
        return Held(fields["id"], tuple(Notice(*notice) for notice in fields["notices"]))

    def hold(self, batch: Batch, peer: str, notice: Notice) -> Held | None:
        """All that waits now; None if there is no more room. `arm` is to follow the commit."""
        held = self.held(batch, peer) or Held(secrets.token_hex(16), ())
        notices = {each.ref: each for each in held.notices}
        notices[notice.ref] = notice.joined(notices.get(notice.ref, notice))
        if len(notices) > MAX_HELD:
            return None
        held = Held(held.id, tuple(notices.values()))
        self._save(batch, peer, held)
        return held

    def shorten(self, batch: Batch, peer: str, held: Held) -> Notice:
        """-> what goes alone: the first, and of both the receipt. The others wait on, for another stanza."""
        first, *rest = held.notices
        if first.received and first.displayed:
            first, rest = Notice(first.ref, received=True), [Notice(first.ref, displayed=True), *rest]
        if rest:
            self._save(batch, peer, Held(secrets.token_hex(16), tuple(rest)))
        else:
            self.drop(batch, peer)
        return first

    def drop(self, batch: Batch, peer: str) -> None:
        """All of them go, or cannot. `disarm` is to follow the commit."""
        batch.delete(f"held/{peer}")
        batch.put("held", json.dumps([other for other in self.peers(batch) if other != peer]).encode())

    def arm(self, peer: str) -> None:
        """The time runs from the first on."""
        if peer not in self._timers:
            self._timers[peer] = self._later(max(SECONDS, self._tick), lambda: self._over(peer))

    def disarm(self, peer: str) -> None:
        if (timer := self._timers.pop(peer, None)) is not None:
            timer.cancel()

    def stop(self) -> None:
        """No timer runs any more. What waits is in the store."""
        for peer in list(self._timers):
            self.disarm(peer)

    def _over(self, peer: str) -> None:
        del self._timers[peer]
        self._due(peer)

    def _save(self, batch: Batch, peer: str, held: Held) -> None:
        fields = {"id": held.id, "notices": [astuple(notice) for notice in held.notices]}
        batch.put(f"held/{peer}", json.dumps(fields).encode())
        if peer not in (peers := self.peers(batch)):
            batch.put("held", json.dumps([*peers, peer]).encode())
