from __future__ import annotations

import math

import numpy as np
import pytest

from quietwire.lab.attacks import bits


def test_entropy_of_a_fair_die() -> None:
    assert bits.entropy(np.full(8, 100_000.0)) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_nearest_neighbours_give_what_a_gaussian_channel_holds(noise: float) -> None:
    """1/2 log2 (1 + signal / noise), within a tenth or two hundredths of a bit."""
    generator = np.random.default_rng(1)
    secret = np.round(1000 * generator.normal(size=3000))
    seen = secret + 1000 * noise * generator.normal(size=3000)
    expected = 0.5 * math.log2(1 + 1 / noise**2)
    assert bits.about(seen[:, None], secret, 1) == pytest.approx(expected, rel=0.1, abs=0.03)


def test_nothing_is_found_where_there_is_nothing() -> None:
    generator = np.random.default_rng(2)
    assert bits.about(generator.normal(size=(1000, 6)), generator.integers(0, 90, 1000).astype(float), 1) < 0.05
    assert bits.about(np.empty((100, 0)), np.zeros(100), 1) == 0.0


@pytest.mark.parametrize("model", [bits.Tree(), bits.Lookup(0, 2.0), bits.Near(0, 60)], ids=["tree", "lookup", "near"])
def test_no_model_saves_more_bits_than_there_are_and_all_save_most(model: bits.Tree | bits.Lookup | bits.Near) -> None:
    generator = np.random.default_rng(3)

    def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
        secret = generator.integers(0, 64, count).astype(float)
        return (secret // 8)[:, None] * 100, secret

    seen, secret = samples(2000)
    model.fit(seen, secret, 1)
    bins = bits.Bins(np.arange(8, 64, 8) - 0.5)
    unseen, truth = samples(2000)
    chances = model.chances(unseen, bins)
    assert chances.sum(1) == pytest.approx(1.0)
    saved = bits.saved(chances, bins(truth), bins.count).mean()
    assert 2.6 < saved < 3.05  # log2 8


@pytest.mark.parametrize("model", [bits.Tree(), bits.Lookup(0, 0.3), bits.Near(0, 60)], ids=["tree", "lookup", "near"])
def test_what_was_learned_of_noise_costs_bits(model: bits.Tree | bits.Lookup | bits.Near) -> None:
    generator = np.random.default_rng(4)
    seen, secret = generator.normal(size=(900, 1)), generator.integers(0, 64, 900).astype(float)
    bins = bits.Bins(bits.edges(secret, 8))
    model.fit(seen[:600], secret[:600], 1)
    assert bits.saved(model.chances(seen[600:], bins), bins(secret[600:]), bins.count).mean() < 0.02


def test_the_median_follows_what_is_seen() -> None:
    seen = np.repeat([0.0, 1.0], 300)[:, None]
    secret = np.repeat([10.0, 90.0], 300)
    model = bits.Tree()
    model.fit(seen, secret, 1)
    assert model.median(np.array([[0.0], [1.0]])) == pytest.approx([10, 90], abs=1)


def test_edges_of_repeated_values_are_fewer() -> None:
    assert bits.Bins(bits.edges(np.full(50, 3.0), 8)).count <= 2


@pytest.mark.parametrize("encoded", ["plain", "base64"])
def test_a_sum_with_something_that_comes_in_few_sizes_tells_what_it_does_in_closed_form(encoded: str) -> None:
    """Uniform lengths, and remainders of three sizes: H(sum) - H(remainder)."""
    generator = np.random.default_rng(6)
    rests, shares = (300, 320, 360), (0.6, 0.2, 0.2)

    def long(length: int) -> int:
        return 4 * math.ceil(length / 3) if encoded == "base64" else length

    def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
        secret = generator.integers(1, 65, count)
        rest = generator.choice(rests, count, p=shares)
        return (rest + np.array([long(one) for one in secret]))[:, None].astype(float), secret.astype(float)

    sums: dict[int, float] = {}
    for length in range(1, 65):
        for rest, share in zip(rests, shares, strict=True):
            sums[rest + long(length)] = sums.get(rest + long(length), 0.0) + share / 64
    expected = -sum(p * math.log2(p) for p in [*sums.values()]) + sum(p * math.log2(p) for p in shares)
    model = bits.Sum(0, encoded)
    model.fit(*samples(600), 1)
    bins = bits.Bins(np.arange(1, 64) + 0.5)
    seen, truth = samples(3000)
    saved = bits.saved(model.chances(seen, bins), bins(truth), bins.count).mean()
    assert 0.9 * expected < saved < expected + 0.05
    assert np.abs(model.median(seen) - truth).mean() < 12
