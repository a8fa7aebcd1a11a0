"""A server's way to others, with the connections in the test's hands."""

from __future__ import annotations

from collections.abc import Callable

from s2s_world import Surroundings

from quietwire.core.jid import JID
from quietwire.core.later import Ticket
from quietwire.core.stanza import Message, Stanza
from quietwire.server.federation import Federation
from quietwire.server.links import Link, Stream
from quietwire.server.s2s import Failure
from quietwire.server.s2s_policy import Policy
from quietwire.testing.links import FakeLink

HEADER = (
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'"
    " from='b.example' to='a.example' id='x'>"
)
EXTERNAL = (
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    "</mechanisms></stream:features>"
)
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
CLOSING = "</stream:stream>"
REFUSED = Failure("remote-server-not-found", "refused")
NO_DOMAIN = Failure("remote-server-not-found", "no-such-domain", permanent=True)


class Dialled:
    """One call of the port."""

    def __init__(
        self, ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> None:
        self.ours = ours
        self.domain = domain
        self.failed = failed
        self.cancelled = False
        self._accept = accept

    def connects(self, *names: str) -> FakeLink:
        """The connection is there, TLS up; the peer has said nothing."""
        link = FakeLink(secure=True, peer_domains=names or (self.domain,))
        link.stream = self._accept(link)
        return link

    def answers(self) -> FakeLink:
        """The connection is there and negotiated."""
        link = self.connects()
        link.says(HEADER + EXTERNAL)
        link.says(SUCCESS)
        link.take()
        link.says(HEADER + "<stream:features/>")
        return link


class World(Surroundings):
    """a.example's federation; its dials, and what it returned to local senders."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__("a.example", policy)
        self.common.randomness = lambda size: b"\xff" * size
        self.dials: list[Dialled] = []
        self.back: list[str] = []
        self.federation = Federation(
            self.common, self._dial, lambda stanza: self.back.append(stanza.to_bytes().decode())
        )

    def _dial(
        self, ours: str, domain: str, accept: Callable[[Link], Stream], failed: Callable[[Failure], None]
    ) -> Callable[[], None]:
        dialled = Dialled(ours, domain, accept, failed)
        self.dials.append(dialled)

        def cancel() -> None:
            dialled.cancelled = True

        return cancel

    def send(
        self, id: str = "1", to: str = "bob@b.example", kind: type[Stanza] = Message, type: str = "",
        from_: str = "alice@a.example/x",
    ) -> Ticket:  # fmt: skip
        stanza = kind.make(to=JID.parse(to), from_=JID.parse(from_), id=id, type=type)
        return self.federation.send(stanza)

    def conditions(self) -> list[str]:
        """The conditions of all errors that were returned since the last call."""
        taken, self.back = self.back, []
        return [answer.partition("type='error'")[2].split("<")[2].split(" ")[0] for answer in taken]


def message(id: str) -> str:
    return f"<message from='alice@a.example/x' to='bob@b.example' id='{id}'/>"
