"""Under whose key something is sealed, and how it is opened again: the one object that knows all keys.

    seals.seal("archive", owner, key, content)         # for its owner, who need not be there: an arrival
    seals.seal_own("sealed", owner, key, content)      # under the owner's own key: raises Sealed while it is locked
    seals.open("archive", owner, key, row)             # whichever it was

`owner` is a bare JID as bytes: an account's, a room's, or the server's domain. Keys are as they stand in the database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.seal import arrivals, rows
from quietwire.seal.arrivals import LONGEST_CHAIN, Chain, Opener
from quietwire.seal.keys import KEY_BYTES, Cipher, ServerKeys, expand
from quietwire.server.sealed.keyring import Keyring, Unlocked

DAY: Final = 86_400.0
HANDLE: Final = b"\0#"
"""Begins what stands for an owner whose name is not known: no JID has a NUL (RFC 7622 §3.5)."""
REMEMBERED: Final = 4_096
"""Names whose hashes are at hand, a table; some 200 bytes each."""


class Sealed(StanzaError):
    """The account's owner is away: what is theirs can be neither read nor changed."""

    def __init__(self) -> None:
        super().__init__("recipient-unavailable", type="wait")


class Safe(Protocol):
    """What the archive, the spool and other keepers of arrivals need of `Seals`; `testing` has one without keys."""

    def owner(self, table: str, owner: bytes) -> bytes: ...

    def is_open(self, owner: bytes) -> bool: ...

    def seal(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes: ...

    def seal_own(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes: ...

    def open(self, table: str, owner: bytes, key: bytes, row: bytes) -> bytes: ...


class Seals:
    """`domain`: the server's own. `randomness(n)`; `clock`: seconds since the epoch."""

    def __init__(
        self,
        keys: ServerKeys,
        domain: str,
        keyring: Keyring,
        randomness: Callable[[int], bytes],
        clock: Callable[[], float],
    ) -> None:
        self.keys = keys
        self.keyring = keyring
        self.randomness = randomness
        self._clock = clock
        self._domain = domain.encode()
        self._suffix = b"@" + self._domain
        self.publics: dict[bytes, bytes] = {}
        """Hash of an account in the table `account` -> its public key for arrivals, b"" while it has none."""
        self._rooms: dict[bytes, tuple[bytes, AESGCM]] = {}
        """Secret and cipher by the room's bare JID."""
        self._chains: dict[bytes, tuple[int, Chain]] = {}
        self._hashes: dict[str, dict[bytes, bytes]] = {}

    # -- names ------------------------------------------------------------------------------------------------------

    def owner(self, table: str, owner: bytes) -> bytes:
        """The hash that stands for the owner in that table. A handle is its own."""
        if owner.startswith(HANDLE):
            return owner[len(HANDLE) :]
        known = self._hashes.get(table)
        if known is None:
            known = self._hashes[table] = {}
        found = known.get(owner)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            found = known[owner] = self.keys.owner(table, owner)
        return found

    def handle(self, bare: JID) -> bytes:
        """What stands for an account whether or not its name is known."""
        return self.handle_of(bare.text.encode())

    def handle_of(self, owner: bytes) -> bytes:
        return HANDLE + self.owner("account", owner)

    def learn(self, handle: bytes, public: bytes) -> None:
        """The account's public key for arrivals, b"" where it has none."""
        self.publics[handle[len(HANDLE) :]] = public

    def is_account(self, owner: bytes) -> bool:
        return owner.endswith(self._suffix)

    def is_server(self, owner: bytes) -> bool:
        return owner == self._domain

    # -- sealing ----------------------------------------------------------------------------------------------------

    def is_open(self, owner: bytes) -> bool:
        """Whether `open` and `seal_own` can do their work: always for rooms and the server."""
        return not self.is_account(owner) or self.keyring.get(owner) is not None

    def unlocked(self, owner: bytes) -> Unlocked:
        """Raises Sealed."""
        found = self.keyring.get(owner)
        if found is None:
            raise Sealed
        return found

    def seal(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes:
        """Always possible. An account that has no public key yet, since it comes from an older database and nobody has
        logged in to it since: under the server's key."""
        if not self.is_account(owner):
            return self.seal_own(table, owner, key, content)
        public = self.publics.get(self.owner("account", owner))
        if not public:
            return self.seal_server(table, owner, key, content)
        hashed = self.owner(table, owner)
        day = int(self._clock() // DAY)
        since, chain = self._chains.get(owner, (-1, None))
        if chain is None or since != day or chain.number >= LONGEST_CHAIN:
            if since != day and len(self._chains) > REMEMBERED:
                self._chains = {name: each for name, each in self._chains.items() if each[0] == day}
            chain = Chain(public, self.randomness(32))
            self._chains[owner] = day, chain
        return chain.seal(content, table, hashed, key)

    def seal_own(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes:
        """Raises Sealed."""
        cipher, form = self._own(owner)
        return rows.seal(cipher, self.randomness(12), content, table, self.owner(table, owner), key, form)

    def seal_server(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes:
        """Under the server's key: what must be readable while its owner is away."""
        hashed = self.owner(table, owner)
        return rows.seal(self.keys.cipher, self.randomness(12), content, table, hashed, key, rows.SERVER)

    def room(self, owner: bytes, secret: bytes = b"") -> bytes:
        """The room's secret; a new one where it has none."""
        known = self._rooms.get(owner)
        if known is not None:
            return known[0]
        secret = secret or self.randomness(KEY_BYTES)
        self._rooms[owner] = secret, AESGCM(bytes(expand(secret, "room data 1")))
        return secret

    def open(self, table: str, owner: bytes, key: bytes, row: bytes) -> bytes:
        """The content. Raises Sealed, or SealError for a row that is damaged or not of this place."""
        form, hashed = row[:1], self.owner(table, owner)
        if form == bytes((arrivals.FORM,)):
            return self.opener(owner).open(row, table, hashed, key)
        cipher = self.keys.cipher if form == bytes((rows.SERVER,)) else self._own(owner)[0]
        return rows.open_row(cipher, row, table, hashed, key)

    def opener(self, owner: bytes) -> Opener:
        """What opens the account's arrivals. Raises Sealed."""
        unlocked = self.unlocked(owner)
        if unlocked.opener is None:
            unlocked.opener = Opener(unlocked.keys.arrival_key())
        return unlocked.opener

    def _own(self, owner: bytes) -> tuple[Cipher, int]:
        if self.is_account(owner):
            cipher = self.unlocked(owner).keys.cipher
            if cipher is None:
                raise Sealed
            return cipher, rows.OWN
        if owner == self._domain or owner.startswith(HANDLE):
            return self.keys.cipher, rows.SERVER
        self.room(owner)
        return self._rooms[owner][1], rows.OWN

    def forget(self, owner: bytes) -> None:
        """The owner was erased."""
        self._chains.pop(owner, None)
        self._rooms.pop(owner, None)
        self.publics.pop(self.owner("account", owner), None)
