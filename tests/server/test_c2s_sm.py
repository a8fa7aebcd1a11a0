"""Elements of stream management where they come out of turn; the rest is in `tests/scenarios/sm_*.play`."""

from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.later import Ticket
from quietwire.server.c2s_sm import RESUME_SECONDS
from quietwire.testing.playbook import Client, Playbook, closed, nothing

SM = "urn:xmpp:sm:3"
UNEXPECTED = f"<failed xmlns='{SM}'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"


@pytest.mark.parametrize("early", [f"<r xmlns='{SM}'/>", f"<resume xmlns='{SM}' previd='x' h='0'/>"])
def test_out_of_turn(early: str) -> None:
    client = Playbook(accounts=["alice"]).client("alice/phone")
    client >> early
    client << UNEXPECTED
    client << nothing


def test_enabled_twice() -> None:
    client = Playbook(accounts=["alice"]).client("alice/phone")
    client >> f"<enable xmlns='{SM}'/>"
    client << f"<enabled xmlns='{SM}'/>"
    client >> f"<enable xmlns='{SM}'/>"
    client << UNEXPECTED
    client >> f"<r xmlns='{SM}'/>"
    client << f"<a xmlns='{SM}' h='0'/>"


@pytest.mark.parametrize("h", ["", "-1", "x", "٣", "12345678901"])
def test_a_count_that_is_no_number(h: str) -> None:
    client = Playbook(accounts=["alice"]).client("alice/phone")
    client >> f"<enable xmlns='{SM}'/>"
    client.take()
    client >> f"<a xmlns='{SM}' h='{h}'/>"
    client << "<stream:error _='...'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    client << closed


# -- resumption waits until what was handled is safe -----------------------------------------------------------------

AFAR = "<message to='bob@b.example' id='1'><body>hello</body></message>"
RESUMED = f"<resumed xmlns='{SM}' previd='{{id}}' h="


def lost() -> tuple[Playbook, list[Ticket]]:
    """A session whose connection has broken, with a stanza for another server that has not left yet."""
    play, left = Playbook(accounts=["alice"]), list[Ticket]()

    def send(_: object) -> Ticket:
        left.append(Ticket())
        return left[-1]

    play.server.federate(send)
    client = play.client("alice/phone")
    client >> f"<enable xmlns='{SM}' resume='true'/>"
    client << f"<enabled xmlns='{SM}' id='{{id}}' resume='true' max='{{*}}'/>"
    client >> AFAR
    client.cut()
    return play, left


def asks(play: Playbook) -> Client:
    return play.connect().authenticate("alice") >> f"<resume xmlns='{SM}' previd='{play.known['id']}' h='0'/>"


def test_what_is_handled_and_not_yet_safe_is_waited_for() -> None:
    play, left = lost()
    client = asks(play)
    client >> "<message to='alice@a.example/phone' id='2'><body>after</body></message>"
    client << nothing
    left[0].settle()
    client << RESUMED + "'1'/>"
    client << "<message from='alice@a.example/phone' to='alice@a.example/phone' id='2'><body>after</body></message>"
    client << f"<r xmlns='{SM}'/>"
    client >> f"<r xmlns='{SM}'/>"
    client << f"<a xmlns='{SM}' h='2'/>"


def test_the_same_along_with_a_login() -> None:
    play, left = lost()
    client = play.connect().sign_in("alice", f"<resume xmlns='{SM}' previd='{play.known['id']}' h='0'/>")
    client << nothing
    left[0].settle()
    inside = "<authorization-identifier>alice@a.example/phone</authorization-identifier>"
    client << f"<success xmlns='urn:xmpp:sasl:2'>{inside}{RESUMED}'1'/></success>"
    client << "<stream:features xmlns:stream='http://etherx.jabber.org/streams' _='...'/>"


def test_what_never_becomes_safe_is_sent_again_and_counted_once() -> None:
    play, left = lost()
    client = asks(play)
    play.pass_time(RESUME_SECONDS - 1)
    client << nothing
    play.pass_time(1)
    client << RESUMED + "'0'/>"
    client >> AFAR >> f"<r xmlns='{SM}'/>"
    for ticket in left:
        ticket.settle()
    client << f"<a xmlns='{SM}' h='1'/>"
    client << nothing


def test_a_client_that_is_gone_before_the_answer_may_come_again() -> None:
    play, left = lost()
    first = asks(play)
    first.cut()
    second = asks(play)
    left[0].settle()
    second << RESUMED + "'1'/>"
    assert play.server.sessions == 1
    assert play.server.parked == 0


def test_a_session_that_ends_before_the_answer_is_not_resumed() -> None:
    play, left = lost()
    client = asks(play)
    play.server.router.end_sessions(parse_jid("alice@a.example"))
    left[0].settle()
    client << f"<failed xmlns='{SM}' _='...'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"


def test_two_streams_that_ask_for_the_same_session() -> None:
    play, left = lost()
    first, second = asks(play), asks(play)
    left[0].settle()
    play.settle()
    got = [client.take() for client in (first, second)]
    assert sorted(len(each) for each in got) == [1, 3]  # <resumed/>; and on the other's, an error and the end after it
    assert play.server.sessions == 1
    assert play.server.streams == 1
