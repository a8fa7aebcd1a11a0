"""Which client, from start-ups of real ones (`quietwire.lab.startups`): by all that a watcher sees, and by that
alone which a server's shaping can touch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from quietwire.lab import figures
from quietwire.lab.attacks import clients
from quietwire.lab.attacks.windows import Happened, Place
from quietwire.lab.figures import Figure
from quietwire.lab.flows import Flow
from quietwire.lab.startups import Start

OF_THE_SERVER: Final = "which client somebody uses, by what the server sends"
"""Since TLS is up: what is before that is the handshake's, and no profile's."""


def system(start: Start) -> str:
    """As a scenario's label has it."""
    if start.server != "off":
        return f"{start.system}-server-{start.server}"
    return start.system + ("-off" if start.system == "quietwire" else "")


def of_the_server(start: Start) -> Flow:
    """What the server sends after the client's first encrypted record, which ends the handshake of TLS 1.3."""
    flow = start.flow
    app = np.array([type == "app" for type in start.types])
    ends = np.flatnonzero(app & (flow.ways > 0))
    kept = np.arange(len(flow)) > (ends[0] if len(ends) else len(flow))
    kept &= flow.ways < 0
    return Flow(flow.link, flow.times[kept], flow.sizes[kept], flow.ways[kept])


def places(starts: Iterable[Start], seen: Callable[[Start], Flow] = lambda start: start.flow) -> list[Place]:
    """A start is what is held out: its connections stay together."""
    numbers: dict[str, int] = {}
    none = Happened.of([])
    return [
        Place(seen(start), none, numbers.setdefault(start.flow.link, len(numbers)), start.client) for start in starts
    ]


def measure(
    starts: Sequence[Start], *, seeds: Sequence[int] = figures.SEEDS, say: Callable[[str], None] = lambda text: None
) -> list[Figure]:
    """Figures of each system in both views. What there is too little of is said and left out."""
    found: list[Figure] = []
    for name in sorted({system(start) for start in starts}):
        of_system = [start for start in starts if system(start) == name]
        count = len({start.flow.link for start in of_system})
        for question, seen in ((clients.QUESTION, None), (OF_THE_SERVER, of_the_server)):
            say(f"{name}: {question}")
            try:
                windows = clients.collect(places(of_system, seen) if seen is not None else places(of_system))
                found += clients.as_figures(
                    clients.recognise(windows, seeds), name, simulated=False, note=f"{count} starts", question=question
                )
            except ValueError as error:
                say(f"{name}: {question}: left out: {error}")
    return found
