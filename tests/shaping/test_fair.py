from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quietwire.shaping.fair import Fair

puts = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), max_size=40)


@given(puts)
def test_nothing_is_lost_and_each_senders_order_is_kept(given_: list[tuple[str, int]]) -> None:
    fair: Fair[tuple[str, int]] = Fair()
    for number, (sender, size) in enumerate(given_):
        fair.push(sender, size, (sender, number))
    assert len(fair) == len(given_)
    assert fair.size == sum(size for _, size in given_)
    got = [fair.pop() for _ in given_]
    assert not fair
    assert fair.size == 0
    for sender in "abc":
        mine = [number for name, number in got if name == sender]
        assert mine == [number for number, (name, _) in enumerate(given_) if name == sender]


@given(puts, st.integers(0, 40))
def test_what_is_drained_is_in_the_order_in_which_it_came(given_: list[tuple[str, int]], popped: int) -> None:
    fair: Fair[int] = Fair()
    for number, (sender, size) in enumerate(given_):
        fair.push(sender, size, number)
    gone = {fair.pop() for _ in range(min(popped, len(given_)))}
    assert fair.drain() == [number for number in range(len(given_)) if number not in gone]
    assert not fair
    assert fair.size == 0


def test_a_flood_stalls_nobody() -> None:
    fair: Fair[str] = Fair()
    for number in range(1_000):
        fair.push("flood", 100, f"flood {number}")
    for _ in range(10):
        fair.pop()
    fair.push("friend", 100, "hello")
    fair.push("friend", 100, "again")
    assert [fair.pop() for _ in range(4)] == ["hello", "flood 10", "again", "flood 11"]


def test_what_counts_is_bytes() -> None:
    fair: Fair[str] = Fair()
    for number in range(3):
        fair.push("large", 1_000, f"large {number}")
        fair.push("small", 500, f"small {number}")
    got = [fair.pop() for _ in range(5)]
    assert got == ["large 0", "small 0", "small 1", "large 1", "small 2"]
