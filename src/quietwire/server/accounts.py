"""Which accounts exist, and those in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID
from quietwire.core.later import Later
from quietwire.server import blocks
from quietwire.server.account import Account
from quietwire.server.blocks import Blocks
from quietwire.server.roster import Roster
from quietwire.store.ports import Store

TABLE = "account"
CREDENTIALS = b"credentials"
ARRIVALS = b"arrivals"
"""Key of the row with the public key under which is sealed what comes for the account."""


class Accounts:
    """`loaded` has the accounts with at least one session, by bare JID. `names` has the handles of those that
    exist: one costs some hundred bytes, and every message asks."""

    def __init__(
        self,
        store: Store,
        iterations_of: Callable[[bytes], int],
        iterations: int,
        handle: Callable[[JID], bytes] = lambda bare: bare.text.encode(),
    ) -> None:
        """`handle`: what `store` has for an owner's name."""
        self._store = store
        self._handle = handle
        self.learnt: Callable[[bytes, bytes], None] = lambda handle, public: None
        """Told each account's public key for arrivals, b"" where it has none."""
        self._iterations_of = iterations_of
        self._counts: Counter[int] = Counter()
        self._default = iterations
        self._rounds: dict[bytes, int] = {}
        self._coming: dict[JID, Later[Account]] = {}
        """Accounts whose first session is being made."""
        self.names: set[bytes] = set()
        self.loaded: dict[JID, Account] = {}
        self.closed = False
        """Accounts take no messages of strangers."""

    async def open(self) -> None:
        """Reads the names that exist. Call it once, before the first stream."""
        for owner in await self._store.owners(TABLE):
            await self._learn(owner)

    async def _learn(self, name: bytes) -> None:
        rows = dict(await self._store.scan(TABLE, name))
        record = rows.get(CREDENTIALS)
        # Only now: while the record was read the account existed as before.
        self._counts[self._rounds.pop(name, 0)] -= 1
        self.names.discard(name)
        if record is None:
            return
        self.names.add(name)
        self.learnt(name, rows.get(ARRIVALS, b""))
        try:
            rounds = self._rounds[name] = self._iterations_of(record)
        except QuietwireError:
            return  # damaged: its login says temporary-auth-failure, everybody else's works
        self._counts[rounds] += 1

    @property
    def iterations(self) -> int:
        """The iteration count that most accounts have: what a name that does not exist is shown."""
        (rounds, accounts), *_ = self._counts.most_common(1) or [(0, 0)]
        return rounds if accounts > 0 else self._default

    async def changed(self, bare: JID) -> None:
        """The account was made or deleted, or has other credentials."""
        await self._learn(self._handle(bare))

    def exists(self, bare: JID) -> bool:
        """Whether there is such an account, in memory or not."""
        return self._handle(bare) in self.names

    async def credentials(self, bare: JID) -> bytes | None:
        """The stored record, read every time: nothing caches a verifier."""
        return await self._store.get(TABLE, bare.text.encode(), CREDENTIALS)

    async def load(self, bare: JID) -> Account | None:
        """The account in memory. Of one that is not there only that it exists can be said, whether it could be read now
        or not: `Account.absent`. Use it before the next await."""
        account = self.loaded.get(bare)
        return account if account is not None or not self.exists(bare) else Account.absent(bare)

    async def prepare(self, bare: JID, work: Callable[[Account], Awaitable[None]]) -> Account | None:
        """The account, read from the store, to be held before the next await; None if there is none, or none any more.
        `work` is done before its first session; until then it is away to everybody else."""
        account = self.loaded.get(bare)
        if account is None and self.exists(bare):
            coming = self._coming.get(bare)
            if coming is not None:
                account = await coming
            else:
                account = await self._come(bare, work)
            account = self.loaded.get(bare) or account
        return account if self.exists(bare) else None

    async def _come(self, bare: JID, work: Callable[[Account], Awaitable[None]]) -> Account:
        coming: Later[Account] = Later()
        self._coming[bare] = coming
        try:
            owner = bare.text.encode()
            contacts, blocked = self._store.scan("roster", owner), self._store.scan(blocks.TABLE, owner)
            account = Account(bare, Roster.from_rows(await contacts), Blocks(bare, await blocked))
            account.closed = self.closed
            await work(account)
        except BaseException as error:
            del self._coming[bare]
            coming.fail(error)
            raise
        del self._coming[bare]
        coming.resolve(account)
        return account

    def hold(self, account: Account) -> Account:
        """A session of the account begins: from now on this object is the account."""
        return self.loaded.setdefault(account.jid, account)

    def release(self, account: Account) -> None:
        """A session has ended."""
        if not account.sessions:
            self.loaded.pop(account.jid, None)
