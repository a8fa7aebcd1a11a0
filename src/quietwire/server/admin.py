"""What is done to accounts as a whole, on a running server or in its absence: made, opened anew, deleted.

Nobody but the owner has the keys to what is sealed: a password that was forgotten is replaced without loss only while
the account is unlocked (`sealed/keyring.py`), or with its recovery code. Nothing here is known afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID, JIDError
from quietwire.core.later import Later
from quietwire.core.sasl import PasswordError, check_plain
from quietwire.core.wipe import wipe
from quietwire.seal.credentials import Credentials
from quietwire.seal.keys import KEY_BYTES, AccountKeys
from quietwire.seal.recovery import make_recovery_code
from quietwire.seal.wraps import SECRET_BYTES, SealError
from quietwire.server.accounts import ARRIVALS, CREDENTIALS, TABLE
from quietwire.server.login import PLAIN_UNDER
from quietwire.server.sealed.keyring import Keyring
from quietwire.store.ports import Storage, Store


class AdminError(QuietwireError):
    """Could not be done; the text says why and what to do."""


class AccountExists(AdminError):
    """There is such an account already, or it is being made."""


class BadPassword(AdminError):
    """The password cannot be used."""


class NotOpened(AdminError):
    """The password or code that was given does not open the account, or there is no such account."""

    def __init__(self) -> None:
        super().__init__("that is not right: no such account, or another password or recovery code")


class WouldDestroy(AdminError):
    """What the account keeps under its own keys would be lost, and nobody has said that it may be."""

    def __init__(self, jid: JID) -> None:
        super().__init__(
            f"{jid} is locked: its owner is away. Nothing is lost with the old password (--old-password), with the"
            " recovery code (`quietwire account recover`), or while the owner is logged in. Without them a new password"
            " destroys what is sealed: contacts, bookmarks, block list, private data and nodes, message archive and"
            " waiting messages. If that may be: --destroy-sealed-data"
        )


async def _nobody(bare: JID) -> None:
    return None


@dataclass(slots=True)
class Admin:
    """`changed(bare)` is told of every account made, changed or deleted. Every method returns when it is durable.

    Of two that would change one account at a time the second is refused."""

    domain: JID
    storage: Storage
    store: Store
    keyring: Keyring
    iterations: int
    randomness: Callable[[int], bytes]
    compute: Callable[[Callable[[], bytes | None]], Later[bytes | None]]
    changed: Callable[[JID], Awaitable[None]]
    number: Callable[[], int]
    """Of the accounts there are."""
    destroy: Callable[[JID, bytes], None]
    """Erases what the account keeps under keys of its own; what comes from now on is for this public key."""
    begin: Callable[[JID, bytes, bytearray], Awaitable[None]]
    """Gives a new account its first rows. The secret, after its public key, becomes the callee's."""
    reset: Callable[[JID, JID | None], None] = lambda bare, keep: None
    """The account's password was changed: its sessions end, but `keep`."""
    leaving: Callable[[JID], Awaitable[None]] = _nobody
    """The account is about to be deleted: its contacts are told."""
    _busy: set[JID] = field(default_factory=set)
    _decoy: bytes = b""
    """The record of nobody, as costly to try a code on as anybody's."""

    def jid(self, name: str) -> JID:
        """`name` is a localpart or a bare JID of this domain. Raises AdminError."""
        try:
            jid = JID.parse(name) if "@" in name else JID.of(name, self.domain.domain)
        except JIDError:
            raise AdminError(f"{name!r} is not an address: use name or name@{self.domain}") from None
        if jid.domain != self.domain.domain or not jid.local or jid.resource:
            raise AdminError(f"{name!r} is not an account of {self.domain}")
        return jid

    # -- making -----------------------------------------------------------------------------------------------------

    async def add(self, name: str, password: str, iterations: int = 0, recovery_code: str = "") -> JID:
        """Makes an account; `iterations` 0: as configured. `recovery_code`: from `make_recovery_code`, opens it as the
        password does. Raises AdminError."""
        jid = self.jid(name)
        taken = AccountExists(f"{jid} exists already: `quietwire account passwd` sets a new password")
        with self._alone(jid, taken):
            if await self._record(jid) is not None:
                raise taken
            await self._make(jid, password, iterations, recovery_code)
            await self.durable()
            await self.changed(jid)
        return jid

    async def load(self, accounts: list[tuple[str, str]], iterations: int = 0) -> int:
        """Makes many accounts with one commit at the end; those that exist are left alone. -> how many were made."""
        made = []
        for jid, password in [(self.jid(name), password) for name, password in accounts]:  # one bad name: none is made
            if jid not in self._busy and await self._record(jid) is None:
                with self._alone(jid):
                    await self._make(jid, password, iterations)
                made.append(jid)
        await self.durable()
        for jid in made:
            await self.changed(jid)
        return len(made)

    async def _make(self, jid: JID, password: str, iterations: int, recovery_code: str = "") -> None:
        """An account that has all that others have from the start: who never came cannot be told, and the first login
        costs what others do."""
        public, secret = await self._create(jid, password, iterations, recovery_code)
        await self.begin(jid, public, secret)

    async def _create(
        self, jid: JID, password: str, iterations: int, recovery_code: str = ""
    ) -> tuple[bytes, bytearray]:
        """A record with a new secret, and the public key under which is sealed what comes before the first login; in
        one commit. -> that key and the secret, which is the caller's to wipe."""
        held = bytearray(SECRET_BYTES)

        def work() -> bytes:
            secret = bytearray(self.randomness(SECRET_BYTES))
            held[:] = secret
            keys = AccountKeys(secret)
            try:
                made = Credentials.create(
                    password,
                    jid,
                    iterations or self.iterations,
                    randomness=self.randomness,
                    recovery_code=recovery_code,
                    secret=secret,
                )
                return keys.arrival_public() + made.to_bytes()
            finally:
                keys.wipe()

        made = await self._computed(work)
        public, record = made[:KEY_BYTES], made[KEY_BYTES:]
        self.store.put(TABLE, jid.text.encode(), CREDENTIALS, record)
        self.store.put(TABLE, jid.text.encode(), ARRIVALS, public)
        return public, held

    # -- another password -------------------------------------------------------------------------------------------

    async def set_password(self, name: str, password: str, keep: JID | None = None, *, destroy: bool = False) -> bool:
        """A new password: the account's sessions and tokens end, but the session `keep` (a full JID). -> whether
        nothing was lost: while the account is unlocked its secret gets wrapped anew.

        Raises AdminError, of a locked account WouldDestroy, unless `destroy`: then it gets a new secret, and all that
        was sealed under the former one is erased."""
        jid = self.jid(name)
        with self._alone(jid):
            record = await self._record(jid)
            if record is None:
                raise AdminError(f"{jid} does not exist: `quietwire account add` makes it")
            secret = self._held(jid)
            if secret is not None:
                await self._rewrap(jid, record, secret, password)
            elif destroy:
                public, made = await self._create(jid, password, 0)
                wipe(made)
                self.reset(jid, None)  # a login that is under way would bring the former secret back
                self.destroy(jid, public)
            else:
                raise WouldDestroy(jid)
            await self.durable()
            await self.changed(jid)
            self.reset(jid, keep)
        return secret is not None

    async def change_password(self, name: str, old: str, password: str) -> JID:
        """The owner has typed the old password; nothing is lost. Raises AdminError."""
        return await self._reopen(name, lambda found: _by_password(found, old), password)

    async def recover(self, name: str, code: str, password: str) -> JID:
        """The owner has typed the recovery code, which goes on to hold; nothing is lost. Raises AdminError."""
        return await self._reopen(name, lambda found: found.recover(code), password)

    async def _reopen(self, name: str, opened: Callable[[Credentials], bytearray], password: str) -> JID:
        """An account that does not exist costs what a wrong password or code costs."""
        jid = self.jid(name)
        with self._alone(jid):
            record = await self._record(jid)
            found = await self._opened(jid, record, opened)
            await self._rewrap(jid, *found, password)
            await self.durable()
            await self.changed(jid)
            self.reset(jid, None)
        return jid

    async def make_recovery(self, name: str, password: str = "") -> str:
        """Another recovery code, to be shown once; the former one ends. The account has to be unlocked, or the owner
        has typed the password. Raises AdminError."""
        jid = self.jid(name)
        with self._alone(jid):
            record, secret = await self._record(jid), None
            if not password:
                if record is None:
                    raise AdminError(f"{jid} does not exist")
                secret = self._held(jid)
                if secret is None:
                    raise AdminError(f"{jid} is locked: its owner must be logged in, or type the password")
            if record is None or secret is None:
                record, secret = await self._opened(jid, record, lambda found: _by_password(found, password))
            code = make_recovery_code(self.randomness)
            made = Credentials.from_bytes(record, jid).with_recovery(secret, code, self.randomness)
            wipe(secret)
            self.store.put(TABLE, jid.text.encode(), CREDENTIALS, made.to_bytes())
            await self.durable()
        return code

    def _held(self, jid: JID) -> bytearray | None:
        """A copy of the secret, to be wiped; None while the account is locked."""
        unlocked = self.keyring.get(jid.text.encode())
        return bytearray(unlocked.keys.secret) if unlocked is not None else None

    async def _opened(
        self, jid: JID, record: bytes | None, opened: Callable[[Credentials], bytearray]
    ) -> tuple[bytes, bytearray]:
        """The record and the secret. Raises NotOpened."""
        secret: list[bytearray] = []

        def work() -> bytes | None:
            known = record or self._decoy
            try:
                secret.append(opened(Credentials.from_bytes(known, jid)))
            except SealError:
                return None
            return known

        if not self._decoy:
            self._decoy = Credentials.create("nobody's", jid, 1, randomness=self.randomness).to_bytes()

        if await self._computed(work) is None or record is None:
            raise NotOpened
        return record, secret[0]

    async def _rewrap(self, jid: JID, record: bytes, secret: bytearray, password: str) -> None:
        """The secret under another password, for all mechanisms in one row; the wrap under the recovery code stays."""

        def work() -> bytes:
            try:
                former = Credentials.from_bytes(record, jid)
                changed = former.change_password(secret, password, self.iterations, randomness=self.randomness)
                return changed.to_bytes()
            finally:
                wipe(secret)

        made = await self._computed(work)
        self.store.put(TABLE, jid.text.encode(), CREDENTIALS, made)

    # -- the rest ---------------------------------------------------------------------------------------------------

    async def delete(self, name: str, gone: Callable[[], None] = lambda: None) -> bool:
        """Deletes the account with everything it left; its sessions end. `gone` is called when that is durable, before
        the sessions end. -> whether its contacts were told: who they are is sealed while the account is locked. Raises
        AdminError."""
        jid = self.jid(name)
        with self._alone(jid):
            if await self._record(jid) is None:
                raise AdminError(f"{jid} does not exist")
            told = self.keyring.get(jid.text.encode()) is not None
            await self.leaving(jid)
            self.store.erase(jid.text.encode())
            await self.durable()
            gone()
            await self.changed(jid)
            self.store.erase(jid.text.encode())  # what its sessions left while they ended
            await self.durable()
        return told

    async def exists(self, name: str) -> bool:
        """Raises AdminError for what is no name."""
        return await self._record(self.jid(name)) is not None

    def unlocked(self) -> list[str]:
        """The bare JIDs of those whose keys are there, sorted. The others' names are not known to the server."""
        return sorted(owner.decode() for owner in self.keyring)

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

    async def _computed(self, work: Callable[[], bytes | None]) -> bytes:
        """Raises BadPassword, NotOpened."""
        try:
            made = await self.compute(work)
        except PasswordError as error:
            raise BadPassword(f"the password cannot be used: {error}") from None
        if made is None:
            raise NotOpened
        return made

    async def durable(self) -> None:
        """Everything written so far is on the disk."""
        committed: Later[None] = Later()
        self.storage.sync().when_settled(lambda: committed.resolve(None))
        await committed


def _by_password(found: Credentials, password: str) -> bytearray:
    """The secret. Raises SealError."""
    key = check_plain(password, found.verifier(PLAIN_UNDER), PLAIN_UNDER)
    if key is None:
        raise SealError("another password")
    try:
        return found.unlock(PLAIN_UNDER, key)
    finally:
        wipe(key)
