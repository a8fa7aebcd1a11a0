"""A stream that asks another server one question: whether a key of dialback is its own (XEP-0220 §2.1.2)."""

from __future__ import annotations

from collections.abc import Callable

from quietwire.core.errors import StreamError
from quietwire.core.stanza import Child
from quietwire.server import s2s_dialback as dialback
from quietwire.server.links import Link
from quietwire.server.s2s import Common, Failure, domain_of
from quietwire.server.s2s_open import Opener, State, failed


class Verification(Opener):
    """Asks the authoritative server of `remote` whether a key is its own (XEP-0220 §2.1.2), then closes.

    `answered(outcome)` is called once: "valid", "invalid" or the condition of a dialback error; `gone` last of all.
    """

    __slots__ = ("_answered", "_gone", "_id", "_key", "_outcome")

    def __init__(
        self,
        link: Link,
        domain: str,
        remote: str,
        common: Common,
        *,
        stream_id: str,
        key: str,
        answered: Callable[[str], None],
        gone: Callable[[Verification], None],
    ) -> None:
        self._id = stream_id
        self._key = key
        self._answered = answered
        self._gone = gone
        self._outcome = ""
        super().__init__(link, domain, remote, common)

    def _features(self, features: Child) -> None:
        self._state = State.DIALBACK
        self._link.put(dialback.asking(dialback.VERIFY, self._domain, self._remote, self._key, self._id))

    def _hear(self, child: Child) -> None:
        addresses = child.attributes
        if self._state is not State.DIALBACK or child.kind != dialback.VERIFY:
            raise StreamError("unsupported-stanza-type")
        told = domain_of(addresses.get("from", "")), domain_of(addresses.get("to", "")), addresses.get("id")
        if told != (self._remote, self._domain, self._id):
            raise StreamError("invalid-id")
        outcome = dialback.outcome_of(child)
        self._outcome = outcome if outcome in ("valid", "invalid") else "remote-server-timeout"
        self._end(failed("closed"))

    def _over(self, failure: Failure) -> None:
        self._answered(self._outcome or condition_of(failure))

    def lost(self) -> None:
        super().lost()
        self._gone(self)


def condition_of(failure: Failure) -> str:
    """The dialback error for a question that could not be asked (XEP-0220 §2.5)."""
    if failure.state.startswith("certificate-"):
        return "not-authorized"
    return failure.condition
