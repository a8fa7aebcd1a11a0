"""Who is it: SASL for a client's stream (RFC 6120 §6), without I/O.

An unknown user costs what a wrong password costs: the same look-up, the same computations, the same answer.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakSet

from quietwire.core.jid import JID, JIDError
from quietwire.core.later import Later
from quietwire.core.sasl import (
    Plain,
    SaslFailure,
    Scram,
    Verifier,
    announced,
    attributes,
    check_authzid,
    check_plain,
    decoy,
    make_nonce,
    parse_plain,
)
from quietwire.core.wipe import wipe, wipe_text
from quietwire.seal.credentials import Credentials
from quietwire.seal.wraps import SealError
from quietwire.server.accounts import Accounts
from quietwire.server.sealed.keyring import Keyring, Lease

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-1")
PLAIN_UNDER = "SCRAM-SHA-256"
"""The verifier that a PLAIN password is checked against."""


@dataclass(frozen=True, slots=True)
class Challenge:
    data: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    account: JID
    data: bytes
    """Additional data with success: SCRAM's server-final-message."""
    lease: Lease | None = None
    """Keeps the account unlocked: the stream's to release."""
    authzid: str = ""
    """Whom the client asked to be, '' where it did not say: it is `account`."""

    def let_go(self) -> None:
        """It came to nothing after all."""
        if self.lease is not None:
            self.lease.release()


class Gate:
    """What all logins of a server share. `compute` runs something slow elsewhere than on the loop."""

    def __init__(
        self,
        domain: JID,
        accounts: Accounts,
        server_key: bytes,
        keyring: Keyring,
        randomness: Callable[[int], bytes],
        compute: Callable[[Callable[[], bytes | None]], Later[bytes | None]],
        plain: bool,
    ) -> None:
        self.domain = domain
        self.accounts = accounts
        self.randomness = randomness
        self.compute = compute
        self._server_key = server_key
        self.keyring = keyring
        self.plain = plain
        """PLAIN is offered too."""
        self._under_way: WeakSet[Exchange] = WeakSet()
        self._any_record = Credentials.create("nobody's", domain, 1, randomness=randomness).to_bytes()

    def mechanisms(self, secure: bool, bindings: Mapping[str, bytes]) -> tuple[str, ...]:
        """Offered on a stream, the best first. Nothing without TLS."""
        if not secure:
            return ()
        plus = tuple(f"{name}-PLUS" for name in SCRAM) if bindings else ()
        return (*plus, *SCRAM, *(("PLAIN",) if self.plain else ()))

    def account(self, username: str) -> JID | None:
        """The account of that name, if there is one."""
        try:
            bare = JID.of(username, self.domain.domain)
        except JIDError:
            return None
        return bare if self.accounts.exists(bare) else None

    def begun(self, exchange: Exchange) -> None:
        """`exchange` knows whose it is."""
        self._under_way.add(exchange)

    def revoke(self, bare: JID) -> None:
        """The account has another password: attempts that were begun with the former one fail."""
        for exchange in list(self._under_way):
            if exchange.named == bare:
                exchange.revoked = True

    def client(self, account: JID, agent: str) -> str:
        """What stands for a client of an account from now on: says nothing to whoever does not know its id."""
        text = f"quietwire client 1\0{account.bare.text}\0{agent}".encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(hmac.digest(self._server_key, text, "sha256")[:15]).decode()

    async def credentials(self, username: str, mechanism: str) -> tuple[JID | None, Verifier, Credentials]:
        """The account, its verifier and its whole record, or None and decoys. Both are made for either: time tells."""
        try:
            bare: JID | None = JID.of(username, self.domain.domain)
        except JIDError:
            bare = None
        record = await self.accounts.credentials(bare or self.domain)
        stand_in = decoy(self._server_key, bare.local if bare else username, mechanism, self.accounts.iterations)
        whole = Credentials.from_bytes(record or self._any_record, bare or self.domain)
        found = whole.verifier(mechanism)
        return (None, stand_in, whole) if record is None or bare is None else (bare, found, whole)

    def unlock(self, account: JID, credentials: Credentials, mechanism: str, client_key: bytes | bytearray) -> Lease:
        """The login has shown ClientKey for a moment: with it the account's secret. Raises SealError."""
        return self.keyring.unlock(account.text.encode(), credentials.unlock(mechanism, client_key))


class Exchange:
    """One attempt to log in on one stream."""

    def __init__(self, gate: Gate, mechanism: str, bindings: Mapping[str, bytes], tls: str = "") -> None:
        """`tls`: as `links.Link.tls`. Raises SaslFailure."""
        offered = gate.mechanisms(True, bindings)
        if mechanism not in offered:
            raise SaslFailure("invalid-mechanism")
        self._gate = gate
        self._mechanism = mechanism
        self._scram: Scram | None = None
        self._account: JID | None = None
        self._credentials: Credentials | None = None
        self._authzid = ""
        self.begun = False
        """The first message has come."""
        self.confided = mechanism == "PLAIN"
        """A message was a password or a proof."""
        self.named: JID | None = None
        """The account that it is about, if there is one of that name."""
        self.revoked = False
        """What it would be checked against holds no more."""
        if mechanism != "PLAIN":
            told = attributes(mechanism, offered, announced(bindings), tls)
            self._scram = Scram(mechanism, bindings, make_nonce(gate.randomness), bool(bindings), told)

    async def first(self, message: bytes) -> Challenge | Accepted:
        """Raises SaslFailure, SealError for a damaged record."""
        self.begun = True
        if self._scram is None:
            return await self._check(parse_plain(message))
        request = self._scram.first(message)
        self._authzid = request.authzid
        self._name(request.username)
        self._account, verifier, self._credentials = await self._gate.credentials(request.username, self._mechanism)
        return Challenge(self._scram.challenge(verifier))

    def _name(self, username: str) -> None:
        self.named = self._gate.account(username)
        self._gate.begun(self)

    def second(self, message: bytes) -> Accepted:
        """Raises SaslFailure."""
        self.confided = True
        if self._scram is None:
            raise SaslFailure("malformed-request")
        success = self._scram.final(message)
        return self._accept(self._account, success.server_final, self._mechanism, success.client_key)

    async def _check(self, plain: Plain) -> Accepted:
        self._name(plain.username)
        account, verifier, self._credentials = await self._gate.credentials(plain.username, PLAIN_UNDER)
        try:
            key = await self._gate.compute(lambda: check_plain(plain.password, verifier, PLAIN_UNDER))
        finally:
            wipe_text(plain.password)
        self._authzid = plain.authzid
        return self._accept(account if key is not None else None, b"", PLAIN_UNDER, key or b"")

    def _accept(self, account: JID | None, data: bytes, mechanism: str, client_key: bytes | bytearray) -> Accepted:
        try:
            if account is None or self.revoked or not self._gate.accounts.exists(account):
                raise SaslFailure("not-authorized")
            check_authzid(self._authzid, account)
            assert self._credentials is not None
            lease = self._gate.unlock(account, self._credentials, mechanism, client_key)
        except SealError:  # the password is right, what it should open is damaged
            raise SaslFailure("temporary-auth-failure") from None
        finally:
            wipe(client_key)
        return Accepted(account, data, lease, self._authzid)
