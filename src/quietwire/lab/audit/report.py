"""The report of an audit: a table for people, JSON for the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from quietwire.lab.audit.audit import Report
from quietwire.lab.audit.facts import CATEGORIES, MEANS, Category, Fact, pairs

EXAMPLES = 3
SHORT = 12
"""Characters of a name or text that an example shows: enough to recognise one's own."""


def shortened(text: str, size: int = SHORT) -> str:
    text = " ".join(text.split())
    return text if len(text) <= size else f"{text[: size - 1]}…"


def shown(fact: Fact) -> str:
    """A fact, shortened."""
    parts = [shortened(fact.who), shortened(fact.what), shortened(fact.more, 24)]
    return " | ".join(filter(None, parts))


def as_json(report: Report, *, full: bool = False) -> dict[str, Any]:
    """`full`: everything that was read, not shortened."""
    counts = report.facts.counts()
    hits: dict[str, list[str]] = defaultdict(list)
    for canary, found in report.hits.items():
        forms = ", ".join(sorted(found.forms))
        hits[canary.field].append(f"{canary.text} ({forms}) in {found.places.most_common(1)[0][0]}")
    categories = {}
    for category in CATEGORIES:
        facts = report.facts.of(category)
        examples = [shown(fact) for fact in facts[:EXAMPLES]]
        categories[category] = {"count": counts[category], "means": MEANS[category], "examples": examples}
        if full:
            categories[category]["all"] = [asdict(fact) for fact in facts]
    return {
        "systems": report.systems,
        "files": report.files,
        "bytes": report.bytes,
        "server_key": report.key,
        "categories": categories,
        "contact_edges": len(pairs(edge_facts(report))),
        "pages": asdict(report.pages),
        "strings": {
            name: {"distinct": len(found), "examples": sorted(found)[:EXAMPLES]}
            for name, found in report.strings.items()
        },
        "printable_runs": {"count": report.runs[0], "bytes": report.runs[1]},
        "left": asdict(report.left) if report.left is not None else None,
        "attacks": [asdict(each) | {"pairs": len(each.pairs), "best": best(each.pairs)} for each in report.attacks],
        "canaries": {
            "planted": report.planted,
            "found": len(report.hits),
            "by_field": {
                field or "(no field)": {"found": len(each), "examples": each[:EXAMPLES]}
                for field, each in sorted(hits.items())
            },
        },
    }


def best(weights: dict[frozenset[bytes], float]) -> list[tuple[str, float]]:
    """The surest pairs, by the starts of their hashes."""
    first = sorted(weights.items(), key=lambda each: -each[1])[:EXAMPLES]
    return [(" - ".join(sorted(owner.hex()[:8] for owner in pair)), round(weight, 3)) for pair, weight in first]


def edge_facts(report: Report) -> list[Fact]:
    """Facts that say outright that two have to do with each other."""
    wanted: tuple[Category, ...] = ("contacts", "requests", "messages")
    return [fact for category in wanted for fact in report.facts.of(category)]


def render(report: Report) -> RenderableType:
    parts: list[RenderableType] = []
    whose = ", ".join(report.systems) or "no server that is known here"
    key = "; rows under the server key are opened" if report.key else ""
    parts.append(f"{report.files} files, {_size(report.bytes)}: {whose}{key}")
    table = Table(title="What can be read", title_justify="left", box=None, pad_edge=False)
    for name in ("category", "count", "what", "examples"):
        table.add_column(name, justify="right" if name == "count" else "left", overflow="fold")
    counts = report.facts.counts()
    for category in CATEGORIES:
        examples = "\n".join(shown(fact) for fact in report.facts.of(category)[:EXAMPLES])
        table.add_row(category, str(counts[category]), MEANS[category], escape(examples))
    parts += ["", table, "", _bytes(report)]
    if report.left is not None:
        parts += ["", _left(report)]
    if report.attacks:
        parts += ["", _attacks(report)]
    if report.planted:
        parts += ["", _canaries(report)]
    return Group(*parts)


def _bytes(report: Report) -> Table:
    table = Table(title="In the bytes", title_justify="left", box=None, pad_edge=False, show_header=False)
    pages = report.pages
    table.add_row("addresses, of whatever kind", str(len(report.strings["jids"])), _some(report.strings["jids"]))
    table.add_row("XML namespaces", str(len(report.strings["namespaces"])), _some(report.strings["namespaces"], 40))
    table.add_row("IP addresses", str(len(report.strings["addresses"])), _some(report.strings["addresses"]))
    table.add_row("dates with a time", str(len(report.strings["stamps"])), _some(report.strings["stamps"], 20))
    table.add_row("printable runs of 24 bytes or more", str(report.runs[0]), _size(report.runs[1]))
    if pages.files:
        table.add_row("pages of databases", str(pages.pages), f"in {pages.files} files")
        table.add_row("free pages", str(pages.free), f"{pages.free_with_content} with content")
        table.add_row("pages with remains beside their rows", str(pages.remains), "")
        table.add_row(
            "transactions in write-ahead logs",
            str(pages.commits),
            f"{pages.past} of them past; {_size(pages.log_bytes)}",
        )
    return table


def _left(report: Report) -> Table:
    left = report.left
    assert left is not None
    table = Table(title="What number and size tell", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_row("accounts", str(left.accounts))
    table.add_row("rooms", str(left.rooms))
    table.add_row("rows", _pairs((table, count) for table, count in left.rows.items() if count))
    table.add_row("rows that are not sealed", _pairs(left.clear.items()) or "none")
    for name, counts in left.counts.items():
        if counts and name in ("sealed", "archive", "arrival", "spool"):
            table.add_row(
                f"rows of one owner in {name}", _pairs((f"{owners} with", rows) for rows, owners in counts.items())
            )
    for name, sizes in left.sizes.items():
        if sizes:
            table.add_row(
                f"lengths in {name}", _pairs((f"{size} bytes:", rows) for size, rows in list(sizes.items())[:12])
            )
    classes = ((f"up to {_size(size)}:", number) for size, number in left.archives.items())
    table.add_row("size classes of archives", _pairs(classes) or "none")
    table.add_row("months in keys", _pairs(left.months.items()) or "none")
    table.add_row("names that were guessed and are there", escape("\n".join(left.guessed)) or "none")
    return table


def _attacks(report: Report) -> Table:
    table = Table(title="Who has to do with whom, by attack", title_justify="left", box=None, pad_edge=False)
    for name in ("attack", "table", "by", "pairs", "surest"):
        table.add_column(name, overflow="fold", justify="right" if name == "pairs" else "left")
    for each in report.attacks:
        surest = ", ".join(f"{pair} ({weight})" for pair, weight in best(each.pairs))
        table.add_row(each.name, each.table, each.how, str(len(each.pairs)), surest)
    table.caption = "A pair is a guess. `make audit` says how often such guesses are right, beside chance."
    return table


def _canaries(report: Report) -> Table:
    table = Table(
        title=f"Canaries: {len(report.hits)} of {report.planted} found", title_justify="left", box=None, pad_edge=False
    )
    for name in ("field", "found", "forms", "first place"):
        table.add_column(name, overflow="fold", justify="right" if name == "found" else "left")
    fields: dict[str, list[Any]] = defaultdict(list)
    for canary, hit in report.hits.items():
        fields[canary.field].append(hit)
    for field, hits in sorted(fields.items()):
        forms = sorted({form for hit in hits for form in hit.forms})
        table.add_row(field or "-", str(len(hits)), ", ".join(forms), escape(hits[0].places.most_common(1)[0][0]))
    return table


def _some(found: Counter[str], size: int = SHORT + 6) -> str:
    return escape(", ".join(shortened(each, size) for each in sorted(found)[:EXAMPLES]))


def _pairs(items: Iterable[tuple[str, object]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in items)


def _size(size: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size} {unit}"
        size = round(size / 1024)
    return f"{size} GiB"


def show(report: Report, console: Console) -> None:
    console.print(render(report))
