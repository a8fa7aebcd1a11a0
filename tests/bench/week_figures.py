"""The tables of `make audit`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from week_plan import FIELDS, Kept

from quietwire.lab.audit.score import Score

if TYPE_CHECKING:
    from week import Case, Week
    from week_seizure import Seizure

BEGIN, END = "<!-- audit: begin (make audit writes this) -->", "<!-- audit: end -->"
NAMES = {"quietwire": "Quietwire", "prosody": "Prosody", "ejabberd": "ejabberd"}
KINDS: dict[Kept, str] = {
    "own": "sealed to their owner",
    "room": "of rooms",
    "open": "readable with the server key",
    "not": "kept by nobody who need not",
}
HEAD = """\
# The sealed store in figures

What a thief of the disk has, measured. [sealed-store.md](protocols/sealed-store.md) says how the store works,
[threat-model.md](threat-model.md) what it is worth, [audit.md](audit.md) how the thief's program works.

"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def title(case: Case) -> str:
    parts = [NAMES[case.system], case.thief if case.thief != "files" else "", f"owners {case.owners}"]
    return ", ".join(filter(None, parts)) + (", log open" if case.log == "open" else "")


def shown(week: Week) -> list[Case]:
    """Of ours the case after the log was cut, where there is one, stands for both in the first tables."""
    cut = {(case.owners, case.thief) for case in week.cases if case.log == "cut"}
    return [case for case in week.cases if not (case.log == "open" and (case.owners, case.thief) in cut)]


def hits(week: Week) -> str:
    cases = shown(week)
    rows = []
    for kind, words in KINDS.items():
        fields = [name for name, kept in FIELDS.items() if kept == kind]
        cells = []
        for case in cases:
            planted = sum(case.planted.get(name, 0) for name in fields)
            cells.append(f"{sum(case.found.get(name, 0) for name in fields):,} of {planted:,}")
        rows.append([words, *cells])
    return table(["canaries in fields", *map(title, cases)], rows)


def by_field(week: Week) -> str:
    cases = shown(week)
    rows = []
    for name in FIELDS:
        planted = max((case.planted.get(name, 0) for case in cases), default=0)
        if planted:
            cells = [
                f"{case.found.get(name, 0) / case.planted[name]:.0%}" if case.planted.get(name) else "-"
                for case in cases
            ]
            rows.append([name, FIELDS[name], str(planted), *(cell if cell != "0%" else "0" for cell in cells)])
    return table(["field", "kind", "planted", *map(title, cases)], rows)


def _share(case: Case, name: str) -> str:
    planted, found = case.planted.get(name, 0), case.found.get(name, 0)
    return f"{found / planted:.0%}" if planted and found else "0" if planted else "-"


def categories(week: Week) -> str:
    cases = shown(week)
    names = list(dict.fromkeys(name for case in cases for name in case.categories))
    return table(
        ["category", *map(title, cases)],
        [[name, *(str(case.categories.get(name, 0)) for case in cases)] for name in names],
    )


def edges(week: Week) -> str:
    rows = []
    for case in week.cases:
        log = {"cut": "cut", "open": "open"}.get(case.log, "-")
        whose = [NAMES[case.system], case.thief, case.owners, log]
        assert case.edges is not None
        rows.append([*whose, "named outright", *_score(case.edges)])
        for name, each in case.attacks.items():
            rows.append([*whose, name, *_score(each), f"{case.luck[name]:.2f}"])
    head = ["system", "thief", "owners", "log", "pairs by", "said", "precision", "recall", "chance", "area", "luck"]
    return table(head, [[*row, ""][: len(head)] for row in rows])


def _score(each: Score) -> list[str]:
    precision = f"{each.precision:.2f}" if each.said else "-"
    return [str(each.said), precision, f"{each.recall:.2f}", f"{each.chance:.2f}", f"{each.area:.2f}"]


def seizures(found: Sequence[Seizure]) -> str:
    rows = []
    for each in found:
        if each.readable:
            rows.append([each.owners, each.readable, "", ""])
            continue
        for which in each.away:
            on = f"{each.on[which]} of {each.accounts_on}" if each.accounts_on else "-"
            rows.append([each.owners, which, f"{each.away[which]} of {each.accounts_away}", on])
        for which, count in each.server.items():
            rows.append([each.owners, f"the server's: {which}", f"{count} times", ""])
        for kind, words in KINDS.items():
            fields = [name for name, kept in FIELDS.items() if kept == kind]
            seen, planted = (sum(known.get(name, 0) for name in fields) for known in (each.canaries, each.planted))
            rows.append([each.owners, f"canaries in fields {words}", f"{seen:,} of {planted:,}", ""])
    return table(["owners", "in memory", "of those away, or of all", "of those on"], rows)


def left(week: Week) -> str:
    """What number and size tell, of ours with owners away."""
    case = next((each for each in reversed(shown(week)) if each.system == "quietwire" and each.owners == "away"), None)
    if case is None or not case.left:
        return ""
    told = case.left
    rows = [["accounts", str(told["accounts"])], ["rooms", str(told["rooms"])]]
    rows.append(["rows", ", ".join(f"{name} {count}" for name, count in told["rows"].items() if count)])
    for name in ("sealed", "body", "archive", "arrival", "spool"):
        counts, sizes = told["counts"].get(name, {}), told["sizes"].get(name, {})
        if counts:
            span = f"{min(map(int, counts))} to {max(map(int, counts))}, {len(counts)} different numbers"
            rows.append([f"rows of one owner in `{name}`", span])
        if sizes:
            rows.append([f"lengths in `{name}`, bytes", ", ".join(map(str, sizes))])
    classes = ", ".join(f"{count} up to {int(size) // 1024} KiB" for size, count in told["archives"].items())
    rows.append(["size classes of archives", classes])
    rows.append(["months in keys", ", ".join(filter(None, told["months"])) or "none"])
    pages = case.pages
    rows.append(["free pages with content, pages with remains", f"{pages['free_with_content']}, {pages['remains']}"])
    return table(["what", "told"], rows)


INTRODUCTION = """\
A week passes in a minute: times of day are not those of people, and all is in one month. On the last evening a
hundred messages come one by one, a tenth of a second apart, so that each is a transaction of its own, as on a quiet
server; it begins when our write-ahead log has just been cut, so that all of it is in the log. Prosody and ejabberd are
as Debian has them, with their archives on, default storage and default logs, which count as theirs; they have no key
apart from their files. *Away*: all have logged out, and the disk of the running server was copied (*log open*: a second
later, before our write-ahead log was cut). *Half on*: every second owner is logged in again."""

OF_EDGES = """\
*Named outright*: pairs that a contact list, a request or a message in storage names. The others are attacks on sealed
rows; each is told how many true pairs there are, and names as many, the surest first. It is scored as if it knew which
hash is whose. *Chance* is the precision of pairs drawn at random; *area* is under the curve: 0.5
is a coin. *Luck* is how often the same attack would have been as good if people had had other names.
Attacks that name no pair of accounts are left out. Of a true pair one has the other on the contact list, asked for it,
or wrote to the other."""


def text(week: Week) -> str:
    what = f"{week.accounts} accounts, {week.days} days, {week.friendships} friendships, {week.messages} messages"
    parts = [
        "## A scripted week, and then the thief",
        f"{what} between two, seed {week.seed}: `make audit`, {week.seconds:.0f} s.",
        INTRODUCTION,
        "### Canaries: words of our own in every field that a client can set",
        hits(week),
        "### Each field",
        by_field(week),
        "### What the audit lists, by category",
        categories(week),
        "### Contact edges",
        OF_EDGES,
        edges(week),
        "### What number and size tell",
        left(week),
        "### `seizure`: the memory of our server",
        seizures(week.seizures),
    ]
    return "\n\n".join(parts) + "\n"


def update(path: Path, week: Week) -> None:
    """Writes the tables into the page, between its marks; other figures there stay."""
    page = path.read_text("utf-8") if path.exists() else f"{HEAD}{BEGIN}\n{END}\n"
    inside = f"{BEGIN}\n\n{text(week)}\n{END}"
    page = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: inside, page, flags=re.DOTALL)
    path.write_text(page, "utf-8")
