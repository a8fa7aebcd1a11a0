"""Elements of stream management where they come out of turn; the rest is in `tests/scenarios/sm_*.play`."""

from __future__ import annotations

import pytest

from quietwire.testing.playbook import Playbook, closed, nothing

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
