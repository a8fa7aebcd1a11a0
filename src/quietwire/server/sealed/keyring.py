"""Which accounts are unlocked: their keys, as long as somebody holds a lease (DESIGN §6).

A login holds one until its stream is closed, a session until its last resumable end, a token (XEP-0484) while it can be
used. With the last lease the account is locked: `locking` does what needs the keys once more, then they are wiped.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterator

from quietwire.core.later import Later, Ticket
from quietwire.core.wipe import wipe
from quietwire.seal.arrivals import Opener
from quietwire.seal.keys import AccountKeys
from quietwire.seal.manifest import Manifest
from quietwire.seal.wraps import SealError


class Unlocked:
    """An account whose owner is there."""

    __slots__ = ("cache", "keys", "leases", "locking", "manifest", "opener", "opening", "owner", "ready")

    def __init__(self, owner: bytes, keys: AccountKeys) -> None:
        self.owner = owner
        """The bare JID."""
        self.keys = keys
        self.leases = 0
        self.ready = False
        """Its rows were compared with its manifest: they can be read and written."""
        self.opening: Later[None] | None = None
        """While they are."""
        self.locking = False
        self.manifest = Manifest()
        self.cache: dict[bytes, bytes] | None = None
        """Its small rows as they lie in the store, from unlocking until its first session is made."""
        self.opener: Opener | None = None
        """Opens arrivals while there are some to be opened."""


class Lease:
    """One reason why an account is unlocked."""

    __slots__ = ("_keyring", "unlocked")

    def __init__(self, keyring: Keyring, unlocked: Unlocked) -> None:
        self._keyring: Keyring | None = keyring
        self.unlocked = unlocked
        unlocked.leases += 1

    def release(self) -> None:
        """Idempotent."""
        keyring, self._keyring = self._keyring, None
        if keyring is not None:
            self.unlocked.leases -= 1
            if not self.unlocked.leases:
                keyring.unused(self.unlocked)


class Keyring:
    """`spawn` runs a coroutine that answers nobody. `latest`: what is being written, which may need keys until it is.
    `locking(unlocked)`: awaited before keys are wiped."""

    def __init__(
        self, spawn: Callable[[Awaitable[None]], None], latest: Callable[[], Ticket | None] = lambda: None
    ) -> None:
        self._spawn = spawn
        self._latest = latest
        self._unlocked: dict[bytes, Unlocked] = {}
        self.locked: Callable[[], None] = lambda: None
        """Told of every account whose last lease has gone."""
        self.locking: list[Callable[[Unlocked], Awaitable[None]]] = []

    def __len__(self) -> int:
        return len(self._unlocked)

    def __iter__(self) -> Iterator[bytes]:
        """The bare JIDs of those that are unlocked."""
        return iter(list(self._unlocked))

    def get(self, owner: bytes) -> Unlocked | None:
        return self._unlocked.get(owner)

    def unlock(self, owner: bytes, secret: bytearray) -> Lease:
        """`secret` becomes the keyring's: it is wiped with the account's keys, or now if they are there already. Raises
        SealError for another secret than the one the account is unlocked with."""
        unlocked = self._unlocked.get(owner)
        if unlocked is None:
            unlocked = self._unlocked[owner] = Unlocked(owner, AccountKeys(secret))
        elif unlocked.keys.secret is not secret:
            same = hmac.compare_digest(unlocked.keys.secret, secret)
            wipe(secret)
            if not same:
                raise SealError("not the secret that the account is unlocked with")
        return Lease(self, unlocked)

    def share(self, owner: bytes) -> Lease | None:
        """One more lease of an account that is unlocked; None for one that is not."""
        unlocked = self._unlocked.get(owner)
        return Lease(self, unlocked) if unlocked is not None else None

    def unused(self, unlocked: Unlocked) -> None:
        """The last lease is gone."""
        if not unlocked.locking and self._unlocked.get(unlocked.owner) is unlocked:
            unlocked.locking = True
            self._spawn(self._lock(unlocked))

    async def _lock(self, unlocked: Unlocked) -> None:
        """Work that fails keeps neither the rest of it from being done nor the keys from being wiped."""
        failed: BaseException | None = None
        for work in self.locking:
            if unlocked.ready and not unlocked.leases:
                try:
                    await work(unlocked)
                except Exception as error:
                    failed = error
        ticket = self._latest() if unlocked.ready else None
        if ticket is not None and not ticket.settled:
            written: Later[None] = Later()
            ticket.when_settled(lambda: written.resolve(None))
            await written
        unlocked.locking = False
        if not unlocked.leases:
            self.wipe(unlocked)
            self.locked()
        if failed is not None:
            raise failed

    def wipe(self, unlocked: Unlocked) -> None:
        """Now, whoever still has a lease: the account is erased, or the server ends."""
        if self._unlocked.get(unlocked.owner) is unlocked:
            del self._unlocked[unlocked.owner]
        unlocked.ready = False
        unlocked.opener = None
        unlocked.cache = None
        unlocked.keys.wipe()

    def close(self) -> None:
        """The server ends."""
        for unlocked in list(self._unlocked.values()):
            self.wipe(unlocked)
