"""What must hold in every run: nothing lost, doubled or reordered, and nothing readable where it must not be.

Each violation is one line that says which; any of them makes the exit status of the demo non-zero.
"""

from __future__ import annotations

import base64
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from quietwire.lab.truth import Event, Facts

UNCHECKED = frozenset({"typing"})
"""A typing notice that is late is worth nothing (XEP-0085): it may be dropped, for instance while a link is down."""

Violation = str


def delivery(events: Sequence[Event], facts: Facts) -> list[Violation]:
    """Every sent item must be got once, whole and in order, by the recipient's devices and the sender's others."""
    sent = [event for event in events if event.event == "sent" and event.kind not in UNCHECKED]
    got: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.event == "got" and event.kind not in UNCHECKED:
            got.setdefault((event.account, event.device), []).append(event)
    violations = []
    known = {event.id for event in sent}
    for account, devices in facts.devices.items():
        for device in devices:
            inbox = got.get((account, device), [])
            due = [e for e in sent if e.peer == account or (e.account == account and e.device != device)]
            violations += _one_device(f"{account}/{device}", due, inbox)
            violations += [
                f"from nowhere: {account}/{device} got {event.kind} {event.id}, which nobody sent"
                for event in inbox
                if event.id not in known
            ]
    return violations


def _one_device(name: str, due: Sequence[Event], inbox: Sequence[Event]) -> list[Violation]:
    violations = []
    counts = Counter(event.id for event in inbox)
    arrived = {event.id: event for event in inbox}
    for item in due:
        what = f"{item.kind} {item.id} from {item.account}/{item.device}"
        if not counts[item.id]:
            violations.append(f"lost: {name} never got {what}")
            continue
        if counts[item.id] > 1:
            violations.append(f"doubled: {name} got {what} {counts[item.id]} times")
        if arrived[item.id].digest != item.digest:
            violations.append(f"changed: {name} got {what} with another text")
    for source in {(event.account, event.device) for event in due}:
        order = {e.id: n for n, e in enumerate(due) if (e.account, e.device) == source}
        seen = [order[event.id] for event in inbox if event.id in order]
        violations += [
            f"reordered: {name} got item {later + 1} of {source[0]}/{source[1]} before item {earlier + 1}"
            for later, earlier in pairwise(seen)
            if earlier < later
        ]
    return violations


def forms(word: str) -> list[bytes]:
    """The halves of a canary as they would stand in a file: plain, UTF-16, hexadecimal, base64 at each alignment."""
    found = []
    for half in (word[: len(word) // 2], word[len(word) // 2 :]):
        raw = half.encode()
        found += [raw, half.encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode()]
        for shift in range(3):
            # The first and the last characters also depend on the neighbours: cut them off.
            encoded = base64.b64encode(b"\0" * shift + raw)
            begin = (0, 2, 3)[shift]
            whole = (shift + len(raw)) // 3 * 4
            found.append(encoded[begin:whole])
    return found


def readable(canaries: Iterable[str], files: Iterable[tuple[str, Path]]) -> list[Violation]:
    """Looks for every canary in every form in files, given as (place, path). Directories are walked."""
    needles = {form: word for word in canaries for form in forms(word)}
    violations = []
    for place, path in files:
        paths = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for each in paths:
            content = each.read_bytes()
            words = {word for form, word in needles.items() if form in content}
            if words:
                violations.append(f"readable: {len(words)} of the texts said can be read in {place} ({each.name})")
    return violations


def undeclared(database: Path, declared: Collection[str]) -> list[Violation]:
    """Tables that hold rows though nothing declares that it keeps something there."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        full = [name for name in tables if opened.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone()]  # noqa: S608
    return [
        f"undeclared: {database.name} keeps {name}, which no feature declares" for name in full if name not in declared
    ]
