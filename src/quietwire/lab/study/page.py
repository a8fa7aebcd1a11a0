"""The report of a study: one page of HTML and one file of Markdown, from the same figures. Pure.

Both are made of the same parts: headings, paragraphs, lists, tables and pictures; a part is a value.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from quietwire.lab.figures import Adversary, Figure
from quietwire.lab.study.matrix import (
    Curve,
    Row,
    by_cost,
    by_size,
    changed,
    curves,
    kinds,
    learned,
    prices,
    rows,
    systems,
    told,
)

SEES: Mapping[str, str] = {
    "live-server": "has broken into the running server",
    "disk": "has the disk and the server key afterwards",
    "backup": "has a backup, without the server key",
    "seizure": "has disk and memory of the running machine",
    "server-network": "watches the server's network",
    "client-network": "watches one user's network",
    "peer-server": "is the correspondent's server",
}
HOW = (
    "Each cell: what the strongest attack learned; its 95 % interval (users drawn again, and seeds); what a blind guess"
    " gets; what somebody gets who has a clock and sees only when a link began and ended; how common that is which is"
    " looked for; and the worst tenth of users. Attackers were trained on the very traffic they attack, told the"
    " profile, and judged on people they never saw."
)
SIMULATED = (
    "~ marks what is simulated: from measured timings, or on links that were recorded and changed afterwards as the"
    " defence would have changed them."
)
RED = "The redder a cell, the more was learned beyond what a blind guess or a clock knows."
NAMES: Mapping[str, str] = {
    "KB a second": "KB a second, each way",
    "more bytes": "bytes added",
    "p50": "latency, median",
    "p95": "latency, 95th percentile",
    "p50 each hop": "wait each hop, median",
    "p95 each hop": "wait each hop, 95th percentile",
}
PRICED = (
    "KB a second: each way of a link while lives are played that are squeezed into minutes, so that all but steady"
    " links carry more than in earnest. Latency: of a text, from its sender's link to the recipient's first device;"
    " where lives were played, with those that waited for somebody who had lost the connection."
)


@dataclass(frozen=True)
class Study:
    """`command`: what prints it again. `facts`: what was run, by name. `broken`, `missing`: see `bounds.violations`.
    `open`: what is not hidden, a line each. `left`: name of a step -> why it was not run."""

    title: str
    command: str
    figures: Sequence[Figure]
    facts: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[str] = ()
    missing: Sequence[str] = ()
    open: Sequence[str] = ()
    left: Mapping[str, str] = field(default_factory=dict)


# -- parts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """`kind`: a class of the style sheet."""

    text: str
    kind: str = "note"


@dataclass(frozen=True)
class Lines:
    lines: Sequence[str]


@dataclass(frozen=True)
class Cell:
    text: str
    figure: Figure | None = None


@dataclass(frozen=True)
class Grid:
    """The first of each row is its name."""

    heads: Sequence[str]
    body: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Picture:
    """Of a curve: in Markdown its points. `key`: (adversary, question, what varies)."""

    key: tuple[Adversary, str, str]
    lines: Sequence[Curve]


Part = Heading | Text | Lines | Grid | Picture


def parts(study: Study) -> list[Part]:
    plain = [figure for figure in study.figures if not changed(figure.system)[1]]
    found = rows(plain)
    out: list[Part] = [Text(f"`{study.command}`", "command"), Lines([f"{a}: {b}" for a, b in study.facts.items()])]
    out += [Text(f"Bound broken: {line}", "broken") for line in study.broken]
    if not study.broken:
        out.append(
            Text(
                "None of the stated bounds is broken."
                if not study.missing
                else "No bound that was looked after is broken."
            )
        )
    out += [Text(HOW), Text(SIMULATED), Text(RED, "shades")]
    for adversary in dict.fromkeys(row.adversary for row in found):
        mine = [row for row in found if row.adversary == adversary]
        out += [Heading(f"`{adversary}`: {SEES[adversary]}"), _matrix(mine)]
    out += _means(study.figures)
    out += _kinds(plain)
    out += _prices(study.figures)
    drawn: list[Part] = [Picture(key, lines) for key, lines in pictured(study.figures).items()]
    if drawn:
        out += [Heading("Curves"), *drawn]
    if best := _features(rows(study.figures)):
        out += [Heading("What the attackers go by"), best]
    if study.open:
        out += [Heading("Not hidden"), Lines(study.open)]
    if study.left:
        out += [Heading("Not run"), Lines([f"{name}: {why}" for name, why in study.left.items()])]
    if study.missing:
        out += [Heading("Bounds that nothing was measured for"), Lines(study.missing)]
    return out


def pictured(figures: Sequence[Figure]) -> dict[tuple[Adversary, str, str], list[Curve]]:
    """All curves: over messages, days, cost, and over the size of the server."""
    plain = [figure for figure in figures if not changed(figure.system)[1]]
    return by_cost(figures) | curves(plain) | curves(by_size(plain))


def _matrix(found: Sequence[Row]) -> Grid:
    there = systems(found)
    return Grid(
        ["Asked", *there],
        [[Cell(row.title), *(_cell(row.cells.get(name)) for name in there)] for row in found],
    )


def _cell(figure: Figure | None) -> Cell:
    return Cell("–") if figure is None else Cell(told(figure), figure)


def _means(figures: Sequence[Figure]) -> list[Part]:
    """What each means of defence buys alone and together, a row each."""
    out: list[Part] = []
    costs = prices(figures)
    for base in sorted({base for base, how in (changed(each.system) for each in figures) if how}):
        mine = [each for each in figures if changed(each.system)[0] == base and each.adversary == "client-network"]
        found = [row for row in rows(mine) if any(changed(name)[1] for name in row.cells)]
        names = list(dict.fromkeys(each.system for each in mine))
        names.sort(key=lambda name: (changed(name)[1].count("+"), changed(name)[1] != "", name))
        body = []
        for name in names:
            cost = costs.get(name, {})
            price = [f"{cost['more bytes']:+.0%}" if "more bytes" in cost else "–"]
            hop = [f"{cost[key]:.2f} s" for key in ("p50 each hop", "p95 each hop") if key in cost]
            price.append(", ".join(hop) or "–")
            unseen = [each.detail["unseen"] for each in mine if each.system == name and "unseen" in each.detail]
            price.append(f"{unseen[0]:.0%}" if unseen else "–")
            body.append(
                [
                    Cell(changed(name)[1] or "as it is"),
                    *(_cell(row.cells.get(name)) for row in found),
                    *map(Cell, price),
                ]
            )
        heads = [
            "Means",
            *(row.title for row in found),
            "bytes added",
            "wait each hop, median and 95 %",
            "behind another",
        ]
        out += [
            Heading(f"What each means buys: links of {base}, changed afterwards"),
            Text(
                "Padding: to whole blocks of 512 bytes. Delay: at random up to 0.3 s. Grouping: what leaves leaves each"
                " 0.3 s. Garbage: one meaningless record for each real one. Behind another: share of what happened that"
                " was in the same burst as something before it, so that nothing is asked about it."
            ),
            Grid(heads, body),
        ]
    return out


def _kinds(figures: Sequence[Figure]) -> list[Part]:
    found = kinds(figures)
    if not found:
        return []
    there = systems(rows([figure for figure in figures if figure.question == "what happened"]))
    body = []
    for kind, each in found.items():
        cells = [f"{each[name][0]:.0%} ({each[name][1]:.0%})" if name in each else "–" for name in there]
        body.append([Cell(kind), *map(Cell, cells)])
    return [
        Heading("How each kind is recognised"),
        Text(
            "Of all that happened of a kind, how much is called by its name; in brackets, of all that is called so, how"
            " much is right at the rate at which it happens. Up: done by the user; down: done to the user."
        ),
        Grid(["Kind", *there], body),
    ]


def _prices(figures: Sequence[Figure]) -> list[Part]:
    found = {name: each for name, each in prices(figures).items() if not changed(name)[1]}
    there = [key for key in NAMES if any(key in each for each in found.values())]
    if not there:
        return []
    unit: Mapping[str, Callable[[float], str]] = {
        "KB a second": lambda value: f"{value:.2f}", "more bytes": lambda value: f"{value:+.0%}",
    }  # fmt: skip
    body = [
        [Cell(name), *(Cell(unit.get(key, _seconds)(found[name][key]) if key in found[name] else "–") for key in there)]
        for name in sorted(found, key=lambda name: (not name.startswith("quietwire"), name))
    ]
    return [Heading("What it costs"), Text(PRICED), Grid(["System", *(NAMES[key] for key in there)], body)]


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"


def _features(found: Sequence[Row]) -> Grid | None:
    """One line for all systems and questions of a kind that were come by in the same way."""
    same: dict[tuple[str, str, str], tuple[list[str], list[str]]] = {}
    for row in found:
        for system, figure in row.cells.items():
            if figure.note:
                best = re.search(r"best features: ([^;]*)", figure.note)
                rest = re.sub(r"best features: [^;]*;? ?", "", figure.note)
                first, _, more = row.question.partition(", ")
                key = first, best.group(1) if best else "–", rest
                asked, systems_ = same.setdefault(key, ([], []))
                asked.append(more)
                systems_.append(system)
    body = []
    for (first, features, rest), (asked, systems_) in same.items():
        details = "; ".join(dict.fromkeys(filter(None, asked)))
        question = f"{first} ({details})" if details else first
        body.append([Cell(each) for each in (question, ", ".join(dict.fromkeys(systems_)), features, rest)])
    return Grid(["Asked", "Systems", "Best features", "Attack"], body) if body else None


# -- Markdown ----------------------------------------------------------------------------------------------------------


def markdown(study: Study) -> str:
    out = [f"# {study.title}", ""]
    for part in parts(study):
        match part:
            case Heading(text, level):
                out += ["#" * level + " " + text, ""]
            case Text(text, kind):
                out += [f"**{text}**", ""] if kind == "broken" else [] if kind == "shades" else [text, ""]
            case Lines(lines):
                out += [*(f"- {line}" for line in lines), ""] if lines else []
            case Grid(heads, body):
                out += _table(heads, [[cell.text for cell in row] for row in body])
            case Picture((adversary, question, over), lines):
                out += [f"### {question} (`{adversary}`) over {over}", "", *_points(over, lines)]
    return "\n".join(out).rstrip("\n") + "\n"


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    out = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return [*out, *("| " + " | ".join(row) + " |" for row in body), ""]


def _points(over: str, lines: Sequence[Curve]) -> list[str]:
    places = sorted({point.at or 0.0 for line in lines for point in line.points})
    body = []
    for at in places:
        there = [next((point for point in line.points if point.at == at), None) for line in lines]
        body.append([f"{at:g}", *("–" if point is None else told(point) for point in there)])
    return _table([over, *(line.system for line in lines)], body)


# -- HTML --------------------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --line: #c9d1db; --soft: #5a6675; --head: #f2f4f7;
 --leak: 200, 60, 40; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #14181e; --line: #38414d; --soft: #9aa6b5;
 --head: #1f252d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
 max-width: 96rem; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem }
nav { margin: 1rem 0; line-height: 1.9 } nav a { margin-right: 1rem }
.wide { overflow: auto; max-height: 92vh; width: fit-content; max-width: 100%; border: 1px solid var(--line) }
table { border-collapse: separate; border-spacing: 0; font-size: .84rem }
th, td { border-right: 1px solid var(--line); border-bottom: 1px solid var(--line); padding: .3rem .5rem;
 text-align: left; vertical-align: top; min-width: 6.5rem }
thead th { position: sticky; top: 0; background: var(--head); z-index: 2 }
th[scope=row] { position: sticky; left: 0; background: var(--head); z-index: 1; max-width: 15rem; min-width: 9rem }
thead th:first-child { left: 0; z-index: 3 }
th { font-weight: 600 } td b { font-weight: 600; font-size: .95rem } td small { color: var(--soft); display: block }
td.simulated b { font-weight: 400; font-style: italic } td.none { color: var(--soft) }
.note, .shades { color: var(--soft); max-width: 62rem } .broken { color: rgb(var(--leak)); font-weight: 600 }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(38rem, 1fr)); gap: 1.5rem }
figure { margin: 0 } figcaption { color: var(--soft); font-size: .84rem }
svg { width: 100%; height: auto; background: #fff; border-radius: 4px }
code { font-size: .92em }
"""


def page(study: Study, pictures: Mapping[tuple[Adversary, str, str], str]) -> str:
    """`pictures`: SVG by (adversary, question, what varies)."""
    e = html.escape
    made = parts(study)
    heads = [part.text for part in made if isinstance(part, Heading)]
    out = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">', f"<title>{e(study.title)}</title>",
        '<meta name="viewport" content="width=device-width">', f"<style>{STYLE}</style></head><body>",
        f"<h1>{e(study.title)}</h1>",
        "<nav>" + " ".join(f'<a href="#p{n}">{_inline(text)}</a>' for n, text in enumerate(heads)) + "</nav>",
    ]  # fmt: skip
    number, drawing = 0, False
    for part in made:
        if drawing and not isinstance(part, Picture):
            out.append("</div>")
            drawing = False
        match part:
            case Heading(text, level):
                out.append(f'<h{level} id="p{number}">{_inline(text)}</h{level}>')
                number += 1
            case Text(text, kind):
                out.append(f'<p class="{kind}">{_inline(text)}</p>')
            case Lines(lines) if lines:
                out.append("<ul>" + "".join(f"<li>{_inline(line)}</li>" for line in lines) + "</ul>")
            case Grid(columns, body):
                out.append(_grid(columns, body))
            case Picture(key, _) if key in pictures:
                if not drawing:
                    out.append('<div class="curves">')
                    drawing = True
                adversary, question, over = key
                title = f"<code>{e(adversary)}</code>: {e(question)}, over {e(over)}"
                out.append(f"<figure>{pictures[key]}<figcaption>{title}</figcaption></figure>")
    if drawing:
        out.append("</div>")
    return "\n".join([*out, "</body></html>"]) + "\n"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))


def _grid(heads: Sequence[str], body: Sequence[Sequence[Cell]]) -> str:
    top = "".join(f'<th scope="col">{_inline(head)}</th>' for head in heads)
    out = [f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>']
    for first, *rest in body:
        out.append(f'<tr><th scope="row">{_inline(first.text)}</th>{"".join(map(_shown, rest))}</tr>')
    return "".join([*out, "</tbody></table></div>"])


def _shown(cell: Cell) -> str:
    figure = cell.figure
    if figure is None:
        return f'<td class="none">{cell.text}</td>' if cell.text == "–" else f"<td>{_inline(cell.text)}</td>"
    text, _, more = cell.text.partition(" (")
    inside, _, worst = more.rpartition(")")
    small = "".join(f"<small>{html.escape(each)}</small>" for each in [*inside.split("; "), worst.strip(", ")] if each)
    kind = ' class="simulated" title="simulated"' if figure.simulated else ""
    shade = f' style="background: rgba(var(--leak), {0.55 * learned(figure):.2f})"'
    return f"<td{kind}{shade}><b>{html.escape(text)}</b>{small}</td>"
