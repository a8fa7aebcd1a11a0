"""What follows a text within a conversation, and after how long: the families of `parameters.FAMILIES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quietwire.lab.people.dice import Dice
from quietwire.lab.people.parameters import Family, Parameters

AGAIN: Final = 0.3
"""Probability that who spoke speaks next. Chosen."""
PATIENCE: Final = 43_200.0
"""Seconds after which nothing is an answer any more."""
AT_ONCE: Final = 0.8
"""``queue``: share of texts that are the most urgent thing there is. Chosen; Barabási's model has one near 1."""

Follows = tuple[float, bool]
"""(seconds, whether the same person speaks)."""
Course = Callable[[], list[Follows]]
"""One conversation: asked after each text, says what follows it."""


def course(dice: Dice, parameters: Parameters) -> Course:
    """A new conversation, whose first text is about to be."""
    return _FAMILIES[parameters.family](dice, parameters)


def _hawkes(dice: Dice, parameters: Parameters) -> Course:
    """Each text causes a Poisson number of others. With 1-1/talk of them in the mean there are `talk` in all."""
    children = 1.0 - 1.0 / parameters.talk
    scale = parameters.answer / (2.0 ** (1.0 / parameters.tail) - 1.0)

    def after() -> list[Follows]:
        delays = (dice.lomax(parameters.tail, scale) for _ in range(dice.poisson(children)))
        return [(delay, dice.chance(AGAIN)) for delay in delays if delay < PATIENCE]

    return after


def _sessions(dice: Dice, parameters: Parameters) -> Course:
    """A geometric number of texts at a steady rate."""
    left = dice.geometric(parameters.talk) - 1
    mean = parameters.answer / 0.693

    def after() -> list[Follows]:
        nonlocal left
        left -= 1
        return [(dice.exponential(mean), dice.chance(AGAIN))] if left >= 0 else []

    return after


def _queue(dice: Dice, parameters: Parameters) -> Course:
    """Answers come at once or wait for their turn. The number of texts has a heavy tail, as trains of bursts have
    (M. Karsai, K. Kaski, A.-L. Barabási, J. Kertész, "Universal features of correlated bursty behaviour", Scientific
    Reports 2, 2012)."""
    left = int(dice.lomax(2.0, parameters.talk - 0.5))

    def after() -> list[Follows]:
        nonlocal left
        left -= 1
        if left < 0:
            return []
        if dice.chance(AT_ONCE):
            delay = dice.lognormal(parameters.answer * 0.8, 0.8)
        else:
            delay = dice.reciprocal(parameters.answer, PATIENCE)
        return [(delay, dice.chance(AGAIN))]

    return after


def _poisson(dice: Dice, parameters: Parameters) -> Course:
    """Nothing follows anything."""
    return list


_FAMILIES: Final[dict[Family, Callable[[Dice, Parameters], Course]]] = {
    "hawkes": _hawkes,
    "sessions": _sessions,
    "queue": _queue,
    "poisson": _poisson,
}


def size(parameters: Parameters) -> float:
    """Texts of a conversation, mean."""
    return 1.0 if parameters.family == "poisson" else parameters.talk
