"""What both directions of a server-to-server stream share (RFC 6120), and the port that dials other servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from quietwire.core import ns
from quietwire.core.errors import StreamError
from quietwire.core.xml import escape
from quietwire.server.links import Link, Stream

CLOSING = b"</stream:stream>"
TLS = f"{{{ns.TLS}}}"
SASL = f"{{{ns.SASL}}}"


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
        self, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> Callable[[], None]:
        """Calls `accept` with the connection, or `failed`, once, later. Returns what takes the wish back: then
        neither is called."""
        ...


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
        f"<?xml version='1.0'?><stream:stream xmlns='{ns.SERVER}' xmlns:stream='{ns.STREAMS}'{stream_id}{addresses}"
        " version='1.0' xml:lang='en'>"
    ).encode()


def stream_error(error: StreamError) -> bytes:
    """The error and the closing tag (RFC 6120 §4.9)."""
    text = f"<text xmlns='{ns.STREAM_ERRORS}'>{escape(error.text)}</text>" if error.text else ""
    return f"<stream:error><{error.condition} xmlns='{ns.STREAM_ERRORS}'/>{text}</stream:error>".encode() + CLOSING


def version_known(version: str) -> bool:
    """1.0 or later (RFC 6120 §4.7.5)."""
    major, _, minor = version.partition(".")
    return major.isdecimal() and minor.isdecimal() and int(major[:9]) >= 1
