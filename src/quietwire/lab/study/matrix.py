"""Figures in rows and columns: who asks what, of which system. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from quietwire.lab.figures import ADVERSARIES, Adversary, Figure

SHARES = ("share", "balanced accuracy", "accuracy", "precision", "recall")
"""Units that are shares of one, and are told in per cent."""
AREAS = ("area under ROC", "AUC")
"""Told as they are, from 0.5 to 1."""
CLOCK = "clock alone"
"""What somebody learns who sees only when a link began and ended, in `detail`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question of one adversary, with the figure of each system that has one. `at`: where on a curve they are."""

    adversary: Adversary
    question: str
    over: str
    at: float | None
    cells: dict[str, Figure]

    @property
    def title(self) -> str:
        return self.question if self.at is None else f"{self.question}, {self.over} {self.at:g}"


@dataclass(frozen=True, slots=True)
class Curve:
    """What one system tells as `over` grows: points in its order."""

    system: str
    points: tuple[Figure, ...]


def size(figure: Figure) -> float:
    """How many could have been the right one; simulations say it in `users`."""
    return figure.detail.get("users", 0.0)


def strongest(found: Iterable[Figure]) -> Figure:
    """Of several attacks on the same question: what the best of them learned, among as many as there were."""
    figures = list(found)
    most = max(map(size, figures))
    there = [figure for figure in figures if size(figure) == most]
    return max(there, key=lambda figure: abs(figure.value - figure.chance))


def rows(figures: Iterable[Figure], messages: float = 50.0) -> list[Row]:
    """Each question once. Of a curve the point at `messages`, or the nearest to it that all who have it share."""
    grouped: defaultdict[tuple[Adversary, str, str], defaultdict[str, list[Figure]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for figure in figures:
        grouped[figure.adversary, figure.question, figure.over][figure.system].append(figure)
    found = []
    for (adversary, question, over), systems in grouped.items():
        at = _point(systems.values(), messages) if over else None
        cells = {}
        for system, several in systems.items():
            there = [figure for figure in several if not over or figure.at == at]
            if there:
                cells[system] = strongest(there)
        found.append(Row(adversary, question, over, at, cells))
    return sorted(found, key=lambda row: (ADVERSARIES.index(row.adversary), row.question))


def _point(systems: Iterable[Sequence[Figure]], wanted: float) -> float:
    places = [{figure.at for figure in several if figure.at is not None} for several in systems]
    common = set.intersection(*places) or set.union(*places)
    return min(common, key=lambda at: (abs(at - wanted), at))


def systems(found: Iterable[Row]) -> list[str]:
    """The columns: ours first, from the least protected; then others, as they are named."""
    order = ("off", "padded", "jitter", "steady")

    def place(name: str) -> tuple[bool, int, str]:
        profile = max((number for number, each in enumerate(order) if each in name), default=-1)
        return not name.startswith("quietwire"), profile, name

    return sorted({system for row in found for system in row.cells}, key=place)


def curves(figures: Iterable[Figure]) -> dict[tuple[Adversary, str, str], list[Curve]]:
    """(adversary, question, what varies) -> a curve for each system, of the strongest attack at each point."""
    grouped: defaultdict[tuple[Adversary, str, str], defaultdict[str, defaultdict[float, list[Figure]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for figure in figures:
        if figure.over and figure.at is not None:
            grouped[figure.adversary, figure.question, figure.over][figure.system][figure.at].append(figure)
    found = {}
    for key, of in grouped.items():
        lines = [
            Curve(system, tuple(strongest(points[at]) for at in sorted(points)))
            for system, points in sorted(of.items())
            if len(points) > 1
        ]
        if lines:
            found[key] = lines
    return found


SIZES: Sequence[float] = (5.0, 50.0)
"""Messages after which it is shown how much a large server helps."""


def by_size(figures: Iterable[Figure], messages: Sequence[float] = SIZES) -> list[Figure]:
    """Points over the number of users, made of those that differ in it: how large must a server be?"""
    chosen: defaultdict[tuple[Adversary, str, str, float], list[Figure]] = defaultdict(list)
    for figure in figures:
        if figure.at in messages and "users" in figure.detail:
            chosen[
                figure.adversary, f"{figure.question}, after {figure.at:g} messages", figure.system, size(figure)
            ].append(figure)
    return [
        replace(strongest(several), question=question, over="users of the server", at=users)
        for (_, question, _, users), several in chosen.items()
    ]


def by_cost(
    figures: Iterable[Figure], question: str = "what happened, what is declared left out"
) -> dict[tuple[Adversary, str, str], list[Curve]]:
    """What each system gives away over what it costs: a point each."""
    price = "KB a second"
    found = [
        Curve(figure.system, (replace(figure, over=price, at=figure.detail[price]),))
        for figure in figures
        if figure.question == question and price in figure.detail
    ]
    adversaries = {point.adversary for line in found for point in line.points}
    return {(adversary, question, price): found for adversary in adversaries} if len(found) > 1 else {}


def changed(system: str) -> tuple[str, str]:
    """(what was played, how its links were changed afterwards), "" if they were not."""
    base, _, how = system.partition(" with ")
    return base, how


def kinds(figures: Iterable[Figure], question: str = "what happened") -> dict[str, dict[str, tuple[float, float]]]:
    """Kind of event -> system -> (how often it is called by its name, how often a call of that name is right at the
    rate at which it happens)."""
    found: defaultdict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for figure in figures:
        if figure.question == question:
            for name, value in figure.detail.items():
                if name.startswith("recall "):
                    kind = name.removeprefix("recall ")
                    found[kind][figure.system] = value, figure.detail.get(f"precision {kind}", 0.0)
    return dict(sorted(found.items()))


def prices(figures: Iterable[Figure]) -> dict[str, dict[str, float]]:
    """System -> what it costs, by name: see `PRICES`. What was measured goes before what was simulated."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for figure in sorted(figures, key=lambda each: each.simulated):
        for name in PRICES:
            if name in figure.detail:
                found[figure.system].setdefault(name, figure.detail[name])
    return dict(found)


PRICES = ("KB a second", "more bytes", "p50", "p95", "p50 each hop", "p95 each hop")


def number(figure: Figure, value: float) -> str:
    """A value in the figure's unit."""
    if figure.unit in SHARES:
        return _share(value)
    if figure.unit in AREAS:
        return f"{value:.2f}"
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"


def _share(value: float) -> str:
    return f"{value * 100:.2g} %" if 0 < value < 0.1 else f"{value * 100:.0f} %"


def told(figure: Figure) -> str:
    """A cell: the figure, its interval, what a blind guess and the clock alone get, and how common that is which is
    looked for. `~` marks what was simulated."""
    mark = "~" if figure.simulated else ""
    low, high = number(figure, figure.low), number(figure, figure.high)
    unit = "" if figure.unit in (*SHARES, *AREAS) else f" {figure.unit}"
    parts = [f"{low} to {high}", f"blind {number(figure, figure.chance)}"]
    if CLOCK in figure.detail:
        parts.append(f"clock alone {number(figure, figure.detail[CLOCK])}")
    if figure.base_rate and abs(figure.base_rate - figure.chance) > 1e-9:
        parts.append(f"base rate {_share(figure.base_rate)}")
    text = f"{mark}{number(figure, figure.value)}{unit} ({'; '.join(parts)})"
    return text + (f", worst tenth {number(figure, figure.worst)}" if figure.worst is not None else "")


def learned(figure: Figure) -> float:
    """From 0, what a blind guess or the clock alone knows, to 1, all there is; for colours only. Errors count the other
    way round, and bits against those of the whole."""
    known = max(figure.chance, figure.detail.get(CLOCK, 0.0))
    if figure.unit in (*SHARES, *AREAS):
        return min(1.0, max(0.0, (figure.value - known) / max(1.0 - known, 1e-9)))
    if figure.unit == "bits":
        return min(1.0, max(0.0, figure.value / max(figure.detail.get("bits of a length", 1.0), 1e-9)))
    return min(1.0, max(0.0, 1.0 - figure.value / figure.chance)) if figure.chance else 0.0
