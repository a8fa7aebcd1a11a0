"""What outlives a connection."""

from __future__ import annotations

from quietwire.core.jid import parse_jid
from quietwire.server.account import Account, Session
from quietwire.server.bound import Bound
from quietwire.server.roster import Roster
from quietwire.server.sm import Incoming, Outgoing
from quietwire.server.timers import Timers
from quietwire.testing.links import FakeLink


def test_acknowledgements_go_where_the_client_is() -> None:
    link = FakeLink()
    jid = parse_jid("alice@a.example/phone")
    outgoing = Outgoing(link, lambda entry: None, lambda: None)
    session = Session(jid, Account(jid.bare, Roster()), outgoing)
    bound = Bound(session, outgoing, Incoming(Timers(lambda: 0.0), lambda h: None))
    bound.acknowledge(3)
    assert link.take() == "<a xmlns='urn:xmpp:sm:3' h='3'/>"
    outgoing.detach()
    bound.acknowledge(4)
    assert link.take() == ""
