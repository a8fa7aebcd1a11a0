"""The report of a study: one page of HTML and one file of Markdown, from the same figures. Pure."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quietwire.lab.figures import Figure
from quietwire.lab.study.matrix import Curve, Row, curves, learned, rows, systems, told

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
    "Each cell: what the strongest attack learned, its 95 % interval (users drawn again, five seeds), what a blind"
    " guess gets, and where users differ the worst tenth of them. ~ marks what was simulated from measured timings."
    " Attackers were trained on the very traffic they attack, told the profile, and judged on people they never saw."
)


@dataclass(frozen=True)
class Study:
    """`command`: what prints it again. `facts`: what was run, by name. `broken`, `missing`: see `bounds.violations`.
    `open`: what is not hidden, a line each."""

    title: str
    command: str
    figures: Sequence[Figure]
    facts: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[str] = ()
    missing: Sequence[str] = ()
    open: Sequence[str] = ()


def markdown(study: Study) -> str:
    found = rows(study.figures)
    columns = systems(found)
    out = [f"# {study.title}", "", f"`{study.command}`", "", HOW, ""]
    out += [f"- {name}: {value}" for name, value in study.facts.items()]
    for adversary in dict.fromkeys(row.adversary for row in found):
        mine = [row for row in found if row.adversary == adversary]
        there = [name for name in columns if any(name in row.cells for row in mine)]
        out += ["", f"## `{adversary}`: {SEES[adversary]}", ""]
        out += ["| Asked | " + " | ".join(there) + " |", "|---" * (len(there) + 1) + "|"]
        out += [
            f"| {row.title} | "
            + " | ".join(told(row.cells[name]) if name in row.cells else "–" for name in there)
            + " |"
            for row in mine
        ]
    for (adversary, question, over), lines in curves(study.figures).items():
        out += ["", f"## {question} (`{adversary}`) over {over}", "", *_points(over, lines)]
    out += ["", "## What the attackers go by", ""]
    out += [f"- {line}" for line in notes(found)]
    if study.open:
        out += ["", "## Not hidden", "", *(f"- {line}" for line in study.open)]
    out += ["", "## Bounds", ""]
    out += [f"- BROKEN: {line}" for line in study.broken] or ["- None of the stated bounds is broken."]
    out += [f"- {line}" for line in study.missing]
    return "\n".join(out) + "\n"


def _points(over: str, lines: Sequence[Curve]) -> list[str]:
    places = sorted({point.at or 0.0 for line in lines for point in line.points})
    out = [f"| {over} | " + " | ".join(line.system for line in lines) + " |", "|---" * (len(lines) + 1) + "|"]
    for at in places:
        cells = []
        for line in lines:
            there = [point for point in line.points if point.at == at]
            cells.append(told(there[0]) if there else "–")
        out.append(f"| {at:g} | " + " | ".join(cells) + " |")
    return out


def notes(found: Sequence[Row]) -> list[str]:
    """One line a figure that says how it was come by."""
    return [
        f"{row.question}, {system}: {figure.note}"
        for row in found
        for system, figure in row.cells.items()
        if figure.note
    ]


STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --line: #c9d1db; --soft: #5a6675;
 --leak: 200, 60, 40; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #14181e; --line: #38414d; --soft: #9aa6b5; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
 max-width: 84rem; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .86rem }
th, td { border: 1px solid var(--line); padding: .35rem .55rem; text-align: left; vertical-align: top;
 min-width: 7rem }
th { font-weight: 600 } td small { color: var(--soft); display: block }
.note { color: var(--soft); max-width: 60rem } .broken { color: rgb(var(--leak)); font-weight: 600 }
svg { max-width: 46rem; width: 100%; height: auto; background: #fff; border-radius: 4px }
code { font-size: .92em }
"""


def page(study: Study, pictures: Mapping[tuple[str, str, str], str]) -> str:
    """`pictures`: SVG by (adversary, question, what varies)."""
    found = rows(study.figures)
    columns = systems(found)
    e = html.escape
    out = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">', f"<title>{e(study.title)}</title>",
        '<meta name="viewport" content="width=device-width">', f"<style>{STYLE}</style></head><body>",
        f"<h1>{e(study.title)}</h1>", f'<p class="note">{e(HOW)} The redder a cell, the more was learned.</p>',
        f"<p><code>{e(study.command)}</code></p>",
        "<ul>" + "".join(f"<li>{e(name)}: {e(value)}</li>" for name, value in study.facts.items()) + "</ul>",
    ]  # fmt: skip
    for line in study.broken:
        out.append(f'<p class="broken">Bound broken: {e(line)}</p>')
    for adversary in dict.fromkeys(row.adversary for row in found):
        mine = [row for row in found if row.adversary == adversary]
        there = [name for name in columns if any(name in row.cells for row in mine)]
        out.append(f"<h2><code>{adversary}</code>: {e(SEES[adversary])}</h2>")
        heads = "".join(f'<th scope="col">{e(name)}</th>' for name in there)
        out.append(f'<div class="wide"><table><thead><tr><th scope="col">Asked</th>{heads}</tr></thead><tbody>')
        for row in mine:
            cells = "".join(_cell(row.cells.get(name)) for name in there)
            out.append(f'<tr><th scope="row">{e(row.title)}</th>{cells}</tr>')
        out.append("</tbody></table></div>")
    for (who, question, over), picture in pictures.items():
        out.append(f"<h2>{e(question)} (<code>{e(who)}</code>) over {e(over)}</h2>{picture}")
    out.append("<h2>What the attackers go by</h2><ul>")
    out += [f"<li>{e(line)}</li>" for line in notes(found)]
    out.append("</ul>")
    if study.open:
        out.append("<h2>Not hidden</h2><ul>" + "".join(f"<li>{e(line)}</li>" for line in study.open) + "</ul>")
    if study.missing:
        out.append("<h2>Not measured here</h2><ul>" + "".join(f"<li>{e(x)}</li>" for x in study.missing) + "</ul>")
    return "\n".join([*out, "</body></html>"]) + "\n"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "<td>–</td>"
    text, _, more = told(figure).partition(" (")
    shade = f' style="background: rgba(var(--leak), {0.55 * learned(figure):.2f})"'
    return f"<td{shade}>{html.escape(text)}<small>{html.escape('(' + more)}</small></td>"
