"""From the runs' results to the table: medians, ratios and the floors that must hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """One kind of run. `measure` is the result's figure; `arguments` are the load generator's."""

    key: str
    title: str
    unit: str
    measure: str
    arguments: tuple[str, ...] = ()
    step: str = ""
    """For the rows of one `idle` run: the session count."""
    floors: tuple[tuple[str, float], ...] = ()
    """(peer, largest allowed ratio ours/peer)."""
    setup: str = "plain"
    """What the servers are started for: "plain", "archive" (everything kept) or "pair" (two of each kind)."""
    without: tuple[str, ...] = ()
    """Servers that do not run it."""
    once: bool = False
    """Run in the first round only: it takes minutes, and weighs what hardly varies."""


FAILED = "failed"
"""The one entry of a result without figures: why a peer did not get through that run."""

SATURATED = (("prosody", 0.5), ("ejabberd", 0.5))
PACED = (("prosody", 0.9), ("ejabberd", 0.9))
MEMORY = (("prosody", 1.0),)
LOGIN = (("prosody", 0.91), ("ejabberd", 0.91))
ROOM = (("prosody", 0.19), ("ejabberd", 0.36))
ARCHIVE = (("prosody", 0.77), ("ejabberd", 0.73))
STORED = (("prosody", 0.064), ("ejabberd", 0.056))
"""From DESIGN §10: ours at most over what the peer needed there: 1.0/1.1 ms a login; 5/27 and 5/14 µs a delivery in a
room; 30/39 and 30/41 µs a message with an archive, against theirs without; 5,000 messages a second against 320 and
281."""


def chat(key: str, title: str, floors: tuple[tuple[str, float], ...], *arguments: str, setup: str = "plain") -> Row:
    without = ("ejabberd",) if setup == "pair" else ()  # two of it are not set up here
    whole = ("chat", *arguments)
    return Row(key, title, "µs CPU a message", "us_per_message", whole, floors=floors, setup=setup, without=without)


def rows(
    sessions: Sequence[int] = (500, 2000), logins: int = 500, storm: int = 2000, many: int = 10000
) -> tuple[Row, ...]:
    """The rows of the table, in the order they are run: memory first, in a process that has done nothing else."""
    idle = ("idle", "--steps", ",".join(map(str, sessions)))
    return (
        *(
            Row(f"idle{n}", f"memory, {n:,} idle sessions", "KB a session", "kb_per_session", idle, str(n), MEMORY)
            for n in sessions
        ),
        Row("login", "login", "ms CPU", "ms_per_login", ("login", "-n", str(logins)), floors=LOGIN),
        chat("lean", "1:1, saturated", SATURATED),
        chat("rich", "1:1 rich, saturated", SATURATED, "--rich"),
        chat("lean500", "1:1 at 500/s", PACED, "--rate", "500"),
        chat("rich500", "1:1 rich at 500/s", PACED, "--rate", "500", "--rich"),
        chat("two", "1:1, two resources an account, saturated", SATURATED, "--resources", "2"),
        Row("room", "room of 100, 5 talk", "µs CPU a delivery", "us_per_delivery", ("room",), floors=ROOM),
        chat("archive", "1:1 archived, saturated", (), setup="archive"),
        Row(
            "stored", "1:1 archived, saturated: time a safe message", "µs", "us_wall_per_acknowledged", ("chat",),
            floors=STORED, setup="archive",
        ),
        chat("archive100", "1:1 archived at 100/s", (), "-n", "20", "--rate", "100", setup="archive"),
        chat("servers", "1:1 between two servers, saturated", (), setup="pair"),
        chat("servers500", "1:1 between two servers at 500/s", (), "--rate", "500", setup="pair"),
        Row(
            "storm", f"login storm, {storm:,} at once", "ms CPU", "ms_per_login",
            ("login", "-n", str(storm), "--together", "500"), setup="storm", once=True,
        ),
        Row(
            "idlemany", f"memory, {many:,} idle sessions", "KB a session", "kb_per_session",
            ("idle", "--steps", str(many)), str(many), MEMORY, setup="many", once=True,
        ),
    )  # fmt: skip


def value(row: Row, result: Mapping[str, object]) -> float:
    """The row's figure in one result of the load generator. KeyError or TypeError when it is not there."""
    found = result[row.measure]
    if row.step:
        assert isinstance(found, Mapping)
        found = found[row.step]
    if not isinstance(found, int | float):
        raise TypeError(f"{row.measure} is not a number")
    return float(found)


@dataclass(frozen=True)
class Verdict:
    """One floor: the ratio of medians ours/peer and whether it is low enough; ratio None where either is missing."""

    row: Row
    peer: str
    floor: float
    ratio: float | None

    @property
    def passed(self) -> bool | None:
        return None if self.ratio is None else self.ratio <= self.floor


@dataclass
class Table:
    """Results by row and server; one figure a round."""

    rows: Sequence[Row]
    servers: Sequence[str]
    results: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]]
    """row key -> server -> one result a round."""

    def median(self, row: Row, server: str) -> float | None:
        """None where the server did not run."""
        found = self._figures(row, server)
        return median(found) if found else None

    def spread(self, row: Row, server: str) -> tuple[float, float] | None:
        """The lowest and highest round."""
        found = self._figures(row, server)
        return (min(found), max(found)) if found else None

    def ratio(self, row: Row, peer: str, ours: str = "quietwire") -> float | None:
        """Ours/peer, the median of the rounds' own ratios: what slowed one round slowed both servers."""
        both = self.results.get(row.key, {})
        rounds = zip(both.get(ours, ()), both.get(peer, ()), strict=False)
        pairs = [(a, b) for a, b in rounds if FAILED not in a and FAILED not in b]
        return median(value(row, a) / value(row, b) for a, b in pairs) if pairs else None

    def _figures(self, row: Row, server: str) -> list[float]:
        found = self.results.get(row.key, {}).get(server, ())
        return [value(row, result) for result in found if FAILED not in result]

    def verdicts(self) -> list[Verdict]:
        return [
            Verdict(row, peer, floor, self.ratio(row, peer))
            for row in self.rows
            for peer, floor in row.floors
            if peer in self.servers
        ]

    def cells(self) -> list[list[str]]:
        """Lines of text cells: the head first, then a line a row: its medians, then its ratios to each peer."""
        peers = [server for server in self.servers if server != "quietwire"]
        with_ratios = peers if "quietwire" in self.servers else []
        head = ["work", "unit", *self.servers, *(f"ours/{peer}" for peer in with_ratios)]
        lines = [head]
        for row in self.rows:
            line = [row.title, row.unit]
            line += [shown(self.median(row, server)) for server in self.servers]
            floors = dict(row.floors)
            for peer in with_ratios:
                ratio = self.ratio(row, peer)
                mark = ""
                if ratio is not None and peer in floors:
                    mark = " ✓" if ratio <= floors[peer] else f" ✗ (floor {floors[peer]})"
                line.append("–" if ratio is None else f"{ratio:.2f}{mark}")
            lines.append(line)
        return lines


def shown(number: float | None) -> str:
    """Three digits are what such a measurement bears."""
    if number is None:
        return "–"
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def markdown(cells: Sequence[Sequence[str]]) -> str:
    head, *body = cells
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def text(cells: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def latencies(table: Table) -> list[list[str]]:
    """For the rows with messages: p50/p99 of delivery and of acknowledgement, medians over the rounds, in ms."""
    lines = [["work", *(f"{server}: message" for server in table.servers), *(f"{s}: ack" for s in table.servers)]]
    for row in table.rows:
        if row.measure not in ("us_per_message", "us_per_delivery"):
            continue
        line = [row.title]
        for what in ("", "ack_"):
            for server in table.servers:
                found = table.results.get(row.key, {}).get(server, ())
                line.append(" / ".join(shown(_median(found, f"{what}{p}_ms")) for p in ("p50", "p99")))
        lines.append(line)
    return lines


def _median(results: Iterable[Mapping[str, object]], name: str) -> float | None:
    found = [number for result in results if isinstance(number := result.get(name), int | float)]
    return median(found) if found else None


def document(table: Table, facts: Mapping[str, str]) -> str:
    """docs/performance.md. `facts`: how and on what it was run, one line each."""
    verdicts = table.verdicts()
    parts = [
        "# Performance",
        "What `make bench` measured; this file is written by it (`--update-docs`). Absolute figures depend on the "
        "machine and on what else it does: only ratios within one run count. CPU is that of the server process with "
        "all its threads, by its CPU clock. Every session uses TLS, SCRAM, carbons (XEP-0280) and stream management "
        "(XEP-0198, an acknowledgement asked for after every tenth stanza). Our acknowledgements wait until what they "
        "acknowledge is delivered or on disk. Nobody keeps an archive here. A message that is lost, doubled or out "
        "of order voids the run.",
        "Prosody runs with its generational collector, ejabberd with one scheduler that does not spin while it waits, "
        "both with limits off. Archives and links to other servers are on in their own rows alone; there all keep "
        "every message of both sides in SQLite that flushes each commit to the disk, and servers talk over direct TLS "
        "with certificates, the two of a kind on one core. Memory is what the process has grown by since its "
        "first 20 sessions; a collector that runs meanwhile makes a session look lighter than it is.",
        "\n".join(f"- {name}: {fact}" for name, fact in facts.items()),
        "## CPU and memory (medians)",
        markdown(table.cells()),
        "A ratio is the median of the rounds' own ratios. ✓ and ✗ mark the floors below. Where the time goes, and "
        "why a floor is missed: [performance-notes.md](performance-notes.md).",
        "## Latency, p50 / p99 in ms",
        "Where saturated, latency is the length of the queue: messages under way over messages a second.",
        markdown(latencies(table)),
        "## Floors",
        markdown([["work", "against", "floor", "ratio", ""], *map(_verdict, verdicts)]),
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(verdict: Verdict) -> list[str]:
    mark = {True: "pass", False: "**fail**", None: "not measured"}[verdict.passed]
    ratio = "–" if verdict.ratio is None else f"{verdict.ratio:.2f}"
    return [verdict.row.title, verdict.peer, f"≤ {verdict.floor}", ratio, mark]
