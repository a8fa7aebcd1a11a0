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

from quietwire.lab.correlation.talk import KINDS
from quietwire.shaping.policy import SLOT

QUANTILES = 41
"""As many support points as keep a tail of one in forty."""
NEAR = 0.1
"""Seconds after what a client has written in which its record is looked for."""
EARLY = 0.002
"""Seconds that a record may be after what was made of it: two processes read one clock."""
MANY = 60
"""Cells of a link from which its lateness is taken."""
TRIM = 0.01
SLOWEST = 0.25
"""Seconds of a passage at most. What took longer was kept for somebody who was away."""
ANSWER = 2.0
"""Seconds within which a receipt comes."""
GROWTH = 600
"""Bytes that a server adds at most: addresses, stanza-id, delay."""
FEWEST = 20
"""Pairs from which a distribution is made; with fewer that of the default stays."""
OVERHEAD = 17
"""Bytes of a record without padding beside its plaintext: type and tag (RFC 8446 §5.2)."""


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
    def of(cls, values: Sequence[float] | NDArray[np.float64], trim: float = 0.0) -> Quantiles:
        """`trim`: share given up at each end, where pairs are that are none."""
        return cls(tuple(round(float(q), 6) for q in np.quantile(values, np.linspace(trim, 1 - trim, QUANTILES))))

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
    """Bytes on the sender's link where both ends of `steady` links are ours: deflated, in envelopes of the smallest
    class, for one device on either side. What is longer is larger by its class (`gathered.larger`)."""
    brought: Mapping[str, Quantiles] = field(default_factory=dict)
    """Bytes by which those are larger on the recipient's."""

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
                each(data["brought"]),
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
    delivered: dict[tuple[int, int], list[tuple[float, float]]] = field(default_factory=dict)
    """(recipient, sender) -> when its client had a text, and when its record passed."""


def measure(
    flows: Iterable[Flow], truth: Iterable[Mapping[str, Any]], made: str, base: Timings | None = None
) -> Timings:
    """Passage, receipts and sizes of a run without shaping. `truth`: lines of truth.jsonl; what has the same kind and
    `id` is one stanza, `up` where it was written, `down` where it was read; carbon copies are left out. What is seen
    in fewer than `FEWEST` pairs is taken from `base`, as are lateness and CPU; `made` then says so."""
    base = base or default()
    ways = {flow.link: (_way(flow, 1), _way(flow, -1)) for flow in flows}
    stanzas: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for line in truth:
        if line.get("id") and not line.get("carbon") and line["kind"] in KINDS and line["link"] in ways:
            stanzas.setdefault((line["kind"], line["id"]), {}).setdefault(line["way"], line)
    found = _Found()
    for (kind, _), ends in sorted(stanzas.items(), key=lambda item: min(float(e["at"]) for e in item[1].values())):
        if "up" in ends:
            _pair(found, kind, ends["up"], ends.get("down"), ways)
    kept = []

    def known(values: list[float], name: str, fallback: Quantiles) -> Quantiles:
        if len(values) >= FEWEST:
            return Quantiles.of(values, TRIM)
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


def of_runs(runs: Sequence[Path], steady: Sequence[Path], made: str) -> Timings:
    """Of folders of the range: those without shaping, and those whose links to clients are steady. Raises OSError,
    ValueError, KeyError, and TraceError for what is none."""
    from quietwire.lab.flows import flows

    links, truth = [], []
    for number, run in enumerate(runs):
        for path in sorted((run / "traces").glob("server-network.*.jsonl")):
            links += [replace(flow, link=f"{number} {flow.link}") for flow in flows(path)]
        for text in (run / "truth.jsonl").read_text("utf-8").splitlines():
            line = json.loads(text)
            identity = f"{number} {line['id']}" if line.get("id") else ""
            truth.append({**line, "link": f"{number} {line['link']}", "id": identity})
    cells = []
    for run in steady:
        for path in sorted((run / "traces").glob("server-network.*.jsonl")):
            for flow in flows(path):
                times, sizes = _way(flow, -1)
                size, counts = np.unique(sizes, return_counts=True)
                if len(counts) and counts.max() >= MANY:
                    cells.append(times[sizes == size[counts.argmax()]])
    found = measure(links, truth, made)
    return replace(found, late=lateness(cells, SLOT)) if cells else found


Way = tuple[NDArray[np.float64], NDArray[np.int32]]


def _way(flow: Flow, way: int) -> Way:
    chosen = flow.ways == way
    return flow.times[chosen], flow.sizes[chosen]


def _pair(
    found: _Found,
    kind: str,
    written: Mapping[str, Any],
    read: Mapping[str, Any] | None,
    ways: Mapping[str, tuple[Way, Way]],
) -> None:
    """The record of what was written is the largest that follows at once: acknowledgements come along. That of what
    was read is the last before it that is larger by what a server adds."""
    times, sizes = ways[written["link"]][0]
    begin, end = np.searchsorted(times, [written["at"] - EARLY, written["at"] + NEAR])
    if begin == end:
        return
    # A text may follow its typing notice so closely that only the first record is the notice.
    best = begin + (int(np.argmax(sizes[begin : min(end, begin + 3)])) if kind != "typing" else 0)
    sent, size = float(times[best]), int(sizes[best])
    found.up.setdefault(kind, []).append(size - OVERHEAD)
    if kind == "receipt":
        texts = found.delivered.get((int(written["user"]), int(written["peer"])), [])
        while texts:
            had, passed = texts.pop(0)
            if 0 <= written["at"] - had < ANSWER and sent > passed:
                found.answer.append(sent - passed)
                break
    if read is None:
        return
    times, sizes = ways[read["link"]][1]
    begin, end = np.searchsorted(times, [sent - EARLY, read["at"] + EARLY])
    grown = sizes[begin:end].astype(np.int64) - size
    fits = np.flatnonzero((grown > 0) & (grown <= GROWTH))
    if not len(fits) or read["at"] - sent > SLOWEST:
        return
    place = begin + int(fits[-1])
    found.grown.setdefault(kind, []).append(float(grown[fits[-1]]))
    if kind == "message":
        found.passage.append(max(0.0, float(times[place]) - sent))
        found.delivered.setdefault((int(read["user"]), int(read["peer"])), []).append(
            (float(read["at"]), float(times[place]))
        )


def lateness(times: Iterable[NDArray[np.float64]], slot: float) -> Quantiles:
    """How late cells are against the earliest place of their own link, in slots of `slot` seconds. Times by link."""
    late = []
    for each in times:
        phase = each % slot
        # The earliest place on the circle: after the widest gap.
        ring = np.sort(phase)
        gaps = np.diff(ring, append=ring[0] + slot)
        start = ring[(int(np.argmax(gaps)) + 1) % len(ring)]
        late.append((phase - start) % slot)
    return Quantiles.of(np.concatenate(late))
