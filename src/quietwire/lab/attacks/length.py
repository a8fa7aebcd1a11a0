"""How long was the message? From what is seen where one is sent: bits about its length, and characters by which a
guess is off, against one that sees nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quietwire.lab import figures
from quietwire.lab.attacks import bits, models
from quietwire.lab.attacks import features as of
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import Place, Windows, carriers, labels, singles, spans
from quietwire.lab.figures import Figure, Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS: Final = (4, 8, 16, 32, 64)
PRIORS: Final = (0.3, 2.0, 12.0)
NEAREST: Final = (7, 20, 60, 200)
MOST: Final = 4000
"""Texts among which neighbours are looked for."""
LOOKED_AT: Final = (
    "bytes up", "bytes down", "largest up", "largest down", "records up", "records down", "size 1", "size 2",
    "blocks up", "first size before", "since the window before", "bytes up before",
)  # fmt: skip
"""Columns that are looked at one by one: what carries a text's length, or how long it took to write."""
SUMS: Final = ("bytes up", "largest up")
"""Columns that are a text and something besides."""
FEWEST: Final = 60


def collect(places: Sequence[Place], told: Told, kinds: Sequence[str] = ("message",), seed: int = 1) -> Windows:
    """The windows of texts that were sent (up). Where a random delay merges bursts, a window is the one record that
    carries a text: with it may be what left at the same time. Raises ValueError if there are too few."""
    generator = np.random.default_rng([seed, 12])
    rows, users, sizes = [], [], []
    for place in places:
        if place.web or not len(place.flow):
            continue
        if told.lag(1) and not told.paced:
            where = singles(place.flow)
            found = [carriers(place.flow, place.happened, told, f"{one} up") for one in kinds]
            wanted, truth = (np.concatenate(columns) for columns in zip(*found, strict=True))
        else:
            where = spans(place.flow, told, generator)
            kind, of_windows = labels(place.flow, where, place.happened, told)
            wanted = np.flatnonzero(np.isin(kind, [f"{one} up" for one in kinds]))
            truth = of_windows[wanted]
        rows.append(of.of_spans(place.flow, where, told, wanted))
        users.append(np.full(len(wanted), place.user))
        sizes.append(place.happened.sizes[truth])
    count = sum(map(len, rows))
    if count < FEWEST:
        raise ValueError(f"{count} texts: less than {FEWEST} say nothing about their lengths")
    none = np.full(count, "")
    return Windows(
        np.concatenate(rows), of.names(), np.full(count, "text"), np.concatenate(users).astype(np.int64), none, none,
        np.ones(count), np.concatenate(sizes).astype(np.int64), 0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Lengths:
    """Under each seed: bits saved and characters off of each text held out, and of a blind guess; a higher estimate of
    the bits from all, and the same estimates with lengths shuffled."""

    bits: tuple[Tally, ...]
    off: tuple[Tally, ...]
    blind: float
    higher: float
    nothing: float
    """What the lower estimate gives where there is nothing: its noise."""
    whole: float
    """Bits in a length, in the finest bins."""
    models: tuple[str, ...]


def measure(windows: Windows, seeds: Sequence[int] = figures.SEEDS) -> Lengths:
    """Trains and chooses (the model and how finely lengths are binned) on some users, measures on others. Raises
    ValueError for less than three users."""
    secret = windows.sizes.astype(np.float64)
    kept, off, blind, names = [], [], [], []
    nothing = 0.0
    for seed in seeds:
        parts = models.split(windows.users, seed)
        held = np.flatnonzero(parts.held_out)
        tried = _trained(windows, secret, parts, seed)
        name, per_row = _bits(windows, secret, parts, tried)
        names.append(name)
        ones = np.ones(len(held))
        kept.append(figures.tally(windows.users[held], np.stack([per_row, ones], 1)))
        wrong = np.abs(_guesses(windows.features, secret, parts, tried) - secret[held])
        off.append(figures.tally(windows.users[held], np.stack([wrong, ones], 1)))
        blind.append(float(np.abs(np.median(secret[parts.train]) - secret[held]).mean()))
        if seed == seeds[0]:
            shuffled = np.random.default_rng([seed, 13]).permutation(secret)
            again = _trained(windows, shuffled, parts, seed)
            nothing = float(_bits(windows, shuffled, parts, again)[1].mean())
    finest = bits.Bins(bits.edges(secret, BINS[-1]))
    whole = bits.entropy(np.bincount(finest(secret)).astype(np.float64))
    most = higher(windows, seeds[0])
    return Lengths(tuple(kept), tuple(off), float(np.mean(blind)), most, nothing, whole, tuple(names))


def _columns(windows: Windows) -> list[int]:
    columns = [windows.names.index(name) for name in LOOKED_AT if name in windows.names]
    return [column for column in columns if np.ptp(windows.features[:, column]) > 0]


def _sums(windows: Windows) -> list[int]:
    """Those that differ, and not from each other only in name."""
    found: list[int] = []
    for column in (windows.names.index(name) for name in SUMS):
        values = windows.features[:, column]
        if np.ptp(values) > 0 and not any(np.array_equal(values, windows.features[:, one]) for one in found):
            found.append(column)
    return found


def _trained(windows: Windows, secret: Floats, parts: models.Split, seed: int) -> list[Any]:
    tried: list[Any] = [bits.Tree()]
    tried += [bits.Lookup(column, prior) for column in _columns(windows) for prior in PRIORS]
    tried += [bits.Near(column, nearest) for column in _columns(windows) for nearest in NEAREST]
    tried += [bits.Sum(column, each) for column in _sums(windows) for each in ("base64", "plain")]
    for model in tried:
        model.fit(windows.features[parts.train], secret[parts.train], seed)
    return tried


def _bits(windows: Windows, secret: Floats, parts: models.Split, tried: Sequence[Any]) -> tuple[str, Floats]:
    """Name, and bits of each text held out, of the model that did best on those who choose."""
    best: tuple[float, str, Any, bits.Bins] | None = None
    for count in BINS:
        bins = bits.Bins(bits.edges(secret[parts.train], count))
        for model in tried:
            chances = model.chances(windows.features[parts.choose], bins)
            reached = float(bits.saved(chances, bins(secret[parts.choose]), bins.count).mean())
            if best is None or reached > best[0]:
                best = reached, f"{model.name}, {bins.count} bins", model, bins
    if best is None:
        raise ValueError("no model of lengths")
    _, name, model, bins = best
    chances = model.chances(windows.features[parts.held_out], bins)
    return name, bits.saved(chances, bins(secret[parts.held_out]), bins.count)


def _guesses(features: Floats, secret: Floats, parts: models.Split, tried: Sequence[Any]) -> Floats:
    """Of those held out, the median length given what is seen, by the model that did best on those who choose; the
    bare median where none did better."""
    bare = float(np.median(secret[parts.train]))
    best, guess = float(np.abs(bare - secret[parts.choose]).mean()), np.full(int(parts.held_out.sum()), bare)
    winner: Any = None
    for model in tried:
        if isinstance(model, bits.Lookup):
            continue
        off = float(np.abs(model.median(features[parts.choose]) - secret[parts.choose]).mean())
        if off < best:
            best, winner = off, model
    return guess if winner is None else np.asarray(winner.median(features[parts.held_out]), np.float64)


def higher(windows: Windows, seed: int) -> float:
    """The most bits that any column shares with lengths."""
    kept = np.random.default_rng(seed).permutation(len(windows))[:MOST]
    return bits.about(windows.features[kept][:, _columns(windows)], windows.sizes[kept].astype(np.float64), seed)


def as_figures(found: Lengths, system: str, *, simulated: bool, note: str = "") -> list[Figure]:
    told = "; ".join(part for part in (note, f"model: {', '.join(sorted(set(found.models)))}") if part)
    value = figures.estimate(found.bits, figures.share)
    off = figures.estimate(found.off, figures.share, more_is_worse=False)
    detail = {
        "higher estimate": found.higher,
        "estimate where there is nothing": found.nothing,
        "bits of a length": found.whole,
    }
    # Below 0 means that the model knew less than nothing: nothing was learned.
    low, high = max(0.0, value.low), max(0.0, value.high)
    return [
        Figure(
            "client-network", "how long a message is", system, max(0.0, value.value), low, high, 0.0, 0.0,
            "bits", simulated, told, None if value.worst is None else max(0.0, value.worst), detail=detail,
        ),
        Figure(
            "client-network", "how long a message is, error of a guess", system, off.value, off.low, off.high,
            found.blind, 0.0, "characters", simulated, told, off.worst,
        ),
    ]  # fmt: skip
