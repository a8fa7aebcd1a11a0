from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quietwire.seal.sizes import SMALL, rounded, size_class, small_class


@given(st.integers(1, 1 << 40))
def test_a_class_holds_its_size_at_little_cost_and_is_its_own(size: int) -> None:
    there = size_class(size)
    assert size <= there <= size * 1.12 + 1
    assert size_class(there) == there


def test_few_classes_and_a_smallest_one() -> None:
    assert len({size_class(size) for size in range(1 << 20, 2 << 20, 101)}) <= 33
    assert size_class(5, 100) == size_class(100, 100) == 100 < size_class(101, 100)


@given(st.integers(0, 1 << 20))
def test_contents_of_rows(size: int) -> None:
    there = small_class(size)
    assert there >= size
    assert there in SMALL or (size > SMALL[-1] and there == size_class(size))


def test_counts() -> None:
    assert [rounded(count) for count in (0, 1, 2, 3, 4, 5, 8, 9, 1_000)] == [0, 1, 2, 4, 4, 8, 8, 16, 1_024]
