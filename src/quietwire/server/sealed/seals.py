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
from quietwire.seal.wraps import SealError
from quietwire.server.sealed.keyring import Keyring, Unlocked

DAY: Final = 86_400.0
BEGUN: Final = b"\x01"
"""Stands behind an account's public key once it has a manifest: from then on one must be there."""
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
        """Hash of an account in the table `account` -> its public key for arrivals and `BEGUN`, if so; b"" while it has
        none."""
        self._rooms: dict[bytes, tuple[bytes, AESGCM]] = {}
        """Secret and cipher by the room's bare JID."""
        self.room_made: Callable[[bytes], None] = lambda owner: None
        """Told the bare JID of a room that has a secret now, of which the store does not know."""
        self._chains: dict[bytes, tuple[int, Chain]] = {}
        """(day, chain) by the hash of an account, as `publics`."""
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
        """The account's public key for arrivals, and whether it has rows of its own; b"" where it has none."""
        name = handle[len(HANDLE) :]
        if self.publics.get(name) != public:
            self.publics[name] = public
            self._chains.pop(name, None)  # its rows could be opened with the former key only

    def is_account(self, owner: bytes) -> bool:
        return owner.endswith(self._suffix)

    def account(self, owner: bytes) -> bytes | None:
        """The handle of an account, whatever it is called by; None for what is none."""
        if owner.startswith(HANDLE):
            return owner
        return self.handle_of(owner) if self.is_account(owner) else None

    def is_server(self, owner: bytes) -> bool:
        return owner == self._domain

    # -- sealing ----------------------------------------------------------------------------------------------------

    def is_open(self, owner: bytes) -> bool:
        """Whether what is the owner's can be read and written: always for rooms and the server."""
        if not self.is_account(owner):
            return True
        unlocked = self.keyring.get(owner)
        return unlocked is not None and unlocked.ready

    def unlocked(self, owner: bytes) -> Unlocked:
        """Raises Sealed."""
        found = self.keyring.get(owner)
        if found is None:
            raise Sealed
        return found

    def seal(self, table: str, owner: bytes, key: bytes, content: bytes) -> bytes:
        """Always possible. An account that has no public key, since nobody has logged in to it yet: under the server's
        key."""
        if not self.is_account(owner):
            return self.seal_own(table, owner, key, content)
        name = self.owner("account", owner)
        public = self.publics.get(name)
        if not public:
            return self.seal_server(table, owner, key, content)
        day = int(self._clock() // DAY)
        since, chain = self._chains.get(name, (-1, None))
        if chain is None or since != day or chain.number >= LONGEST_CHAIN:
            if since != day and len(self._chains) > REMEMBERED:
                self._chains = {name: each for name, each in self._chains.items() if each[0] == day}
            try:
                chain = Chain(public[:KEY_BYTES], self.randomness(KEY_BYTES))
            except SealError:  # it is no key: the owner's next login puts that right
                self.publics[name] = b""
                return self.seal_server(table, owner, key, content)
            self._chains[name] = day, chain
        return chain.seal(content, table, self.owner(table, owner), key)

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
        fresh = not secret
        secret = secret or self.randomness(KEY_BYTES)
        self._rooms[owner] = secret, AESGCM(bytes(expand(secret, "room data 1")))
        if fresh:
            self.room_made(owner)
        return secret

    def open(self, table: str, owner: bytes, key: bytes, row: bytes) -> bytes:
        """The content of what `seal` or `seal_own` made. Raises Sealed, or SealError for a row that is damaged or
        not of this place. Of an account's tables only those that hold arrivals: there a row may be sealed in any way.
        """
        hashed = self.owner(table, owner)
        if self.is_account(owner):
            if row[:1] == bytes((arrivals.FORM,)):
                return self.opener(owner).open(row, table, hashed, key)
            if row[:1] == bytes((rows.SERVER,)):
                return rows.open_row(self.keys.cipher, row, table, hashed, key, rows.SERVER)
        elif owner not in self._rooms and not self.is_server(owner):
            raise SealError("the room's secret is not there")
        cipher, form = self._own(owner)
        return rows.open_row(cipher, row, table, hashed, key, form)

    def open_server(self, table: str, owner: bytes, key: bytes, row: bytes) -> bytes:
        """The content of what `seal_server` made. Raises SealError."""
        return rows.open_row(self.keys.cipher, row, table, self.owner(table, owner), key, rows.SERVER)

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
        if self.is_server(owner):
            return self.keys.cipher, rows.SERVER
        self.room(owner)
        return self._rooms[owner][1], rows.OWN

    def forget(self, owner: bytes) -> None:
        """The owner was erased."""
        name = self.owner("account", owner)
        self._chains.pop(name, None)
        self.publics.pop(name, None)
        self._rooms.pop(owner, None)
