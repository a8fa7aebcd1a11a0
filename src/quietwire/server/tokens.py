"""Tokens of FAST (XEP-0484): what a client that has logged in may log in with next time. Never written to disk.

Each client of an account has two slots, `current` and `new` (§5.1): a new token ends the former one only when it is
used. Tokens end with their time, with the password, with the account, and with the server. As long as an account has
one, its keys stay: a login with a token shows nothing that could unlock them.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from quietwire.core.jid import JID
from quietwire.core.sasl import HT_BINDINGS, SaslFailure, ht_mechanisms, initiator, parse_ht, responder
from quietwire.server.sealed.keyring import Lease
from quietwire.server.timers import Timer, Timers

NS: Final = "urn:xmpp:fast:0"
TOKEN_BYTES: Final = 24
CLIENTS_PER_ACCOUNT: Final = 32
"""As many as sessions: a client that asks under ever new ids pushes out its own account's oldest."""
CLIENTS_AT_MOST: Final = 50_000
"""Of all accounts; about 600 bytes each. The oldest goes first: its client falls back to the password."""
_COUNT_DIGITS: Final = 10
_LOOK_SECONDS: Final = 600.0
"""At most between two looks for tokens that have ended: the wall clock, by which they end, may be set forward."""
_SOON: Final = 1.0


@dataclass(slots=True)
class Token:
    secret: bytes = field(repr=False)
    """As the client knows it: text, in ASCII."""
    mechanism: str
    expires: float
    """Seconds since the epoch."""
    count: int = -1
    """The highest count of a login with it (XEP-0484 §3.3)."""


@dataclass(slots=True)
class Slots:
    current: Token | None = None
    new: Token | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A login with a token. `replacement` has to be told to the client (§3.4)."""

    account: JID
    answer: bytes
    replacement: Token | None


class Tokens:
    """`lifetime` in seconds; 0 switches tokens off. `clock`: seconds since the epoch. `hold(account)` keeps the account
    unlocked, or gives None if it is not."""

    def __init__(
        self,
        clock: Callable[[], float],
        randomness: Callable[[int], bytes],
        lifetime: float,
        hold: Callable[[JID], Lease | None],
        timers: Timers,
    ) -> None:
        self._clock = clock
        self._randomness = randomness
        self._lifetime = lifetime
        self._hold = hold
        self._timers = timers
        self._timer: Timer | None = None
        self._leases: dict[JID, Lease] = {}
        """Of each account with a client that has a token."""
        self._accounts: dict[JID, dict[str, Slots]] = {}
        self._order: dict[tuple[JID, str], None] = {}
        """All clients, the one that got a token last at the end."""
        self._nobody = Token(randomness(TOKEN_BYTES), "", float("inf"))

    @property
    def offered(self) -> bool:
        return self._lifetime > 0

    def mechanisms(self, bindings: Mapping[str, bytes]) -> tuple[str, ...]:
        """Offered on a connection with these channel bindings."""
        return ht_mechanisms(bindings) if self.offered else ()

    def issue(self, account: JID, client: str, mechanism: str) -> Token:
        """A new token for a client that has logged in; an unused earlier one is void."""
        if account not in self._leases and (lease := self._hold(account)) is not None:
            self._leases[account] = lease
        clients = self._accounts.setdefault(account, {})
        slots = clients[client] = clients.pop(client) if client in clients else Slots()
        if len(clients) > CLIENTS_PER_ACCOUNT:
            self.revoke(account, next(iter(clients)))
        secret = base64.urlsafe_b64encode(self._randomness(TOKEN_BYTES))
        slots.new = Token(secret, mechanism, self._clock() + self._lifetime)
        self._order.pop((account, client), None)
        self._order[account, client] = None
        if len(self._order) > CLIENTS_AT_MOST:
            self.revoke(*next(iter(self._order)))
        self._watch()
        return slots.new

    def check(
        self,
        account: JID | None,
        client: str,
        mechanism: str,
        message: bytes,
        bindings: Mapping[str, bytes],
        count: str | None,
        *,
        invalidate: bool,
        wanted: str = "",
    ) -> Login:
        """A login with a token: `account` is whom the message names, None where there is no such account; `client`
        the client's id, '' where it gave none; `wanted` the mechanism for which it asks another token.

        Raises SaslFailure: ``credentials-expired`` to whoever proves to have had the token, else ``not-authorized``.
        An account without tokens costs what a wrong token costs.
        """
        if count is not None and not (count.isascii() and count.isdecimal() and len(count) <= _COUNT_DIGITS):
            raise SaslFailure("malformed-request")
        proof = parse_ht(message).proof
        binding = bindings[HT_BINDINGS[mechanism]] if HT_BINDINGS[mechanism] else b""
        slots = self._accounts.get(account, {}).get(client) if account is not None else None
        candidates = (slots.new, slots.current) if slots is not None else (None, None)
        found: Token | None = None
        for token in candidates:
            tried = token or self._nobody
            right = hmac.compare_digest(initiator(tried.secret, binding), proof)
            if right and token is not None and token.mechanism == mechanism and found is None:
                found = token
        if found is None or slots is None or account is None:
            raise SaslFailure("not-authorized")
        now = self._clock()
        if found.expires <= now:
            raise SaslFailure("credentials-expired")
        if count is not None:
            if int(count) <= found.count:
                raise SaslFailure("not-authorized")  # a replay
            found.count = int(count)
        if found is slots.new:
            slots.current, slots.new = found, None
        answer = responder(found.secret, binding)
        if invalidate:
            self.revoke(account, client)
        replacement: Token | None = None
        if wanted:
            replacement = self.issue(account, client, wanted)
        elif not invalidate and found.expires - now < self._lifetime / 2:
            replacement = self.issue(account, client, mechanism)
        return Login(account, answer, replacement)

    def clients(self, account: JID) -> list[str]:
        """The ids of the account's clients that can log in with a token."""
        now = self._clock()
        return [
            client
            for client, slots in self._accounts.get(account, {}).items()
            if any(token is not None and token.expires > now for token in (slots.current, slots.new))
        ]

    def revoke(self, account: JID, client: str) -> bool:
        """Ends a client's tokens; False if it has none."""
        clients = self._accounts.get(account, {})
        if clients.pop(client, None) is None:
            return False
        del self._order[account, client]
        if not clients:
            self.forget(account)
        return True

    def forget(self, account: JID) -> None:
        """The account has another password, or is gone."""
        for client in self._accounts.pop(account, {}):
            del self._order[account, client]
        lease = self._leases.pop(account, None)
        if lease is not None:
            lease.release()

    def _watch(self) -> None:
        """Looks again when the next token ends."""
        if self._timer is None and self._order:
            left = self._ends(*next(iter(self._order))) - self._clock()
            self._timer = self._timers.after(min(max(left, _SOON), _LOOK_SECONDS), self._look)

    def _look(self) -> None:
        self._timer = None
        self.sweep()
        self._watch()

    def _ends(self, account: JID, client: str) -> float:
        slots = self._accounts[account][client]
        return max(token.expires for token in (slots.current, slots.new) if token is not None)

    def sweep(self) -> None:
        """Drops what has ended by itself, and lets go of the keys that were kept for it."""
        now = self._clock()
        while self._order:
            account, client = next(iter(self._order))
            if self._ends(account, client) > now:
                break  # the others got theirs later, and all last as long
            self.revoke(account, client)
