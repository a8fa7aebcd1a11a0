"""What both directions of a server-to-server stream share (RFC 6120), and the ports that they stand on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.jid import JID, JIDError
from quietwire.core.later import Ticket
from quietwire.core.stanza import Child, Stanza
from quietwire.core.xml import escape
from quietwire.server.links import Link, Stream
from quietwire.server.s2s_dialback import NS as DIALBACK
from quietwire.server.s2s_dialback import Keys
from quietwire.server.s2s_policy import Peers, Policy
from quietwire.server.settings import Settings
from quietwire.server.timers import Timers

CLOSING = b"</stream:stream>"
TLS = f"{{{ns.TLS}}}"
SASL = f"{{{ns.SASL}}}"
SM = f"{{{ns.SM}}}"
BIDI = "{urn:xmpp:bidi}bidi"
BIDI_FEATURE = "{urn:xmpp:features:bidi}bidi"
DIALBACK_FEATURE = "{urn:xmpp:features:dialback}dialback"
LIMITS = "{urn:xmpp:stream-limits:0}limits"
IDLE_SECONDS = 3600.0
"""Without a byte: a peer whose machine is gone must not hold memory for ever, one that is quiet opens a new stream."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no stream to another server.

    `condition` is the stanza error that senders get (RFC 6120 §8.3.3.16-17); `state` a word for the log, never
    personal; `permanent`: another try within seconds would end the same way.
    """

    condition: str
    state: str
    permanent: bool = False


class Dial(Protocol):
    """Connects to a domain's server: the port that `net/dial.py` implements."""

    def __call__(
        self, ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> Callable[[], None]:
        """Calls `accept` with the connection, or `failed`, once, later; shows the certificate of `ours`. Returns what
        takes the wish back: then neither is called."""
        ...


class Inward(Protocol):
    """Where stanzas of other servers go (`server.Server`)."""

    def from_remote(self, stanza: Stanza, finished: Callable[[], None] | None = None) -> bool:
        """Takes a stanza whose `from_` is authenticated and whose `to` is ours. False if its handler is suspended:
        then `finished` is called later."""
        ...

    def caused(self) -> tuple[Ticket | None, Ticket | None]:
        """What the last stanza must wait for before it may be acknowledged: (durable, left for other servers)."""
        ...


@dataclass(slots=True)
class Common:
    """What all streams between servers have in common.

    `ours(domain)`: whether that domain is served here. `note` writes one line of log without personal data, `fault`
    gets what is our own mistake, `randomness(n)` gives n bytes.
    """

    settings: Settings
    timers: Timers
    inward: Inward
    ours: Callable[[str], bool]
    randomness: Callable[[int], bytes]
    note: Callable[..., None]
    fault: Callable[[BaseException], None]
    policy: Policy = field(default_factory=Policy)
    keys: Keys = field(init=False)
    peers: Peers = field(init=False)

    def __post_init__(self) -> None:
        self.keys = Keys(self.randomness(32))
        self.peers = Peers(self.policy, self.timers.clock, self.randomness(16))

    def reload(self, settings: Settings, policy: Policy) -> None:
        """For streams to come. Domains that are known keep the rate they have until they are forgotten."""
        self.settings, self.policy, self.peers.policy = settings, policy, policy

    def tell(self, event: str, domain: str, **facts: str) -> None:
        """One line of log about another domain, which only the administrator's choice makes readable."""
        self.note(event, **facts, peer=self.peers.tag(domain))


def stands_for(names: frozenset[str], domain: str) -> bool:
    """Whether a certificate with these names (`Link.peer_domains`) is the domain's (RFC 6125 §6.4): a wildcard
    stands for exactly one label."""
    if domain in names:
        return True
    _, dot, parent = domain.partition(".")
    return bool(dot) and f"*.{parent}" in names


def header(*, from_: str, to: str, id: str = "") -> bytes:
    """A stream header (RFC 6120 §4.7); the addresses come from parsed JIDs."""
    addresses = f" from='{escape(from_)}'" + (f" to='{escape(to)}'" if to else "")
    stream_id = f" id='{id}'" if id else ""
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{ns.SERVER}' xmlns:stream='{ns.STREAMS}' xmlns:db='{DIALBACK}'"
        f"{stream_id}{addresses} version='1.0' xml:lang='en'>"
    ).encode()


def limits(settings: Settings) -> str:
    """What a peer may send on this stream (XEP-0478)."""
    return (
        f"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{settings.limits.stanza_bytes}</max-bytes>"
        f"<idle-seconds>{int(IDLE_SECONDS)}</idle-seconds></limits>"
    )


def limit_of(parent: Child) -> int:
    """The longest stanza that the peer announces to take, bytes; 0 for none."""
    told = parent.child(LIMITS)
    text = (told.findtext("{urn:xmpp:stream-limits:0}max-bytes") or "").strip() if told is not None else ""
    # RFC 6120 §13.12: less than 10,000 would be no XMPP.
    return max(int(text), 10_000) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def stream_error(error: StreamError) -> bytes:
    """The error and the closing tag (RFC 6120 §4.9)."""
    text = f"<text xmlns='{ns.STREAM_ERRORS}'>{escape(error.text)}</text>" if error.text else ""
    condition = f"<{error.condition} xmlns='{ns.STREAM_ERRORS}'/>"
    return f"<stream:error>{condition}{text}{error.specific}</stream:error>".encode() + CLOSING


def version_known(version: str) -> bool:
    """1.0 or later (RFC 6120 §4.7.5)."""
    major, _, minor = version.partition(".")
    return major.isdecimal() and minor.isdecimal() and int(major[:9]) >= 1


def domain_of(text: str) -> str:
    """The domain that an attribute names, as `JID.domain` writes it; '' for what is none."""
    try:
        jid = JID.parse(text)
    except JIDError:
        return ""
    return jid.domain if jid.is_domain else ""
