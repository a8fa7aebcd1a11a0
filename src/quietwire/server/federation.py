"""The way to other servers: a route for each pair of domains (`s2s_remote.py`), made on demand; questions about keys of
dialback; and the streams that others have opened, where ours may go back on them (XEP-0288)."""

from __future__ import annotations

from collections.abc import Callable

from quietwire.core.later import Ticket
from quietwire.core.stanza import Presence, Stanza
from quietwire.server.links import Link
from quietwire.server.s2s import Common, Dial
from quietwire.server.s2s_out import OutgoingServerStream
from quietwire.server.s2s_remote import Remote
from quietwire.server.s2s_traffic import Traffic
from quietwire.server.s2s_verify import Verification, condition_of

ROUTES = 1_000
"""Dialled or connected at once. A client that invents domains costs a dial each; what exceeds it is bounced."""
SHARE = 250
"""Of these, for one sender, an account or a room, and never ready so far: who invents domains, or is spoken to from
invented ones, uses up what is theirs. The largest rooms have people of some hundred domains."""
VERIFICATIONS = 100
"""Dialback keys that are being asked about at once: each is a connection of ours that a stranger caused."""


class Federation:
    """`send` is what `Server.federate` takes. Implements `s2s_in.Outward` and `s2s_remote.Way`.

    `returned` gets the error answers for local senders.
    """

    def __init__(self, common: Common, dial: Dial, returned: Callable[[Stanza], None]) -> None:
        self.common = common
        self.dial = dial
        self.closed = False
        self._returned = returned
        self._remotes: dict[tuple[str, str], Remote] = {}
        self._carried: dict[int, set[Remote]] = {}
        """By the identity of a peer's stream: who sends on it."""
        self._verifying = 0
        self.links: set[OutgoingServerStream | Verification] = set()
        """Streams whose connection is not gone yet."""

    @property
    def streams(self) -> int:
        """Connections that are not yet gone."""
        return len(self.links)

    @property
    def routes(self) -> int:
        """Pairs of domains with a stream, a dial or a queue."""
        return len(self._remotes)

    # -- stanzas ------------------------------------------------------------------------------------------------------

    def send(self, stanza: Stanza) -> Ticket:
        """Sends to the domain of `stanza.to`. The ticket settles when the stanza is confirmed, or was answered with an
        error; presence that cannot be delivered is dropped, answers are never answered (RFC 6120 §8.3.1)."""
        to, from_ = stanza.to, stanza.from_
        assert to is not None
        assert from_ is not None
        remote = self._remotes.get((from_.domain, to.domain))
        if remote is None:
            if self.closed:
                return Ticket()  # never acknowledged: the sender's client will send it again
            found = self._route(from_.domain, to.domain, from_.bare.text)
            if isinstance(found, str):
                return self.bounce(stanza, found)
            remote = found
        return remote.send(stanza)

    def _route(self, ours: str, theirs: str, sender: str = "") -> Remote | str:
        """A new one, or the condition of the error. `sender`: the bare JID that it is for, '' where they came to us."""
        if not self.common.policy.admits(theirs):
            return "not-allowed"
        if len(self._remotes) >= ROUTES or (sender and self._hopes(sender) >= SHARE):
            return "resource-constraint"
        remote = self._remotes[ours, theirs] = Remote(self, ours, theirs, sender)
        return remote

    def _hopes(self, sender: str) -> int:
        """Routes for that sender that have not worked."""
        return sum(1 for remote in self._remotes.values() if remote.sender == sender and not remote.worked)

    def bounce(self, stanza: Stanza, condition: str) -> Ticket:
        """Refuses at once."""
        ticket = Ticket()
        self.refuse(stanza, condition)
        ticket.settle()
        return ticket

    def refuse(self, stanza: Stanza, condition: str) -> None:
        """Tells the sender, where a sender is told."""
        if stanza.type not in ("error", "result") and not isinstance(stanza, Presence):
            self._returned(stanza.error(condition))

    def opened(self, stream: OutgoingServerStream) -> None:
        self.links.add(stream)

    def gone(self, stream: OutgoingServerStream) -> None:
        self.links.discard(stream)

    def forget(self, remote: Remote) -> None:
        if self._remotes.get((remote.ours, remote.theirs)) is remote:
            del self._remotes[remote.ours, remote.theirs]

    def close(self) -> None:
        """Closes all streams in order; what they did not take is not acknowledged."""
        self.closed = True
        remotes = list(self._remotes.values())
        self._remotes.clear()
        for remote in remotes:
            remote.drop()
        for stream in list(self.links):
            stream.close()

    # -- s2s_in.Outward -----------------------------------------------------------------------------------------------

    def adopt(self, traffic: Traffic, theirs: str, ours: str) -> None:
        if self.closed:
            return
        remote = self._remotes.get((ours, theirs))
        if remote is None:
            found = self._route(ours, theirs)
            if isinstance(found, str):
                return
            remote = found
        remote.adopt(traffic)
        self._carried.setdefault(id(traffic), set()).add(remote)

    def parted(self, traffic: Traffic, *, resumable: bool) -> None:
        carried = self._carried.get(id(traffic), set())
        if not resumable:
            self._carried.pop(id(traffic), None)
        for remote in list(carried):
            if remote.carried_by(traffic):
                remote.parted(resumable=resumable)

    def returned(self, traffic: Traffic) -> None:
        for remote in list(self._carried.get(id(traffic), ())):
            if remote.carried_by(traffic):
                remote.returned()

    def verify(
        self, ours: str, theirs: str, stream_id: str, key: str, answered: Callable[[str], None]
    ) -> Callable[[], None]:
        wanted = True

        def done(outcome: str) -> None:
            nonlocal wanted
            self._verifying -= 1
            if wanted:
                wanted = False
                answered(outcome)

        def connected(link: Link) -> Verification:
            gone = self.links.discard
            stream = Verification(
                link, ours, theirs, self.common, stream_id=stream_id, key=key, answered=done, gone=gone
            )
            self.links.add(stream)
            return stream

        def cancel() -> None:
            nonlocal wanted
            wanted = False

        if self.closed or self._verifying >= VERIFICATIONS:
            answered("resource-constraint")
            return cancel
        self._verifying += 1
        self.dial(ours, theirs, connected, lambda failure: done(condition_of(failure)))
        return cancel
