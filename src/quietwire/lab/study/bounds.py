"""What a profile promises at most, as numbers: a study that measures more fails. Pure, but for reading the file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from quietwire.lab.figures import Figure
from quietwire.lab.study.matrix import number

FILE = Path(__file__).with_name("bounds.toml")


@dataclass(frozen=True, slots=True)
class Bound:
    """The `system` (a shell pattern) shall give away at most `most` of the `question`, or, where `least` is given, no
    less: an attack that no longer finds what is there protects nobody. `at`: of a curve, the points up to there.
    `why`: what is promised, in a sentence."""

    question: str
    system: str
    why: str
    small: bool = False
    """The small study looks after it as well."""
    beyond: str = ""
    """`most` is counted from what this detail of the figure says, or from chance where that is more; from the upper end
    of its interval, where there is one."""
    most: float | None = None
    least: float | None = None
    at: float | None = None

    def concerns(self, figure: Figure) -> bool:
        return (
            figure.question == self.question
            and fnmatchcase(figure.system, self.system)
            and (self.at is None or (figure.at is not None and figure.at <= self.at))
        )

    def broken(self, figure: Figure) -> bool:
        """The whole interval is on the wrong side: more than bad luck."""
        limit = self.limit(figure)
        return figure.low > limit if self.least is None else figure.high < limit

    def limit(self, figure: Figure) -> float:
        if self.least is not None:
            return self.least
        assert self.most is not None
        known = figure.detail.get(f"{self.beyond}, high", figure.detail.get(self.beyond, 0.0))
        return self.most + (max(figure.chance, known) if self.beyond else 0.0)


def read(path: Path = FILE) -> list[Bound]:
    """Raises ValueError for a file that is no list of bounds."""
    try:
        return [Bound(**each) for each in tomllib.loads(path.read_text(encoding="utf-8"))["bound"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: {error}") from None


def violations(figures: Sequence[Figure], bounds: Iterable[Bound]) -> tuple[list[str], list[str]]:
    """(what is broken, what was not measured): one line each."""
    broken, missing = [], []
    for bound in bounds:
        mine = [figure for figure in figures if bound.concerns(figure)]
        if not mine:
            missing.append(f"{bound.question}, {bound.system}: not measured ({bound.why})")
        for figure in mine:
            if bound.broken(figure):
                sign, limit = ">" if bound.least is None else "<", bound.limit(figure)
                low, high = number(figure, figure.low), number(figure, figure.high)
                broken.append(
                    f"{figure.question}, {figure.system}: {number(figure, figure.value)} (interval {low} to {high})"
                    f" {sign} {number(figure, limit)}: {bound.why}"
                )
    return broken, missing
