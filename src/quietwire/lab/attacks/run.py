"""All attacks on a client's link, on everything that the test bed has of a system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from quietwire.lab import figures
from quietwire.lab.attacks import actions, clients, length, location
from quietwire.lab.attacks.data import Data
from quietwire.lab.figures import Figure

ATTACKS: Final = ("actions", "length", "clients", "location")

Say = Callable[[str], None]


def attack(
    data: Data, which: Sequence[str] = ATTACKS, *, seeds: Sequence[int] = figures.SEEDS, say: Say = lambda text: None
) -> list[Figure]:
    """Figures of one system. What there is too little of is said and left out."""
    found: list[Figure] = []
    for name in which:
        say(f"{data.system}: {name}")
        try:
            found += _ATTACKS[name](data, seeds)
        except ValueError as error:
            say(f"{data.system}: {name}: left out: {error}")
    return found


def _actions(data: Data, seeds: Sequence[int]) -> list[Figure]:
    windows = actions.collect(data.places, data.told, seeds[0])
    clock = actions.clock_alone(windows, seeds)
    found = actions.recognise(windows, seeds)
    result = actions.as_figures(found, data.system, simulated=data.simulated, clock=clock)
    for name, apart in (("client", windows.clients), ("family", windows.families)):
        if len(set(apart.tolist())) > 1:
            unknown = actions.recognise(windows, seeds, apart=apart)
            result += actions.as_figures(unknown, data.system, simulated=data.simulated, held_out=name)
    return result


def _length(data: Data, seeds: Sequence[int]) -> list[Figure]:
    found = length.measure(length.collect(data.places, data.told, seed=seeds[0]), seeds)
    return length.as_figures(found, data.system, simulated=data.simulated)


def _clients(data: Data, seeds: Sequence[int]) -> list[Figure]:
    found = clients.recognise(clients.collect(data.places), seeds)
    return clients.as_figures(found, data.system, simulated=data.simulated)


def _location(data: Data, seeds: Sequence[int]) -> list[Figure]:
    if data.probed:
        return location.as_figures(location.of_probes(data.probed, data.told, seeds), data.system, simulated=False)
    return location.as_figures(location.measure(data.told, seeds), data.system)


_ATTACKS: Final[dict[str, Callable[[Data, Sequence[int]], list[Figure]]]] = {
    "actions": _actions,
    "length": _length,
    "clients": _clients,
    "location": _location,
}
