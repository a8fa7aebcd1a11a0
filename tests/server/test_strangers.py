"""How fast strangers' requests come, and which of them are kept."""

from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Presence
from quietwire.server import strangers as module
from quietwire.server.roster import MAX_PENDING, Contact, Roster
from quietwire.server.strangers import (
    DOMAIN_BURST,
    DOMAIN_PENDING,
    DOMAIN_RATE,
    DOMAIN_WAITING,
    MAX_KNOWN,
    OWN_BURST,
    OWN_RATE,
    Strangers,
    room_for,
)
from quietwire.server.timers import Timers

ALICE = parse_jid("alice@a.example")


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.timers = Timers(lambda: self.now)
        self.strangers = Strangers(self.timers)
        self.got: list[str] = []

    def come(self, sender: str, type: str = "subscribe") -> None:
        presence = Presence.make(to=ALICE, from_=parse_jid(sender), type=type)
        if type == "subscribe":
            self.strangers.come(presence, self.deliver)
        elif not self.strangers.follow(presence, self.deliver):
            self.deliver(presence)

    def deliver(self, presence: Presence) -> None:
        assert presence.from_ is not None
        self.got.append(f"{presence.from_.local} {presence.type}")

    def take(self) -> list[str]:
        taken, self.got = self.got, []
        return taken

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while (at := self.timers.next_at()) is not None and at <= until:
            self.now = at
            self.timers.fire(at)
        self.now = until

    def flood(self, domain: str = "b.example", count: int = int(DOMAIN_BURST)) -> None:
        for number in range(count):
            self.come(f"u{number}@{domain}")


def test_a_burst_passes_and_the_rest_waits_its_turn() -> None:
    world = World()
    world.flood()
    assert len(world.take()) == DOMAIN_BURST
    world.come("x@b.example")
    world.come("y@b.example")
    assert world.take() == []
    world.pass_time(1 / DOMAIN_RATE)
    assert world.take() == ["x subscribe"]
    world.pass_time(1 / DOMAIN_RATE)
    assert world.take() == ["y subscribe"]
    world.pass_time(DOMAIN_BURST / DOMAIN_RATE)
    world.flood()
    assert len(world.take()) == DOMAIN_BURST, "a quiet domain may ask at once again"


def test_another_domain_does_not_wait() -> None:
    world = World()
    world.flood()
    world.come("x@b.example")
    world.take()
    world.come("z@c.example")
    assert world.take() == ["z subscribe"]


def test_what_follows_a_request_that_waits_does_not_overtake_it() -> None:
    world = World()
    world.flood()
    world.take()
    world.come("x@b.example")
    world.come("x@b.example", "unsubscribe")
    world.come("y@b.example", "unsubscribe")
    assert world.take() == ["y unsubscribe"]
    world.pass_time(2 / DOMAIN_RATE)
    assert world.take() == ["x subscribe", "x unsubscribe"]


def test_a_flood_waits_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.flood(count=int(DOMAIN_BURST) + DOMAIN_WAITING + 50)
    world.take()
    world.pass_time(1e5)
    assert len(world.take()) == DOMAIN_WAITING
    monkeypatch.setattr(module, "WAITING", 3)
    world = World()
    world.flood("b.example", int(DOMAIN_BURST) + 2)
    world.flood("c.example", int(DOMAIN_BURST) + 2)
    world.take()
    world.pass_time(1e5)
    assert len(world.take()) == 3


def test_what_is_dropped_because_others_wait_makes_nobody_wait_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 1)
    world = World()
    world.flood("b.example", int(DOMAIN_BURST) + 1)
    world.flood("c.example", int(DOMAIN_BURST) + 500)
    world.pass_time(1.01 / DOMAIN_RATE)
    world.take()
    world.come("x@c.example")
    assert world.take() == ["x subscribe"]


def test_only_some_domains_are_remembered_and_those_that_wait_among_them() -> None:
    world = World()
    world.flood()
    world.come("x@b.example")
    for number in range(MAX_KNOWN + 5):
        world.come(f"u@d{number}.example")
    world.take()
    world.pass_time(1 / DOMAIN_RATE)
    assert world.take() == ["x subscribe"]


def test_a_local_account_is_told_when_it_asks_too_many() -> None:
    world = World()
    for _ in range(int(OWN_BURST)):
        world.strangers.asked(ALICE)
    for _ in range(3):
        with pytest.raises(StanzaError) as refused:
            world.strangers.asked(ALICE)
        assert refused.value.condition == "resource-constraint"
    world.strangers.asked(parse_jid("bob@a.example"))
    world.now += 1 / OWN_RATE
    world.strangers.asked(ALICE)
    for number in range(MAX_KNOWN + 5):
        world.strangers.asked(parse_jid(f"u{number}@a.example"))


def pending(*addresses: str) -> list[Contact]:
    return [Contact(parse_jid(text), pending_in=b"<presence/>", listed=False) for text in addresses]


def test_a_domain_that_has_its_share_loses_its_oldest() -> None:
    roster = Roster(pending("z@c.example", *(f"u{i}@b.example" for i in range(DOMAIN_PENDING))))
    leaving = room_for(roster, parse_jid("new@b.example"), "a.example")
    assert leaving is not None
    assert leaving.jid.text == "u0@b.example"
    assert room_for(roster, parse_jid("new@c.example"), "a.example") is None


def test_the_own_domain_has_no_share() -> None:
    roster = Roster(pending(*(f"u{i}@a.example" for i in range(DOMAIN_PENDING + 1))))
    assert room_for(roster, parse_jid("new@a.example"), "a.example") is None


def test_where_there_is_no_room_the_domain_with_most_loses_its_oldest() -> None:
    one_each = [f"u@d{i}.example" for i in range(MAX_PENDING - 2)]
    roster = Roster([*pending(*one_each, "x@e.example", "y@e.example"), Contact(parse_jid("listed@e.example"))])
    leaving = room_for(roster, parse_jid("new@f.example"), "a.example")
    assert leaving is not None
    assert leaving.jid.text == "x@e.example"
