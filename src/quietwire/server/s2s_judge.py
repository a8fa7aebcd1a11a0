"""Dialback on a stream that another server has opened to us (XEP-0220 §2.1.1, §2.2): the keys that it says are shown to
the domain's own server, and keys that it asks about are recognised or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from quietwire.core.errors import StreamError
from quietwire.core.stanza import Child
from quietwire.server import s2s_dialback as dialback
from quietwire.server.links import Link
from quietwire.server.s2s import Common, domain_of
from quietwire.server.s2s_traffic import PAIRS, Pair, Traffic

QUESTIONS = 20
"""Keys of one stream that are being asked about."""


class Verify(Protocol):
    """Who asks other servers."""

    def verify(
        self, ours: str, theirs: str, stream_id: str, key: str, answered: Callable[[str], None]
    ) -> Callable[[], None]:
        """Asks their server about a key; `answered` gets "valid", "invalid" or the condition of a dialback error, once.
        Returns what takes the question back."""
        ...


class Judged(Protocol):
    """The stream (`s2s_in_stream.IncomingServerStream`)."""

    link: Link
    traffic: Traffic
    stream_id: str
    """What our last header called it."""
    closing: bool

    def certified(self, domain: str) -> bool:
        """The peer's certificate stands for the domain."""
        ...

    def admit(self, theirs: str, ours: str) -> None:
        """The pair is authenticated. Raises StreamError."""
        ...

    def begin(self) -> None:
        """Our own stanzas may go out on it, where that was agreed."""
        ...

    def fail(self, error: StreamError) -> None: ...

    def close(self) -> None: ...


class Judge:
    """Of one stream."""

    __slots__ = ("_common", "_outward", "_questions", "_stream")

    def __init__(self, common: Common, outward: Verify, stream: Judged) -> None:
        self._common = common
        self._outward = outward
        self._stream = stream
        self._questions: dict[Pair, Callable[[], None]] = {}
        """Pairs whose key is being asked about."""

    def cancel(self) -> None:
        """The stream is over: nobody waits for the answers."""
        for cancel in self._questions.values():
            cancel()
        self._questions.clear()

    def hear(self, child: Child) -> None:
        """An element of dialback. Raises StreamError."""
        kind, attributes = child.kind, child.attributes
        if kind not in (dialback.RESULT, dialback.VERIFY):
            raise StreamError("unsupported-stanza-type")
        if "type" in attributes:
            raise StreamError("invalid-id")  # an answer to what was not asked here (XEP-0220 §3)
        from_, to = attributes.get("from", ""), attributes.get("to", "")
        theirs, ours = domain_of(from_), domain_of(to)
        if not theirs or not ours:
            raise StreamError("improper-addressing")
        if kind == dialback.VERIFY:
            self._vouch(theirs, ours, attributes.get("id", ""), dialback.key_of(child))
        else:
            self._judge(theirs, ours, dialback.key_of(child))

    def _vouch(self, theirs: str, ours: str, stream_id: str, key: str) -> None:
        """They ask whether a key is ours (XEP-0220 §2.2.2)."""
        if not self._common.ours(ours):
            outcome = "item-not-found"
        else:
            outcome = "valid" if self._common.keys.recognise(key, theirs, ours, stream_id) else "invalid"
        self._stream.link.put(dialback.answer(dialback.VERIFY, ours, theirs, outcome, stream_id))

    def _judge(self, theirs: str, ours: str, key: str) -> None:
        """They say a key, to be believed for one more pair (XEP-0220 §2.2.1)."""
        pair = theirs, ours
        if not self._common.ours(ours):
            self._answer(pair, "item-not-found")
        elif self._common.ours(theirs):
            self._answer(pair, "not-acceptable")
        elif not self._common.policy.admits(theirs):
            self._answer(pair, "policy-violation")
        elif len(self._stream.traffic.pairs) >= PAIRS or len(self._questions) >= QUESTIONS:
            self._answer(pair, "resource-constraint")
        elif pair in self._stream.traffic.pairs or self._stream.certified(theirs):
            self._answer(pair, "valid")
        elif pair not in self._questions:
            self._questions[pair] = lambda: None  # it may be answered before `verify` returns
            cancel = self._outward.verify(
                ours, theirs, self._stream.stream_id, key, lambda outcome: self._verified(pair, outcome)
            )
            if pair in self._questions:
                self._questions[pair] = cancel

    def _verified(self, pair: Pair, outcome: str) -> None:
        if self._questions.pop(pair, None) is None or self._stream.closing:
            return
        try:
            # `invalid` would cost the stream and every pair that it has: XEP-0220 §2.1.2 allows an error instead.
            self._answer(pair, "forbidden" if outcome == "invalid" and self._stream.traffic.pairs else outcome)
            if outcome == "invalid" and not self._stream.traffic.pairs:
                self._stream.close()
        except StreamError as error:
            self._stream.fail(error)

    def _answer(self, pair: Pair, outcome: str) -> None:
        theirs, ours = pair
        if outcome == "valid":
            self._stream.admit(theirs, ours)
        else:
            self._common.tell("server-stream", theirs, state=f"dialback-{outcome}")
        self._stream.link.put(dialback.answer(dialback.RESULT, ours, theirs, outcome))
        if outcome == "valid":
            self._stream.begin()
