from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.shaping.jitter import GARBAGE, Jitter
from quietwire.shaping.policy import Policy, Profile

moments = st.lists(st.floats(0, 10), min_size=1, max_size=30).map(sorted)
chances = st.lists(st.floats(0, 0.999), min_size=30, max_size=30)


def play(policy: Policy, times: list[float], chance: list[float]) -> list[tuple[float, bytes]]:
    """-> (when, what) leaves."""
    left, chances = [], iter(chance)
    jitter = Jitter(policy, lambda: next(chances))
    for number, at in enumerate([*times, 100.0]):
        while (due := jitter.next_at()) is not None and due <= at:
            left.append((due, jitter.tick(due)))
            assert len(left[-1][1]) % (policy.block if policy.pad else 1) == 0
        if number < len(times):
            jitter.parts.append(b"<%d/>" % number)
            before = jitter.waiting()
            jitter.admit(at)
            assert jitter.waiting() == before
    assert jitter.waiting() == 0
    assert jitter.next_at() is None
    return left


@given(moments, chances)
def test_delays_are_bounded_and_order_and_content_kept(times: list[float], chance: list[float]) -> None:
    left = play(Policy(Profile.JITTER, delay=0.3), times, chance)
    assert b"".join(data for _, data in left) == b"".join(b"<%d/>" % number for number in range(len(times)))
    gone: dict[int, float] = {}
    for at, data in left:
        gone.update((int(part.strip(b"</")), at) for part in data.split(b">") if part)
    for number, at in enumerate(times):
        assert at <= gone[number] <= max(times[: number + 1]) + 0.3 + 1e-9


@given(moments, chances)
def test_batches_leave_together_at_multiples(times: list[float], chance: list[float]) -> None:
    left = play(Policy(Profile.JITTER, delay=0.3, batch=0.5), times, chance)
    assert all(abs(at / 0.5 - round(at / 0.5)) < 1e-9 for at, _ in left)


def test_one_write_a_batch() -> None:
    left = play(Policy(Profile.JITTER, delay=0.3, batch=0.5), [0.1, 0.15, 0.3], [0.0, 0.9, 0.1])
    assert left == [(0.5, b"<0/><1/><2/>")]


def test_the_delay_is_the_uniform_number() -> None:
    assert play(Policy(Profile.JITTER, delay=0.4), [1.0], [0.25]) == [(1.1, b"<0/>")]


@given(moments, chances)
def test_what_leaves_is_filled_up_to_whole_blocks(times: list[float], chance: list[float]) -> None:
    left = play(Policy(Profile.JITTER, delay=0.3, batch=0.5, pad=True, block=64), times, chance)
    assert b"".join(data for _, data in left).replace(b" ", b"") == b"".join(b"<%d/>" % n for n in range(len(times)))
    assert all(data for _, data in left)


def rain(policy: Policy, seconds: float, *, clear: bool = True) -> list[tuple[float, bytes]]:
    """What leaves of a link on which nobody says anything."""
    state = 0

    def uniform() -> float:
        nonlocal state
        state = (state * 1_103_515_245 + 12_345) % (1 << 31)
        return state / (1 << 31)

    jitter, left = Jitter(policy, uniform), []
    assert jitter.next_at() is None
    jitter.begin(0.0)
    while (due := jitter.next_at()) is not None and due <= seconds:
        data = jitter.tick(due, clear)
        assert jitter.waiting() == 0  # it is nobody's
        left += [(due, data)] if data else []
    jitter.end()
    return left


def test_garbage_comes_at_random_moments_in_random_sizes() -> None:
    left = rain(Policy(Profile.JITTER, delay=0.0, garbage=2.0), 10_000)
    assert len(left) == pytest.approx(5_000, abs=250)
    sizes = [len(data) for _, data in left]
    assert all(data.isspace() for _, data in left)
    assert (min(sizes), max(sizes)) == GARBAGE
    assert sum(sizes) / len(sizes) == pytest.approx(sum(GARBAGE) / 2, rel=0.05)
    gaps = sorted(b - a for (a, _), (b, _) in pairwise(left))
    assert gaps[len(gaps) // 2] == pytest.approx(2.0 * 0.693, rel=0.08), "exponential"


def test_garbage_is_grouped_and_padded_like_everything_else() -> None:
    left = rain(Policy(Profile.JITTER, delay=0.3, batch=0.5, garbage=0.2, pad=True), 500)
    assert all(abs(at / 0.5 - round(at / 0.5)) < 1e-9 and len(data) % 512 == 0 for at, data in left)
    assert len({at for at, _ in left}) == len(left)


def test_no_garbage_for_who_takes_nothing_and_none_after_the_end() -> None:
    policy = Policy(Profile.JITTER, garbage=1.0)
    assert not rain(policy, 100.0, clear=False)
    jitter = Jitter(policy, lambda: 0.5)
    jitter.begin(3.0)
    assert jitter.next_at() == pytest.approx(3.693, abs=0.001)
    jitter.end()
    assert jitter.next_at() is None


def test_spaces_may_come_before_a_header_so_its_declaration_goes() -> None:
    header = b"<?xml version='1.0'?><stream:stream>"
    for policy, left in (
        (Policy(Profile.JITTER), header),
        (Policy(Profile.JITTER, garbage=9.0), b"<stream:stream>"),
        (Policy(Profile.JITTER, pad=True), b"<stream:stream>"),
    ):
        jitter = Jitter(policy, lambda: 0.5)
        jitter.parts += [header, b"<a/>"]
        assert jitter.rest() == left + b"<a/>"
        jitter.parts.append(header)
        jitter.admit(0.0)
        assert jitter.rest() == left
        assert not jitter.waiting()
