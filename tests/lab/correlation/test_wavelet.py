"""The transform is orthonormal, correlations are those of the signals, and weights go to the scales that tell."""

from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.correlation.shapes import Side
from quietwire.lab.correlation.wavelet import BLOCK, SCALES, Wavelet, bins, haar, scale_of, signals


def test_haar_keeps_inner_products() -> None:
    rng = np.random.default_rng(1)
    one, two = (rng.normal(size=(3, 4, BLOCK)).astype(np.float32) for _ in range(2))
    assert (haar(one) * haar(two)).sum() == pytest.approx((one * two).sum(), abs=1e-3)
    assert haar(np.ones((1, BLOCK), np.float32))[0, -1] == pytest.approx(np.sqrt(BLOCK))
    assert np.bincount(scale_of()).tolist() == [32, 16, 8, 4, 2, 2]


def test_signals_count_records_in_bins_less_the_mean() -> None:
    side = Side(2, np.array([0.15, 0.25, 0.26]), np.array([0, 1, 1], np.int32), np.ones(3, np.int32))
    found = signals(side, BLOCK * 0.1, 0.1)
    assert found.shape == (2, 1, BLOCK)
    assert found[:, 0, 1].tolist() == pytest.approx([1 - 1 / BLOCK, -2 / BLOCK])
    assert found[1, 0, 2] == pytest.approx(2 - 2 / BLOCK)
    assert bins(100.0, 0.5) == 0.125
    assert bins(1e6, 0.01) == pytest.approx(1e6 / 8192)


def test_who_gets_it_correlates_most_and_weights_follow() -> None:
    rng = np.random.default_rng(3)
    seconds, delay = 600.0, 0.3
    at = np.sort(rng.random(80) * seconds * 0.95)
    times = [np.sort(rng.random(120) * seconds) for _ in range(30)]
    times[4] = np.sort(np.concatenate([times[4][:40], at + delay + rng.random(80) * 0.1]))
    every = np.concatenate(times)
    links = np.repeat(np.arange(30), [len(each) for each in times]).astype(np.int32)
    order = np.argsort(every)
    side = Side(30, every[order], links[order], np.ones(len(every), np.int32))
    wavelet = Wavelet(side, seconds, 0.1, delay + np.array([0.02, 0.05, 0.08]))
    found = wavelet.correlations(at, [100.0, seconds])
    assert found.shape == (2, 30, SCALES)
    assert np.abs(found).max() <= 1.001
    assert wavelet.scores(at, [seconds])[0].argmax() == 4
    wavelet.learn(found[1, [4]], np.delete(found[1], 4, axis=0))
    assert wavelet.weights.shape == (SCALES,)
    assert (wavelet.weights > 0).all()
    assert wavelet.scores(at, [seconds])[0].argmax() == 4
