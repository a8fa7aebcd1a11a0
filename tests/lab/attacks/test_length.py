from __future__ import annotations

import math

import attack_worlds as worlds
import numpy as np
import pytest

from quietwire.lab.attacks import length
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import Happened, Place

QUICK = (1, 2)


def texts(seen, users: int = 12, each: int = 120, longest: int = 64):  # type: ignore[no-untyped-def]
    """People whose texts are uniform over 1 to `longest` characters; `seen(length, generator)` is the record's size."""

    def message(generator):  # type: ignore[no-untyped-def]
        size = 1 + int(generator.integers(longest))
        return size, [(0.0, seen(size, generator), 1), (0.002, 60, -1)]

    return length.collect(worlds.lives(users, each, {"message": message}), Told())


def measured(windows: length.Windows) -> tuple[length.Figure, length.Figure]:
    bits, off = length.as_figures(length.measure(windows, QUICK), "synthetic", simulated=True)
    return bits, off


def test_a_size_that_tells_all_tells_all_of_its_bits() -> None:
    bits, off = measured(texts(lambda size, g: 300 + size))
    assert bits.value == pytest.approx(6.0, rel=0.1)  # log2 64
    assert bits.detail["higher estimate"] == pytest.approx(6.0, rel=0.1)
    assert off.value < 2
    assert off.chance == pytest.approx(16, rel=0.1)


def test_blocks_tell_which_block() -> None:
    """Four blocks, equally common: two bits, and a guess that is off by a quarter of what a blind one is."""
    bits, off = measured(texts(lambda size, g: 512 + 16 * ((size - 1) // 16)))
    assert bits.value == pytest.approx(2.0, rel=0.1)
    assert bits.detail["higher estimate"] == pytest.approx(2.0, rel=0.1)
    assert off.value == pytest.approx(4.0, rel=0.15)


def test_noise_takes_away_what_it_does_in_closed_form() -> None:
    """Uniform lengths plus uniform noise of the same width n: H(seen) - log2 n, with a triangle's entropy."""
    n = 64
    counts = np.convolve(np.ones(n), np.ones(n)) / n / n
    expected = float(-(counts * np.log2(counts)).sum() - math.log2(n))
    bits, _ = measured(texts(lambda size, g: 300 + size + int(g.integers(n)), users=16, each=260))
    assert expected == pytest.approx(0.72, abs=0.01)
    # 10 % either way for the higher one; the lower one loses some more to what it had to learn.
    assert bits.detail["higher estimate"] == pytest.approx(expected, rel=0.1)
    assert 0.8 * expected < bits.value < 1.1 * expected


@pytest.mark.parametrize("merged", [0.0, 0.3])
def test_a_random_delay_hides_no_length_and_what_is_merged_some(merged: float) -> None:
    """Texts follow so fast that delays make one burst of them; some leave in one record with 40 bytes of something
    else. What a sum tells: H(sum) - H(whether it was merged)."""
    jitter = Told(up="jitter", down="jitter", delay=0.3)

    def message(generator):  # type: ignore[no-untyped-def]
        size, more = 1 + int(generator.integers(64)), generator.random() < merged
        at = 0.3 * generator.random()
        alone = [] if more else [(at + 0.02, 40, 1)]
        return size, [(at, 300 + size + 40 * more, 1), *alone, (at + 0.004, 60, -1)]

    windows = length.collect(worlds.lives(12, 150, {"message": message}, gap=0.6), jitter)
    assert len(windows) == 12 * 150
    counts = np.zeros(104)
    counts[:64] += (1 - merged) / 64
    counts[40:] += merged / 64
    whole = -sum(p * math.log2(p) for p in counts if p)
    expected = whole + sum(p * math.log2(p) for p in (merged, 1 - merged) if p)
    bits, _ = length.as_figures(length.measure(windows, (1,)), "synthetic", simulated=True)
    assert bits.value == pytest.approx(expected, rel=0.1)


def test_one_size_tells_nothing() -> None:
    bits, off = measured(texts(lambda size, g: 512))
    assert bits.value < 0.03
    assert bits.detail["higher estimate"] < 0.05
    assert off.value == pytest.approx(off.chance, rel=0.05)


def test_cells_tell_nothing() -> None:
    generator = np.random.default_rng(4)
    places = []
    for user in range(10):
        flow = worlds.cells(generator, f"L{user}", 120)
        times = generator.uniform(flow.times[0], flow.times[-1], 40)
        rows = [(float(at), "message", 1, int(generator.geometric(0.02))) for at in times]
        places.append(Place(flow, Happened.of(rows), user))
    windows = length.collect(places, Told(up="steady", down="steady"))
    bits, off = measured(windows)
    assert bits.value < 0.05
    assert bits.detail["higher estimate"] < 0.1
    assert off.value > 0.9 * off.chance


def test_too_few_texts_are_said() -> None:
    with pytest.raises(ValueError, match="less than"):
        texts(lambda size, g: 300, users=3, each=5)
