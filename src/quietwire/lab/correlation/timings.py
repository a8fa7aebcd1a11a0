"""Measured latencies and sizes that the simulation is fed from, as quantiles.

`measure` makes them of flows and truth of one run of the range. `default()` reads those that are shipped:
`timings.json` says in `made` how they came about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

QUANTILES = 41
"""As many support points as keep a tail of one in forty."""
NEAR = 0.25
"""Seconds after an event in which its record is looked for."""
EARLY = 0.005
"""Seconds that a record may be before its event: two processes read one clock."""
FEWEST = 20
"""Pairs from which a distribution is made; with fewer that of the default stays."""
ANSWER = 5.0
"""Seconds within which a receipt comes."""


class Flow(Protocol):
    """`lab.flows.Flow`."""

    @property
    def link(self) -> str: ...
    @property
    def times(self) -> NDArray[np.float64]: ...
    @property
    def sizes(self) -> NDArray[np.int32]: ...
    @property
    def ways(self) -> NDArray[np.int8]: ...


@dataclass(frozen=True)
class Quantiles:
    """An empirical distribution: its equidistant quantiles, from smallest to largest."""

    points: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Quantiles:
        return cls(tuple(round(float(q), 6) for q in np.quantile(values, np.linspace(0, 1, QUANTILES))))

    def draw(self, rng: np.random.Generator, number: int) -> NDArray[np.float64]:
        return np.interp(rng.random(number), np.linspace(0, 1, len(self.points)), self.points)

    @property
    def median(self) -> float:
        return float(np.interp(0.5, np.linspace(0, 1, len(self.points)), self.points))


@dataclass(frozen=True)
class Timings:
    """Seconds and bytes of plaintext in a record. Kinds as in `talk.KINDS`."""

    made: str
    passage: Quantiles
    """From a message's record on the sender's link to its record on the recipient's, at an idle server, unshaped."""
    answer: Quantiles
    """From a message's record on the recipient's link to the receipt's on the same, unshaped."""
    late: Quantiles
    """By which a slot's first cell is later than its slot: the event loop's wakes."""
    service: float
    """CPU of one stanza in the server's one thread: what others wait for."""
    write: float
    """CPU of writing one cell."""
    up: Mapping[str, Quantiles] = field(default_factory=dict)
    """Bytes that an event of this kind is on its sender's link."""
    grown: Mapping[str, Quantiles] = field(default_factory=dict)
    """Bytes by which it is larger on the recipient's."""
    shrunk: Mapping[str, Quantiles] = field(default_factory=dict)
    """Bytes on `steady` links whose both ends are ours: deflated, receipt and marker in one."""

    def as_json(self) -> str:
        data = asdict(self)
        return json.dumps(data, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Timings:
        """Raises ValueError for what is none."""
        try:
            data = json.loads(text)

            def one(item: Mapping[str, Any]) -> Quantiles:
                return Quantiles(tuple(map(float, item["points"])))

            def each(items: Mapping[str, Any]) -> dict[str, Quantiles]:
                return {kind: one(item) for kind, item in items.items()}

            return cls(
                str(data["made"]),
                one(data["passage"]),
                one(data["answer"]),
                one(data["late"]),
                float(data["service"]),
                float(data["write"]),
                each(data["up"]),
                each(data["grown"]),
                each(data["shrunk"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no timings: {error}") from None


def read(path: Path) -> Timings:
    """Raises OSError, ValueError."""
    return Timings.from_json(path.read_text("utf-8"))


def default() -> Timings:
    return Timings.from_json(files(__package__).joinpath("timings.json").read_text("utf-8"))


@dataclass
class _Found:
    passage: list[float] = field(default_factory=list)
    answer: list[float] = field(default_factory=list)
    up: dict[str, list[float]] = field(default_factory=dict)
    grown: dict[str, list[float]] = field(default_factory=dict)


def measure(
    flows: Iterable[Flow], truth: Iterable[Mapping[str, Any]], made: str, base: Timings | None = None
) -> Timings:
    """Passage, receipts and sizes of a run without shaping. `truth`: lines of truth.jsonl. What is seen in fewer than
    `FEWEST` pairs is taken from `base`, as are lateness and CPU; `made` then says so."""
    base = base or default()
    ways = {flow.link: (_way(flow, 1), _way(flow, -1)) for flow in flows}
    events: dict[tuple[str, int, int, float], dict[str, str]] = {}
    for line in truth:
        key = (line["kind"], int(line["user"]), int(line["peer"]), round(float(line["at"]), 3))
        events.setdefault(key, {}).setdefault(line["way"], line["link"])
    found = _Found()
    for (kind, _, _, at), ends in sorted(events.items(), key=lambda item: item[0][3]):
        if "up" in ends and ends["up"] in ways:
            _pair(found, kind, at, ways[ends["up"]][0], ways.get(ends.get("down", "")))
    kept = []

    def known(values: list[float], name: str, fallback: Quantiles) -> Quantiles:
        if len(values) >= FEWEST:
            return Quantiles.of(values)
        kept.append(name)
        return fallback

    result = replace(
        base,
        passage=known(found.passage, "passage", base.passage),
        answer=known(found.answer, "answer", base.answer),
        up={kind: known(found.up.get(kind, []), f"up {kind}", q) for kind, q in base.up.items()},
        grown={kind: known(found.grown.get(kind, []), f"grown {kind}", q) for kind, q in base.grown.items()},
    )
    return replace(result, made=made + (f"; as before: {', '.join(kept)}" if kept else ""))


Way = tuple[NDArray[np.float64], NDArray[np.int32]]


def _way(flow: Flow, way: int) -> Way:
    chosen = flow.ways == way
    return flow.times[chosen], flow.sizes[chosen]


def _first(way: Way, at: float, within: float) -> tuple[float, int] | None:
    """The largest record in the time after `at`: an acknowledgement may come along."""
    times, sizes = way
    begin, end = np.searchsorted(times, [at - EARLY, at + within])
    if begin == end:
        return None
    best = begin + int(np.argmax(sizes[begin:end]))
    return float(times[best]), int(sizes[best])


def _pair(found: _Found, kind: str, at: float, up: Way, down: tuple[Way, Way] | None) -> None:
    sent = _first(up, at, NEAR)
    if sent is None:
        return
    found.up.setdefault(kind, []).append(sent[1] - 17)
    came = _first(down[1], sent[0], NEAR) if down is not None else None
    if down is None or came is None:
        return
    found.grown.setdefault(kind, []).append(came[1] - sent[1])
    if kind != "message":
        return
    found.passage.append(max(0.0, came[0] - sent[0]))
    times, _ = down[0]
    after = int(np.searchsorted(times, came[0]))
    if after < len(times) and times[after] - came[0] <= ANSWER:
        found.answer.append(float(times[after] - came[0]))


def lateness(times: NDArray[np.float64], slot: float) -> Quantiles:
    """How late the cells of one steady link are against its own earliest, in slots of `slot` seconds."""
    phase = times % slot
    # The earliest place on the circle: after the widest gap.
    ring = np.sort(phase)
    gaps = np.diff(ring, append=ring[0] + slot)
    start = ring[(int(np.argmax(gaps)) + 1) % len(ring)]
    return Quantiles.of((phase - start) % slot)
