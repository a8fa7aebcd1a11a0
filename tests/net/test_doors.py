from __future__ import annotations

import pytest

from quietwire.net.doors import Doors, Limits, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", None),
    ],
)
def test_what_connections_are_counted_by(address: str, network: str | None) -> None:
    assert network_of(address) == network


def test_one_network_has_its_share_until_somebody_logs_in_or_leaves() -> None:
    doors = Doors(Limits(strangers=10, per_network=2), 100)
    first, second = doors.enter("2001:db8::1"), doors.enter("2001:db8::2")
    assert first is not None
    assert second is not None
    assert doors.enter("2001:db8::3") is None
    assert doors.enter("2001:db8:0:1::1") is not None
    first.known()
    first.known()
    assert doors.strangers == 2
    assert doors.enter("2001:db8::3") is not None
    assert doors.enter("2001:db8::3") is None
    second.gone()
    assert doors.enter("2001:db8::3") is not None


def test_who_knocks_from_this_machine_shares_the_total_only() -> None:
    doors = Doors(Limits(strangers=5, per_network=1), 100)
    assert all(doors.enter("127.0.0.1") for _ in range(5))
    assert doors.room() == "strangers"
    assert doors.networks == 0


def test_nothing_is_remembered_of_who_has_logged_in() -> None:
    doors = Doors(Limits(), 100)
    visitors = [doors.enter(f"192.0.2.{n}") for n in range(20)]
    assert doors.networks == 20
    for visitor in visitors:
        assert visitor is not None
        visitor.known()
    assert doors.networks == 0
    assert (doors.strangers, doors.open) == (0, 20)


def test_full_doors_open_when_a_tenth_is_free() -> None:
    told = []
    doors = Doors(Limits(strangers=10, per_network=10), 100, lambda: told.append(1))
    visitors = [doors.enter("127.0.0.1") for _ in range(10)]
    assert doors.room() == "strangers"
    for visitor in visitors[:1]:
        assert visitor is not None
        visitor.known()
    assert doors.room() == ""
    assert told == [1]


def test_descriptors_run_out_by_those_who_have_logged_in_too() -> None:
    told = []
    doors = Doors(Limits(), 20, lambda: told.append(1))
    visitors = [doors.enter("127.0.0.1") for _ in range(20)]
    for visitor in visitors:
        assert visitor is not None
        visitor.known()
    assert doors.room() == "descriptors"
    assert visitors[0] is not None
    assert visitors[1] is not None
    visitors[0].gone()
    visitors[0].gone()
    assert doors.room() == "descriptors"
    assert not told
    visitors[1].gone()
    assert doors.room() == ""
    assert told == [1]
    assert doors.open == 18
