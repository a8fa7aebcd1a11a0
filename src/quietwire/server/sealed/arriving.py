"""What comes for an account while its owner is away and would change what is sealed: it waits, sealed to the owner, and
is applied in its order before the account's next session (DESIGN §6, "Questions while sealed").

Requests and answers about subscriptions, what an accepted invitation brings, subscriptions to open nodes. A row of the
driver's table `arrival` each, under a random key; what tells their order is inside. Who is not there and who never was
cost the same and are acknowledged alike: `pretend`.

    value = order u64 | content          kind of the row: see PRESENCE and so on
    order = start of the server u24 | count u40
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.seal import rows
from quietwire.seal.wraps import SealError
from quietwire.server.account import Account
from quietwire.server.sealed.findings import Findings, finding
from quietwire.server.sealed.seals import Safe, Sealed
from quietwire.store.ports import StorageError, Store

TABLE: Final = "arrival"
PRESENCE, BEFRIEND, ADMIT, NODE = 1, 2, 3, 4
"""Kinds, they stay: a subscription stanza; the bare JID of somebody who becomes a contact both ways (XEP-0401 §5); of
somebody who is let in and asked back (XEP-0379); a subscription to a node, or its end (`server/pep.py`)."""
LONGEST: Final = 8_192
"""Bytes of a content: a kept request has at most 4,096 (`roster.MAX_REQUEST`), a node's name and an address 4,094."""
TOTAL: Final = 500
"""Of one account. They are opened and applied together at a login: some 20 ms, and 4 MB at worst."""
FOREIGN: Final = 300
"""Of these, from all other domains together: what strangers send there leaves room for what comes from here."""
DOMAIN: Final = 60
"""From one other domain: twenty requests may be kept of it in the end (`strangers.DOMAIN_PENDING`), and its people who
are contacts may have something to say as well."""
SENDER: Final = 8
"""From one sender: asks, takes it back and asks again. Who goes on like this harms nobody but themselves."""
_COUNT_BITS: Final = 40
"""Arrivals of one life of the process."""


@dataclass(slots=True)
class _Waiting:
    """What is known of an account's arrivals without opening them. Senders are known of those that came since the
    start of the server; of earlier ones only their number is, and they count as foreign."""

    total: int = 0
    foreign: int = 0
    domains: Counter[str] = field(default_factory=Counter)
    senders: dict[str, list[bytes]] = field(default_factory=dict)
    """By bare JID, digests of what came, in order."""


class Arrivals:
    """`store`: the driver."""

    def __init__(
        self,
        store: Store,
        seals: Safe,
        domain: str,
        randomness: Callable[[int], bytes],
        findings: Findings,
    ) -> None:
        self._store = store
        self._seals = seals
        self._domain = domain
        self._randomness = randomness
        self._findings = findings
        self._waiting: dict[bytes, _Waiting] = {}
        """By the owner's hash."""
        self._order = 0
        self.appliers: dict[int, Callable[[Account, bytes], None]] = {}
        """By kind: what applies a content to the account, which is in nobody else's hands. Plain functions; a
        StanzaError means that it cannot be done, now or ever."""

    async def open(self, generation: int) -> None:
        """Counts what waits, and reads nothing. `generation`: how often the server was started on this database."""
        self._order = generation << _COUNT_BITS
        for hashed in await self._store.owners(TABLE):
            number = len(await self._store.scan(TABLE, hashed, head=0))
            self._waiting[hashed] = _Waiting(number, number)

    # -- keeping ------------------------------------------------------------------------------------------------------

    def keep(self, owner: JID, kind: int, sender: JID, content: bytes) -> bool:
        """Keeps what `sender` has caused for the account `owner`, which exists. False where there is no room for it:
        then, as for what changes nothing after what its sender sent before, only the time until it can be acknowledged
        is the same."""
        name = owner.text.encode()
        hashed = self._seals.owner(TABLE, name)
        waiting = self._waiting.setdefault(hashed, _Waiting())
        before = waiting.senders.get(sender.text, [])
        digest = blake2b(bytes((kind,)) + content, digest_size=8).digest()
        if before and before[-1] == digest:
            self.pretend(owner)
            return True
        foreign = sender.domain != self._domain
        if (
            len(content) > LONGEST
            or waiting.total >= TOTAL
            or len(before) >= SENDER
            or (foreign and (waiting.foreign >= FOREIGN or waiting.domains[sender.domain] >= DOMAIN))
        ):
            self.pretend(owner)
            return False
        self._put(name, hashed, kind, content)
        waiting.total += 1
        if foreign:
            waiting.foreign += 1
            waiting.domains[sender.domain] += 1
        waiting.senders[sender.text] = [*before, digest]
        return True

    def pretend(self, owner: JID) -> None:
        """For whom nothing is to be kept: the work of `keep`, and a commit to wait for, but no row."""
        name = owner.text.encode()
        hashed = self._seals.owner(TABLE, name)
        self._store.delete(TABLE, hashed, self._put(name, hashed, PRESENCE, bytes(64)))

    def _put(self, owner: bytes, hashed: bytes, kind: int, content: bytes) -> bytes:
        self._order += 1
        key = self._randomness(16)
        content = rows.pack(kind, b"", self._order.to_bytes(8, "big") + content)
        self._store.put(TABLE, hashed, key, self._seals.seal(TABLE, owner, key, content))
        return key

    # -- applying -----------------------------------------------------------------------------------------------------

    async def settle(self, account: Account) -> None:
        """Applies what waits, in the order in which it came, also what comes meanwhile; what was applied is deleted in
        the commit that has its effects. When it returns nothing waits, until the next await. What cannot be understood
        is isolated: nobody's account is shut by what others have sent. Raises StorageError, Sealed."""
        hashed = self._seals.owner(TABLE, account.owner)
        waiting = self._waiting.get(hashed)
        if waiting is None:
            return
        damaged: dict[bytes, bytes] = {}
        while True:
            before = waiting.total
            came: list[tuple[bytes, bytes, int, bytes, bytes]] = []
            for key, row in await self._store.scan(TABLE, hashed):
                if key not in damaged:
                    try:
                        kind, _, value = rows.unpack(self._seals.open(TABLE, account.owner, key, row))
                        came.append((value[:8], key, kind, value[8:], row))
                    except SealError:
                        damaged[key] = finding(TABLE, key, row)
            for _, key, kind, content, row in sorted(came):
                try:
                    self.appliers[kind](account, content)
                except (Sealed, StorageError):
                    raise  # later
                except StanzaError:
                    pass
                except Exception:
                    damaged[key] = finding(TABLE, key, row)
                    continue
                self._store.delete(TABLE, hashed, key)
            if waiting.total == before:
                break  # else more came while the rows were read, or because of them
        del self._waiting[hashed]
        if damaged:
            self._waiting[hashed] = _Waiting(len(damaged), len(damaged))
            self._findings.report(account.owner, damaged.values())

    def forget(self, owner: bytes) -> None:
        """The account was erased, its rows with it."""
        self._waiting.pop(self._seals.owner(TABLE, owner), None)
