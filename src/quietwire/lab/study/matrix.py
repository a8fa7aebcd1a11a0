"""Figures in rows and columns: who asks what, of which system. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quietwire.lab.figures import ADVERSARIES, Adversary, Figure

SHARES = ("share", "balanced accuracy", "accuracy", "precision", "recall")
"""Units that are shares of one, and are told in per cent."""
AREA = "area under ROC"


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


def number(figure: Figure, value: float) -> str:
    """A value in the figure's unit."""
    if figure.unit in SHARES:
        return f"{value * 100:.2g} %" if 0 < value < 0.1 else f"{value * 100:.0f} %"
    if figure.unit == AREA:
        return f"{value:.2f}"
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.0f}"


def told(figure: Figure) -> str:
    """A cell: the figure, its interval, and what a blind guess gets. `~` marks what was simulated."""
    mark = "~" if figure.simulated else ""
    low, high = number(figure, figure.low), number(figure, figure.high)
    unit = "" if figure.unit in SHARES or figure.unit == AREA else f" {figure.unit}"
    text = f"{mark}{number(figure, figure.value)}{unit} ({low} to {high}; blind {number(figure, figure.chance)})"
    return text + (f", worst tenth {number(figure, figure.worst)}" if figure.worst is not None else "")


def learned(figure: Figure) -> float:
    """From 0, what a blind guess knows, to 1, all there is; for colours only. Errors count the other way round, and
    bits against those of the whole."""
    if figure.unit in SHARES or figure.unit == AREA:
        return min(1.0, max(0.0, (figure.value - figure.chance) / max(1.0 - figure.chance, 1e-9)))
    if figure.unit == "bits":
        return min(1.0, max(0.0, figure.value / max(figure.detail.get("bits of a length", 1.0), 1e-9)))
    return min(1.0, max(0.0, 1.0 - figure.value / figure.chance)) if figure.chance else 0.0
