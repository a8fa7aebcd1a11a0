"""The bytes of the load generator, apart from any socket: SCRAM-SHA-1 as a client, the stanzas it sends, and the
scanner that finds the few things it needs in what a server answers.

A parser would make the generator as dear as the servers it weighs. The scanner is one regular expression, sound because
every stanza that reaches these sessions is answered to or carries one that they wrote themselves.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

SASL = b"urn:ietf:params:xml:ns:xmpp-sasl"
SM = b"urn:xmpp:sm:3"

SHARE = 10_000_000
"""Numbers that each sender in a room has to itself, of the eight digits that there are."""
_BODY_BYTES = 100
_STAMP = b"T@%019d@%08d"
_PADDING = b"x" * (_BODY_BYTES - len(_STAMP % (0, 0)))
RICH = (
    b"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>"
    b"<markable xmlns='urn:xmpp:chat-markers:0'/>"
    b"<origin-id xmlns='urn:xmpp:sid:0' id='3f1c8f3e-9a55-4c1b-8a7e-0123456789ab'/>"
)


class Keys:
    """Salted passwords, each computed once: 2,000 logins with one salt cost one PBKDF2."""

    def __init__(self, password: bytes) -> None:
        self._password = password
        self._known: dict[tuple[bytes, int], bytes] = {}

    def salted(self, salt: bytes, iterations: int) -> bytes:
        key = salt, iterations
        if key not in self._known:
            self._known[key] = hashlib.pbkdf2_hmac("sha1", self._password, salt, iterations)
        return self._known[key]


def scram_first(user: str, nonce: str) -> bytes:
    """The client-first-message-bare of RFC 5802 §7."""
    return f"n={user},r={nonce}".encode()


def scram_final(keys: Keys, first: bytes, challenge: bytes) -> tuple[bytes, bytes]:
    """The client-final-message and the server signature to expect (RFC 5802 §3), for SCRAM-SHA-1 without binding."""
    fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salted = keys.salted(base64.b64decode(fields[b"s"]), int(fields[b"i"]))
    final = b"c=biws,r=" + fields[b"r"]
    message = b",".join((first, challenge, final))
    client_key = hmac.digest(salted, b"Client Key", "sha1")
    signature = hmac.digest(hashlib.sha1(client_key).digest(), message, "sha1")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha1"), message, "sha1")
    return final + b",p=" + base64.b64encode(proof), base64.b64encode(server)


def header(host: bytes) -> bytes:
    """The opening of a client's stream (RFC 6120 §4.2)."""
    return (
        b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
        b"xmlns:stream='http://etherx.jabber.org/streams' to='%b' version='1.0'>" % host
    )


@dataclass(frozen=True)
class Letter:
    """A message to `to` that carries its time and number: what one pair of sessions sends, again and again.

    In a room many send: each numbers from a `base` of its own."""

    to: bytes
    rich: bool = False
    kind: bytes = b"chat"
    base: int = 0
    _head: bytes = field(init=False, repr=False)
    _tail: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        tail = _PADDING + b"</body>" + (RICH if self.rich else b"") + b"</message>"
        object.__setattr__(self, "_head", b"<message to='%b' type='%b' id='" % (self.to, self.kind))
        object.__setattr__(self, "_tail", tail)

    def written(self, now_ns: int, number: int) -> bytes:
        """The stanza that says it was sent at `now_ns` and is the `number`th, from 0, of its pair or sender."""
        number += self.base
        return b"%b%08d'><body>T@%019d@%08d%b" % (self._head, number, now_ns, number, self._tail)


# One literal prefix lets the engine skip from tag to tag. Groups: time, number | end of a stanza | end of a forwarded
# one, which closed a stanza that was not ours to count | acknowledgement wanted | acknowledgement given.
_TOKENS = re.compile(
    rb"<(?:body>T@(\d{19})@(\d{8})|(/message>|/iq>|/presence>|(?:presence|iq)\b[^>]*/>)|(/forwarded>)|(r[ />])"
    rb"|a [^>]*?\bh=['\"](\d+))"
)


@dataclass
class Scanner:
    """What a session learns from its server's bytes, cut anywhere.

    `feed` returns the (sent at in ns, number) of each message of ours, the counts that the server acknowledged, and how
    many acknowledgements it asks for; `handled` is the h of XEP-0198 §4 at each such question.
    """

    handled: int = 0
    _rest: bytes = b""

    def feed(self, data: bytes) -> tuple[Sequence[tuple[int, int]], Sequence[int], Sequence[int]]:
        """(messages, h given by the server, h owed to the server), in their order."""
        if self._rest:
            data = self._rest + data
        cut = data.rfind(b">") + 1
        if data.endswith(b"<body>", 0, cut):
            cut -= len(b"<body>")  # its text may not be all there
        self._rest = data[cut:]
        messages: list[tuple[int, int]] = []
        given: list[int] = []
        owed: list[int] = []
        for sent, number, end, forwarded, asked, h in _TOKENS.findall(data, 0, cut):
            if end:
                self.handled += 1
            elif sent:
                messages.append((int(sent), int(number)))
            elif asked:
                owed.append(self.handled & 0xFFFFFFFF)
            elif h:
                given.append(int(h))
            elif forwarded:
                self.handled -= 1
        return messages, given, owed


@dataclass
class Arrivals:
    """Whether one session got every message of its pair, once and in order."""

    seen: int = 0
    doubled: int = 0
    skipped: int = 0

    def note(self, number: int) -> None:
        if number == self.seen:
            self.seen += 1
        elif number < self.seen:
            self.doubled += 1
        else:
            self.skipped += number - self.seen
            self.seen = number + 1


@dataclass
class RoomArrivals:
    """The same for one occupant of a room where several send; sender k numbers from k times SHARE."""

    senders: list[Arrivals]

    def note(self, number: int) -> None:
        self.senders[number // SHARE].note(number % SHARE)

    @property
    def seen(self) -> int:
        return sum(sender.seen for sender in self.senders)

    @property
    def doubled(self) -> int:
        return sum(sender.doubled for sender in self.senders)

    @property
    def skipped(self) -> int:
        return sum(sender.skipped for sender in self.senders)


def percentile(sorted_values: Sequence[int], share: float) -> float | None:
    """The value below which `share` of the values lie, ns in and ms out; None when there are none."""
    if not sorted_values:
        return None
    return round(sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] / 1e6, 2)
