"""Whom an account has blocked (XEP-0191): its list in memory, a row of the store for each address."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID
from quietwire.store.ports import Rows

TABLE: Final = "block"

VERSION: Final = b"\x01"
"""A row's whole value: the key says it all."""

MAX_BLOCKED: Final = 2_000
"""Addresses of one list, as many as a roster has contacts. It is read at each login and sent as one stanza."""

MAX_SIZE: Final = 128 << 10
"""Characters of all addresses together: the stanza with the whole list must pass clients' limits."""

BLOCKED: Final = "{urn:xmpp:blocking:errors}blocked"


class Blocks(set[str]):
    """Canonical addresses. An empty list, which nearly all are, is false: look at that first, then at `covers`."""

    __slots__ = ("_domain", "_owner")

    def __init__(self, owner: JID, addresses: Rows = ()) -> None:
        """`addresses`: rows of the table. Raises ValueError for a row that is not ours."""
        super().__init__(key.decode() for key, _ in addresses)
        if any(value != VERSION for _, value in addresses):
            raise ValueError("a block list's row of another version")
        self._owner = owner.text
        self._domain = owner.domain

    def covers(self, jid: JID) -> bool:
        """Whether that address is blocked (XEP-0191 §5). The owner's own sessions never are, nor is the server itself,
        without which nobody could change the list."""
        bare = jid.bare.text
        if bare in (self._owner, self._domain):
            return False
        return bare in self or jid.text in self or jid.domain in self


def blocked() -> StanzaError:
    """The answer to what a user sends to somebody whom they block (XEP-0191 §3.3)."""
    return StanzaError("not-acceptable", type="cancel", specific=BLOCKED)
