from __future__ import annotations

import pytest

from quietwire.server import s2s_policy
from quietwire.server.s2s_policy import Peers, Policy
from quietwire.shaping.bucket import Rates


@pytest.mark.parametrize(
    ("allow", "refuse", "domain", "admitted"),
    [
        ((), (), "a.example", True),
        (("a.example",), (), "a.example", True),
        (("a.example",), (), "rooms.a.example", False),
        (("*.a.example",), (), "rooms.a.example", True),
        (("*.a.example",), (), "x.rooms.a.example", True),
        (("*.a.example",), (), "a.example", False),
        (("*.a.example",), (), "nota.example", False),
        ((), ("a.example",), "a.example", False),
        ((), ("a.example",), "rooms.a.example", True),
        (("a.example",), ("*",), "a.example", False),
        (("*",), ("*.a.example",), "b.a.example", False),
        (("*",), ("*.a.example",), "b.example", True),
    ],
)
def test_whom_to_talk_to(allow: tuple[str, ...], refuse: tuple[str, ...], domain: str, admitted: bool) -> None:
    assert Policy(allow=allow, refuse=refuse).admits(domain) is admitted


def peers(policy: Policy, salt: bytes = b"salt") -> Peers:
    return Peers(policy, lambda: 0.0, salt)


def test_connections_of_one_domain_are_counted() -> None:
    known = peers(Policy(connections_per_domain=2))
    first, second = known.enter("a.example"), known.enter("a.example")
    assert first is second
    assert known.enter("a.example") is None
    assert known.enter("b.example") is not None
    assert first is not None
    first.streams -= 1
    assert known.enter("a.example") is first


def test_a_domain_that_reconnects_has_spent_what_it_has_spent() -> None:
    known = peers(Policy(rates=Rates(bytes=100.0, burst_seconds=1.0)))
    first = known.enter("a.example")
    assert first is not None
    assert first.meter is not None
    assert first.meter.spend(200, 1) == 1.0
    first.streams -= 1
    again = known.enter("a.example")
    assert again is not None
    assert again.meter is not None
    assert again.meter.spend(0, 0) == 1.0
    other = known.enter("b.example")
    assert other is not None
    assert other.meter is not None
    assert other.meter.spend(0, 0) == 0.0


def test_no_rate_costs_nothing() -> None:
    peer = peers(Policy(rates=Rates())).enter("a.example")
    assert peer is not None
    assert peer.meter is None


def test_what_is_remembered_is_bounded_and_those_with_streams_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s2s_policy, "REMEMBERED", 3)
    known = peers(Policy())
    kept = known.enter("kept.example")
    for number in range(10):
        peer = known.enter(f"d{number}.example")
        assert peer is not None
        peer.streams -= 1
    assert known.enter("kept.example") is kept
    assert len(known._known) == 3


def test_tags_match_within_one_run_and_tell_nothing_of_another() -> None:
    one, other = peers(Policy()), peers(Policy(), b"pepper")
    assert one.tag("a.example") == one.tag("a.example")
    assert len({one.tag("a.example"), one.tag("b.example"), other.tag("a.example"), "a.example"}) == 4
    assert peers(Policy(name_domains=True)).tag("a.example") == "a.example"
