"""What the OMEMO library forgets and a conversation needs: superseded sessions, and prekeys spent a moment ago.

Two devices that write to each other for the first time at once build two sessions; each then replaces its own by the
other's, and neither can read what the other sends. Two devices that pick the same prekey lose the second one's first
message. So the last few sessions of a device are kept and tried, and a spent prekey can be used again for a while, as
XEP-0384 §Business Rules allows during catch-up. Both live beside the library's own keys, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from omemo.storage import Storage
from twomemo.twomemo import KeyExchangeImpl

from quietwire.client.omemo_xml import NS

KEPT_SESSIONS: Final = 4
"""Beside the current one. Two come from one collision; the rest is for devices restored from a backup."""

KEPT_PREKEYS: Final = 20
SPENT_SECONDS: Final = 3600.0
"""How long a spent prekey opens further first messages: the time in which others may still hold the old bundle."""

_PARTS: Final = (
    "initiation",
    "key_exchange/identity_key",
    "key_exchange/ephemeral_key",
    "key_exchange/signed_pre_key",
    "key_exchange/signed_pre_key_id",
    "key_exchange/pre_key",
    "key_exchange/pre_key_id",
    "associated_data",
    "double_ratchet",
    "confirmed",
)
_X3DH: Final = f"/{NS}/x3dh"
_IDS: Final = f"/{NS}/pre_key_ids"
_SPENT: Final = "/quietwire/spent"

Snapshot = dict[str, Any]


class Ratchets:
    """Sessions of one device with all others, as values in the library's storage."""

    def __init__(self, storage: Storage, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._clock = clock

    async def current(self, jid: str, device: int) -> Snapshot | None:
        """The session in use, None if there is none."""
        snapshot: Snapshot = {}
        for part in _PARTS:
            value = await self._storage.load(f"/{NS}/{jid}/{device}/{part}")
            if value.is_nothing:
                return None
            snapshot[part] = value.from_just()
        return snapshot

    async def use(self, jid: str, device: int, snapshot: Snapshot) -> None:
        """Makes `snapshot` the session in use."""
        for part, value in snapshot.items():
            await self._storage.store(f"/{NS}/{jid}/{device}/{part}", value)

    async def superseded(self, jid: str, device: int) -> list[Snapshot]:
        """Newest first."""
        return cast(list[Snapshot], (await self._storage.load(f"/quietwire/old/{jid}/{device}")).maybe([]))

    async def keep(self, jid: str, device: int, snapshots: list[Snapshot]) -> None:
        await self._storage.store(f"/quietwire/old/{jid}/{device}", cast(Any, snapshots[:KEPT_SESSIONS]))

    async def revive(self, exchange: KeyExchangeImpl) -> None:
        """Puts the prekey of `exchange` back if it was spent within SPENT_SECONDS."""
        for entry in await self._spent():
            if entry["id"] == exchange.pre_key_id and entry["at"] > self._clock() - SPENT_SECONDS:
                state = cast(dict[str, Any], (await self._storage.load(_X3DH)).from_just())
                ids = cast(dict[str, Any], (await self._storage.load(_IDS)).maybe({}))
                state["pre_keys"] = [*state["pre_keys"], entry["private"]]
                ids[entry["public"]] = entry["id"]
                await self._storage.store(_X3DH, state)
                await self._storage.store(_IDS, ids)
                return

    async def prekeys(self) -> dict[str, Any]:
        """For `note_spent`: what is there before a key exchange is read."""
        state = cast(dict[str, Any], (await self._storage.load(_X3DH)).from_just())
        return {"private": list(state["pre_keys"]), "ids": (await self._storage.load(_IDS)).maybe({})}

    async def note_spent(self, before: dict[str, Any], exchange: KeyExchangeImpl) -> None:
        """Keeps the prekey that reading `exchange` has deleted."""
        state = cast(dict[str, Any], (await self._storage.load(_X3DH)).from_just())
        gone = set(before["private"]) - set(state["pre_keys"])
        public = next((key for key, number in before["ids"].items() if number == exchange.pre_key_id), None)
        if len(gone) != 1 or public is None:
            return
        now = self._clock()
        entry = {"id": exchange.pre_key_id, "private": gone.pop(), "public": public, "at": now}
        others = [old for old in await self._spent() if old["id"] != entry["id"] and old["at"] > now - SPENT_SECONDS]
        await self._storage.store(_SPENT, cast(Any, [entry, *others][:KEPT_PREKEYS]))

    async def forget_spent(self) -> None:
        """Deletes the spent prekeys whose time is over."""
        spent = await self._spent()
        fresh = [entry for entry in spent if entry["at"] > self._clock() - SPENT_SECONDS]
        if len(fresh) != len(spent):
            await self._storage.store(_SPENT, cast(Any, fresh))

    async def _spent(self) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], (await self._storage.load(_SPENT)).maybe([]))


def same_exchange(snapshot: Snapshot, exchange: KeyExchangeImpl, ephemeral: str) -> bool:
    """Whether `snapshot` is the session that `exchange` built. `ephemeral`: its key as the library stores it."""
    wanted = ("PASSIVE", ephemeral, exchange.pre_key_id, exchange.signed_pre_key_id)
    names = ("initiation", "key_exchange/ephemeral_key", "key_exchange/pre_key_id", "key_exchange/signed_pre_key_id")
    return wanted == tuple(snapshot[name] for name in names)
