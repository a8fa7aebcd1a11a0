"""Occupants of other servers who went without a word."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from den import MUC, OPEN, ROOM, Den, jid, said

from quietwire.core import ns
from quietwire.core.stanza import Iq
from quietwire.server.rooms import ghosts
from quietwire.server.router import ANSWER_SECONDS

EVE = "eve@b.example/x"


def a_den() -> Den:
    den = Den()
    den.make(**OPEN)
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", EVE)
    den.quiet()
    return den


def later(den: Den) -> list[str]:
    """An hour passes; the pings."""
    for _ in range(60):
        den.pass_time(60)
    return den.take_remote()


def test_somebody_silent_is_asked_and_stays() -> None:
    den = a_den()
    [ping] = later(den)
    assert ping.startswith(f"<iq from='{ROOM}' to='{EVE}' type='get' id='")
    id = ping.partition(" id='")[2].partition("'")[0]
    den.receive(f"<iq type='result' id='{id}' to='{ROOM}'/>", EVE)
    den.pass_time(ANSWER_SECONDS)
    assert said(den.guest("alice")) == []
    assert later(den) != []


def test_who_speaks_is_not_asked() -> None:
    den = a_den()
    den.pass_time(1_800)
    den.receive(f"<message type='groupchat' to='{ROOM}'><body>hello</body></message>", EVE)
    den.take_remote()
    for _ in range(45):
        den.pass_time(60)
    assert den.take_remote() == []


def test_no_answer_is_an_answer() -> None:
    den = a_den()
    later(den)
    den.pass_time(ANSWER_SECONDS)
    assert said(den.guest("alice")) == [f"eve gone none/none jid={EVE} 333"]


@pytest.mark.parametrize(("condition", "stays"), [("item-not-found", False), ("service-unavailable", True)])
def test_errors(condition: str, stays: bool) -> None:
    den = a_den()
    id = later(den)[0].partition(" id='")[2].partition("'")[0]
    error = f"<error type='cancel'><{condition} xmlns='{ns.STANZAS}'/></error>"
    den.receive(f"<iq type='error' id='{id}' to='{ROOM}'>{error}</iq>", EVE)
    assert (jid(EVE) in den.room.occupants.by_jid) is stays


def test_who_left_meanwhile() -> None:
    den = a_den()
    later(den)
    den.receive(f"<presence type='unavailable' to='{ROOM}/eve'/>", EVE)
    den.pass_time(ANSWER_SECONDS)
    assert said(den.guest("alice")) == [f"eve gone none/none jid={EVE}"]


def test_so_many_at_once() -> None:
    den = Den()
    den.make(**OPEN)
    for n in range(ghosts.AT_ONCE + 5):
        den.receive(f"<presence to='{ROOM}/n{n}'><x xmlns='{MUC}'/></presence>", f"u{n}@b.example/x")
    den.quiet()
    den.rooms.now += ghosts.SILENCE
    ghosts.look(den.rooms)
    assert len(den.take_remote()) == ghosts.AT_ONCE
    ghosts.look(den.rooms)
    assert len(den.take_remote()) == 5


def test_who_is_known_to_be_gone_is_out_at_once() -> None:
    den = a_den()
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", "eve@b.example/y")
    den.quiet()

    def gone(iq: Iq, answered: Callable[[Iq | None], None]) -> None:
        reply = iq.error("remote-server-not-found")
        assert isinstance(reply, Iq)
        answered(reply)

    den.rooms.services.ask = gone
    later(den)
    assert [occupant.nick for occupant in den.room.occupants] == ["al"]


def test_who_could_not_be_asked_stays() -> None:
    den = a_den()
    den.rooms.services.ask = lambda iq, answered: answered(None)
    later(den)
    assert jid(EVE) in den.room.occupants.by_jid
