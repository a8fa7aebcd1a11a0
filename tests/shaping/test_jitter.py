from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quietwire.shaping.jitter import Jitter
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
