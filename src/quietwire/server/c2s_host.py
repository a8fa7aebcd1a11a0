"""What the parts of a client's stream need: of the server (`Host`), and of the stream that they are parts of
(`Carrier`)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from quietwire.core.errors import StreamError
from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Nonza, Stanza
from quietwire.core.xml import Element
from quietwire.server.account import Client
from quietwire.server.bound import Bound
from quietwire.server.links import Link
from quietwire.server.login import Gate
from quietwire.server.sealed.keyring import Lease
from quietwire.server.settings import Settings
from quietwire.server.timers import Timers
from quietwire.server.tokens import Tokens


class Carrier(Protocol):
    """A client's stream (`server/c2s.py`)."""

    link: Link
    account: JID | None
    """Who has logged in on it."""
    lease: Lease | None
    """Keeps that account unlocked until the stream is closed or carries a session."""
    client: Client | None
    """With which client, where it has said so (XEP-0388 §2.3)."""
    bound: Bound | None

    @property
    def open(self) -> bool:
        """A stream header came, and nothing since that asks for a new one."""
        ...

    @property
    def closing(self) -> bool:
        """Our closing tag is written, or the connection is gone: nothing may be written any more."""
        ...

    @property
    def suspended(self) -> bool:
        """What the client sends waits until `go_on`."""
        ...

    def restart(self) -> None:
        """The client is to open its stream anew (RFC 6120 §4.3.3)."""
        ...

    def start_tls(self) -> None:
        """From now on nothing is read or written in clear."""
        ...

    def suspend(self) -> None: ...

    def go_on(self) -> None:
        """Takes up what came meanwhile. May only be called after `suspend`."""
        ...

    def extend(self, seconds: float) -> None:
        """From now the client has that long to log in and bind."""
        ...

    def scrub(self) -> None:
        """What the client has sent holds a password or a proof: overwrites what the stream has of it."""
        ...

    def release(self) -> None:
        """Gives up `lease`. Idempotent."""
        ...

    def begin(self, bound: Bound) -> None:
        """Negotiation is over: from now on the stream carries that session."""
        ...

    def fail(self, error: StreamError) -> None:
        """Sends the stream error and closes."""
        ...

    def close(self) -> None: ...

    def refused(self) -> None:
        """A login has failed; too many of them end the stream."""
        ...

    def evict(self) -> None:
        """Another stream took the resource or resumed the session."""
        ...

    def hush(self) -> None:
        """Takes in nothing more: the server is about to stop."""
        ...

    def shut_down(self) -> None:
        """The server stops."""
        ...


class Host(Protocol):
    """The server, as a client's stream sees it (`server/server.py`)."""

    settings: Settings
    gate: Gate
    tokens: Tokens
    timers: Timers
    randomness: Callable[[int], bytes]

    def features(self, *, before_login: bool = False) -> bytes:
        """Stream features that modules add after login, or before it, serialised."""
        ...

    def preauth(self, iq: Iq, memory: dict[str, Any]) -> Coroutine[Any, Any, Iq | None] | None:
        """The answer to a request before login; None if no module has one."""
        ...

    async def bind(
        self, account: JID, resource: str, stream: Carrier, link: Link | None, client: Client | None
    ) -> Bound:
        """`link` None: nothing is written before `bound.outgoing.begin`. An earlier session of the same client ends.
        Raises StanzaError."""
        ...

    def inline_features(self) -> tuple[str, ...]:
        """What can be switched on along with binding (XEP-0386 §3.1)."""
        ...

    def inline(self, bound: Bound, wish: Element) -> Element | None:
        """Switches one of these on; nothing where no module knows it. -> what ``<bound/>`` says about it."""
        ...

    async def metadata(self, bound: Bound) -> list[Element]:
        """What ``<bound/>`` tells about the account."""
        ...

    def resumable(self, resume_id: str, account: JID) -> Bound | None:
        """The session of that account which may be resumed under that id."""
        ...

    def handled(self, resume_id: str, account: JID) -> int | None:
        """How many stanzas were taken of a session of that account which is over, if that is still known."""
        ...

    def unhand(self, bound: Bound) -> None:
        """Whatever carries the session is closed; it waits for the stream that resumes it."""
        ...

    def adopt(self, bound: Bound, stream: Carrier) -> None:
        """The stream now carries that session; whatever carried it before is closed."""
        ...

    def park(self, bound: Bound) -> None:
        """The connection is lost; the session waits for resumption, or ends."""
        ...

    def end(self, bound: Bound) -> None:
        """The session is over."""
        ...

    def make_resumable(self, bound: Bound) -> tuple[str, int]:
        """-> (id, seconds)."""
        ...

    def stanza(self, bound: Bound, stanza: Stanza, finished: Callable[[], None]) -> bool:
        """False if suspended: `finished` is called later."""
        ...

    def nonza(self, bound: Bound, nonza: Nonza) -> bool:
        """False if no module knows it."""
        ...

    def count(self, bound: Bound) -> None:
        """One stanza of that session is done with."""
        ...

    def closed(self, stream: Carrier) -> None:
        """The connection is gone; the last call."""
        ...

    def fault(self, error: BaseException) -> None:
        """A bug, for the log."""
        ...

    def note(self, event: str, **facts: str) -> None:
        """One line for the log; facts are never personal."""
        ...
