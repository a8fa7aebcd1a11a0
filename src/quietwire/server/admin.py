"""What an administrator does to accounts, on a running server or in its absence. Knows no password afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID, JIDError
from quietwire.core.later import Later
from quietwire.core.sasl import PasswordError
from quietwire.seal.credentials import Credentials
from quietwire.server.accounts import CREDENTIALS, TABLE
from quietwire.store.ports import Storage, Store


class AdminError(QuietwireError):
    """Could not be done; the text says why and what to do."""


class AccountExists(AdminError):
    """There is such an account already, or it is being made."""


class BadPassword(AdminError):
    """The password cannot be used."""


async def _nobody(bare: JID) -> None:
    return None


@dataclass(slots=True)
class Admin:
    """`changed(bare)` is told of every account made, changed or deleted. Every method returns when it is durable.

    Of two that would change one account at a time the second is refused."""

    domain: JID
    storage: Storage
    store: Store
    iterations: int
    randomness: Callable[[int], bytes]
    compute: Callable[[Callable[[], bytes | None]], Later[bytes | None]]
    changed: Callable[[JID], Awaitable[None]]
    reset: Callable[[JID, JID | None], None] = lambda bare, keep: None
    """The account's password was changed: its sessions end, but `keep`."""
    leaving: Callable[[JID], Awaitable[None]] = _nobody
    """The account is about to be deleted: its contacts are told."""
    _busy: set[JID] = field(default_factory=set)

    def _jid(self, name: str) -> JID:
        """`name` is a localpart or a bare JID of this domain."""
        try:
            jid = JID.parse(name) if "@" in name else JID.of(name, self.domain.domain)
        except JIDError:
            raise AdminError(f"{name!r} is not an address: use name or name@{self.domain}") from None
        if jid.domain != self.domain.domain or not jid.local or jid.resource:
            raise AdminError(f"{name!r} is not an account of {self.domain}")
        return jid

    async def add(self, name: str, password: str, iterations: int = 0) -> JID:
        """Makes an account; `iterations` 0: as configured. Raises AdminError."""
        jid = self._jid(name)
        taken = AccountExists(f"{jid} exists already: `quietwire account passwd` sets a new password")
        with self._alone(jid, taken):
            if await self._record(jid) is not None:
                raise taken
            await self._set(jid, password, iterations)
            await self.durable()
            await self.changed(jid)
        return jid

    async def load(self, accounts: list[tuple[str, str]], iterations: int = 0) -> int:
        """Makes many accounts with one commit at the end; those that exist are left alone. -> how many were made."""
        made = []
        for jid, password in [(self._jid(name), password) for name, password in accounts]:  # one bad name: none is made
            if jid not in self._busy and await self._record(jid) is None:
                with self._alone(jid):
                    await self._set(jid, password, iterations)
                made.append(jid)
        await self.durable()
        for jid in made:
            await self.changed(jid)
        return len(made)

    async def set_password(self, name: str, password: str, keep: JID | None = None) -> JID:
        """A new password: the account's sessions and tokens end, but the session `keep` (a full JID).

        The account's secret cannot be unwrapped without the old password, so a new one is made. Nothing is sealed under
        it yet (see docs/threat-model.md)."""
        jid = self._jid(name)
        with self._alone(jid):
            if await self._record(jid) is None:
                raise AdminError(f"{jid} does not exist: `quietwire account add` makes it")
            await self._set(jid, password, 0)
            await self.durable()
            await self.changed(jid)
            self.reset(jid, keep)
        return jid

    async def delete(self, name: str, gone: Callable[[], None] = lambda: None) -> JID:
        """Deletes the account with everything it left; its contacts are told, its sessions end. `gone` is called when
        that is durable, before the sessions end. Raises AdminError."""
        jid = self._jid(name)
        with self._alone(jid):
            if await self._record(jid) is None:
                raise AdminError(f"{jid} does not exist")
            await self.leaving(jid)
            self.store.erase(jid.text.encode())
            await self.durable()
            gone()
            await self.changed(jid)
            self.store.erase(jid.text.encode())  # what its sessions left while they ended
            await self.durable()
        return jid

    async def list(self) -> list[str]:
        """The bare JIDs of all accounts, sorted."""
        return sorted(owner.decode() for owner in await self.store.owners(TABLE))

    @contextmanager
    def _alone(self, jid: JID, taken: AdminError | None = None) -> Iterator[None]:
        """Nobody else changes the account meanwhile."""
        if jid in self._busy:
            raise taken or AdminError(f"{jid} is being changed; try again")
        self._busy.add(jid)
        try:
            yield
        finally:
            self._busy.discard(jid)

    async def _record(self, jid: JID) -> bytes | None:
        return await self.store.get(TABLE, jid.text.encode(), CREDENTIALS)

    async def _set(self, jid: JID, password: str, iterations: int) -> None:
        rounds = iterations or self.iterations
        try:
            record = await self.compute(
                lambda: Credentials.create(password, jid, rounds, randomness=self.randomness).to_bytes()
            )
        except PasswordError as error:
            raise BadPassword(f"the password cannot be used: {error}") from None
        assert record is not None
        self.store.put(TABLE, jid.text.encode(), CREDENTIALS, record)

    async def durable(self) -> None:
        """Everything written so far is on the disk."""
        committed: Later[None] = Later()
        self.storage.sync().when_settled(lambda: committed.resolve(None))
        await committed
