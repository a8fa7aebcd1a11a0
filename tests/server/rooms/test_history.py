from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Message
from quietwire.core.xml import parse
from quietwire.server.rooms.history import MAX_BYTES, History, Wanted, delay, stamp

ROOM = parse_jid("den@conference.a.example")


def a_history(count: int, length: int = 10, size: int = 0) -> History:
    """Messages 0, 1, … at the seconds 0, 1, …"""
    history = History(length)
    for n in range(count):
        history.add(n, Message({}, b"x" * size, ()), None, str(n))
    return history


def chosen(history: History, now: float = 100.0, **wanted: float) -> list[str]:
    return [line.id for line in history.select(Wanted(**wanted), now)]  # type: ignore[arg-type]


def test_the_last_ones_in_their_order() -> None:
    assert chosen(a_history(12)) == [str(n) for n in range(2, 12)]
    assert chosen(a_history(12, length=0)) == []


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"stanzas": 2}, ["3", "4"]),
        ({"stanzas": 0}, []),
        ({"chars": 0}, []),
        ({"chars": 600}, ["3", "4"]),
        ({"seconds": 97}, ["3", "4"]),
        ({"since": 4}, ["4"]),
        ({"since": 4, "stanzas": 5}, ["4"]),
        ({"seconds": 97, "stanzas": 1}, ["4"]),
    ],
)
def test_the_least_that_meets_every_wish(wanted: dict[str, float], ids: list[str]) -> None:
    assert chosen(a_history(5), **wanted) == ids


def test_memory_is_bounded() -> None:
    history = a_history(100, length=100, size=MAX_BYTES // 10)
    assert 0 < len(history) < 10
    assert chosen(history)[-1] == "99"


def test_what_is_taken_back_is_gone() -> None:
    history = a_history(3)
    history.remove("1")
    history.remove("no such")
    assert chosen(history) == ["0", "2"]
    assert history.find("1") is None
    history.resize(1)
    assert [line.id for line in history] == ["2"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<history maxchars='0'/>", Wanted(chars=0)),
        ("<history maxstanzas='20' seconds='180'/>", Wanted(stanzas=20, seconds=180)),
        ("<history since='1970-01-01T00:01:00Z'/>", Wanted(since=60.0)),
        ("<history since='1970-01-01T00:01:00'/>", Wanted(since=60.0)),
        ("<history since='yesterday' maxchars='-1' seconds='x' maxstanzas='99999999999'/>", Wanted()),
        ("<history/>", Wanted()),
    ],
)
def test_wishes(text: str, wanted: Wanted) -> None:
    assert Wanted.parse(parse(text.encode(), ns.CLIENT)) == wanted


def test_nothing_is_wished() -> None:
    assert Wanted.parse(None) == Wanted()


def test_the_time_is_the_rooms() -> None:
    assert stamp(60) == "1970-01-01T00:01:00Z"
    assert delay(ROOM, 60) == (
        b"<delay xmlns='urn:xmpp:delay' from='den@conference.a.example' stamp='1970-01-01T00:01:00Z'/>"
    )
