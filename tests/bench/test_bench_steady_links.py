from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import packets
import pytest
from steady_client import ANSWER, STYLES, Client, One, Orders, deeds
from steady_links import VIEWS, arguments, cast, lateness, policy_of, seen, sides, summary
from wire import Keys

from quietwire.lab.flows import make
from quietwire.shaping.policy import Policy, Profile


def options(*more: str) -> argparse.Namespace:
    return arguments().parse_args(["run", "folder", *more])


def test_half_of_the_links_are_drawn_to_have_a_life() -> None:
    orders = cast(options("-n", "60", "--workers", "4"), 9)
    assert orders == cast(options("-n", "60", "--workers", "4"), 9)
    assert orders != cast(options("-n", "60", "--workers", "4", "--seed", "2"), 9)
    *inside, away = orders
    links = [one for each in inside for one in each.links]
    assert sorted(one.user for one in links) == sorted(f"u{number}" for number in range(60))
    alive = {one.user for one in links if one.style}
    assert len(alive) == 30
    assert {one.style for one in links} == {"", *STYLES}
    assert all(set(one.peers) <= alive - {one.user} and len(one.peers) == 3 for one in links if one.style)
    assert {one.seconds for one in links} == {100.0}
    assert len({len(each.links) for each in inside}) == 1
    assert all(1 < sum(bool(one.style) for one in each.links) < 14 for each in inside), "no process has one kind"
    assert away.outside
    assert {peer for one in away.links for peer in one.peers} == alive


def test_nobody_has_a_life_where_only_chance_is_looked_at() -> None:
    orders = cast(options("-n", "20", "--life", "off"), 9)
    assert not any(one.style or each.outside for each in orders for one in each.links)


def test_server_and_clients_keep_the_same_policy() -> None:
    chosen = policy_of(options())
    assert Policy(Profile.STEADY, **chosen).window == 10.0
    assert (chosen["tick"], chosen["fast_tick"]) == (Policy().tick, Policy().fast_tick)
    assert Policy(Profile.STEADY, **policy_of(options("--default"))).tick == Policy().tick
    orders = cast(options("-n", "10"), 9)[0]
    assert Orders.read(orders.written()) == orders
    assert orders.policy == chosen


def test_lives_differ_and_leave_time_to_write_what_is_long() -> None:
    for style in STYLES.values():
        plan = deeds(style, 60.0, random.Random(1))
        assert plan == deeds(style, 60.0, random.Random(1)) == sorted(plan)
        assert {kind for _, kind in plan} <= set(style)
        assert all(at < 30 for at, kind in plan if kind == "flood")
        assert 5 < len(plan) < 80


class Wire:
    """What a client's transport is given."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@pytest.mark.parametrize("kind", sorted({kind for style in STYLES.values() for kind in style}))
def test_every_deed_is_counted_stanzas_and_asks_to_be_acknowledged(kind: str) -> None:
    orders = Orders(1, 1, {"queue": 4096}, ())
    client = Client(One("u1", 0, 9, "talker", ("u2",)), orders, Keys(b"pw"))
    client.transport = wire = Wire()  # type: ignore[assignment]
    client.do(kind)
    assert wire.data.endswith(b"<r xmlns='urn:xmpp:sm:3'/>")
    ends = wire.data.count(b"</message>") + wire.data.count(b"</iq>")
    assert client.stanzas == ends
    assert client.told == {kind: 1}
    if kind == "flood":
        assert 0.8 * 4096 < len(wire.data) < 4096 + 1200
    with pytest.raises(KeyError):
        client.do("sleep")


def test_a_client_waits_longer_than_a_steady_stream_may_take_to_end() -> None:
    assert 5 + 2 * Policy().tick < ANSWER


def test_every_view_of_a_capture(tmp_path: Path) -> None:
    server = ("127.0.0.1", 5555)
    session = packets.Session(("127.0.0.1", 40_000), server).opens()
    session.says(("127.0.0.1", 40_000), bytes((23, 3, 3, 0, 8)) + bytes(8))
    session.says(server, bytes((23, 3, 3, 0, 9)) + bytes(9))
    file = tmp_path / "x.pcap"
    file.write_bytes(packets.pcap([(at, packets.ethernet(packet)) for at, packet in session.packets]))
    views = seen(file, 5555)
    assert set(views) == set(VIEWS)
    assert [views[view][40_000].sizes.tolist() for view in ("up", "down", "both", "segments")] == [
        [8], [9], [8, 9], [0, 0, 13, 14],
    ]  # fmt: skip
    assert views["both"][40_000].ways.tolist() == [1, -1]
    assert views["down"][40_000].ways.tolist() == [1], "leaks are planted in it"
    assert len(set(views["windows"][40_000].sizes.tolist())) == 1
    assert views["windows"][40_000].sizes[0] > 0


def row(port: int, style: str = "", outside: bool = False, trouble: str = "") -> dict[str, object]:
    return {
        "user": f"u{port}", "port": port, "style": style, "outside": outside, "trouble": trouble, "did": {"text": 2},
        "sent": 5, "acknowledged": 4, "came": 7, "left": 0,
    }  # fmt: skip


def test_sides_are_of_whole_sessions_of_the_inside() -> None:
    flows = {port: make(str(port), [1.0], [1], [1]) for port in range(8)}
    links = [row(0), row(1, "talker"), row(2), row(3, "reader", trouble="lost"), row(4, "flooder", outside=True)]
    left, right = sides({"links": links}, flows, 1)
    assert ([flow.link for flow in left], [flow.link for flow in right]) == (["0", "2"], ["1"])
    told = summary(links)
    assert (told["alive"], told["idle"], told["troubled"], told["did"]) == (2, 2, 1, {"text": 10})
    left, right = sides({"links": [row(port) for port in range(6)]}, flows, 1)
    assert (len(left), len(right)) == (3, 3)


def test_lateness_is_counted_from_slots_of_the_clock() -> None:
    clock = 1_700_000_000.013
    flow = make("L", clock + 0.05 * np.arange(100) + 0.002, [1] * 100, [1] * 100)
    assert lateness([flow], clock)["p50"] == pytest.approx(2.0, abs=0.01)
    assert lateness([], clock) == {}
