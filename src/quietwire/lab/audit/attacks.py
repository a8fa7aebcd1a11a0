"""Who has to do with whom, from sealed rows alone: by what was written together, by the order in which rows were put
on a page, by counts and sizes that match, by months. Each attack gives pairs of owners with a weight; the higher,
the surer.

An owner is what stands in a table in its place, so a result is about one table; who that is, is another question.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from quietwire.lab.audit import sqlite_file
from quietwire.lab.audit.quietwire import Row, month
from quietwire.lab.audit.sqlite_file import Commit, File

Owner = bytes
Pairs = dict[frozenset[Owner], float]
CROWD = 40
"""Owners in one commit beyond which it tells nothing about any two of them."""


@dataclass(frozen=True, slots=True)
class Attack:
    """`pairs`: every pair that it says anything about; the others count as weight 0."""

    name: str
    table: str
    how: str
    pairs: Pairs


def run(rows: Sequence[Row], file: File, log: Sequence[Commit], tables: Iterable[str]) -> list[Attack]:
    """All attacks, on each of those tables in which two owners or more have rows."""
    written = written_together(file, log, {row.owner: row.table for row in rows})
    found = []
    for table in tables:
        of = [row for row in rows if row.table == table]
        if len({row.owner for row in of}) < 2:
            continue
        found += [
            Attack("co-write", table, "rows that one transaction in the log wrote", co_written(written, table)),
            Attack("row order", table, "rows put on a page one after the other", row_order(of)),
            Attack("page order", table, "owners whose pages lie beside each other in the file", page_order(of)),
            Attack("counts", table, "owners with equally many rows", counts(of)),
            Attack("sizes", table, "owners with the same rare lengths of values", sizes(of)),
            Attack("months", table, "the same lengths in the same month", sizes(of, month)),
        ]
    return found


def written_together(file: File, log: Sequence[Commit], tables: Mapping[Owner, str]) -> list[list[tuple[str, Owner]]]:
    """For each transaction in the log the (table, owner) of every row that it added: those that no page had before.

    `tables`: where owners have rows now. An owner has another hash in each table, so this says which table a row was of
    even where its page belongs to another one by now."""
    known: set[tuple[Owner, bytes]] = set()
    for number in file.pages:
        known.update(_keys(file, number, file.pages[number]))
    before = dict(file.pages)
    added = []
    for commit in log:
        rows: dict[tuple[Owner, bytes], str] = {}
        for number, data in commit.pages:
            before[number] = data
            for key in _keys(file, number, data):
                if key not in known:
                    rows[key] = tables.get(key[0]) or file.of.get(number, "")
        known.update(rows)
        added.append([(table, owner) for (owner, _), table in rows.items()])
    return added


def _keys(file: File, number: int, data: bytes) -> list[tuple[Owner, bytes]]:
    page = sqlite_file.parse(file, number, data)
    return [
        (cell.columns[0], cell.columns[1])
        for cell in page.cells
        if len(cell.columns) == 3 and isinstance(cell.columns[0], bytes) and isinstance(cell.columns[1], bytes)
    ]


def co_written(written: Iterable[Sequence[tuple[str, Owner]]], table: str) -> Pairs:
    """A transaction with few owners says more than one with many."""
    pairs: Pairs = defaultdict(float)
    for each in written:
        owners = sorted({owner for name, owner in each if name == table})
        if 2 <= len(owners) <= CROWD:
            for pair in combinations(owners, 2):
                pairs[frozenset(pair)] += 1 / (len(owners) - 1)
    return dict(pairs)


def row_order(rows: Iterable[Row]) -> Pairs:
    """Within a page contents are put from its end downwards, in the order of writing."""
    pairs: Pairs = defaultdict(float)
    pages: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        pages[row.page].append(row)
    for placed in pages.values():
        placed.sort(key=lambda row: row.order)
        for one, other in pairwise(placed):
            if one.owner != other.owner:
                pairs[frozenset((one.owner, other.owner))] += 1
    return dict(pairs)


def page_order(rows: Iterable[Row]) -> Pairs:
    """Pages that were taken one after the other were filled by what came at the same time."""
    pairs: Pairs = defaultdict(float)
    owners: dict[int, set[Owner]] = defaultdict(set)
    for row in rows:
        owners[row.page].add(row.owner)
    numbers = sorted(owners)
    for one, other in pairwise(numbers):
        for first in owners[one]:
            for second in owners[other]:
                if first != second:
                    pairs[frozenset((first, second))] += 1 / (len(owners[one]) * len(owners[other]) * (other - one))
    return dict(pairs)


def counts(rows: Iterable[Row]) -> Pairs:
    """Two who write to each other only have the same number of rows; an equality that many share says little."""
    number = Counter(row.owner for row in rows)
    alike = Counter(number.values())
    return {
        frozenset(pair): 1 / (1 + abs(number[pair[0]] - number[pair[1]])) / alike[number[pair[0]]]
        for pair in combinations(sorted(number), 2)
    }


def sizes(rows: Iterable[Row], label: Callable[[bytes], str] = lambda key: "") -> Pairs:
    """Each message lies in two archives with the same length: lengths that few owners have join those."""
    owned: dict[Owner, Counter[tuple[int, str]]] = defaultdict(Counter)
    for row in rows:
        owned[row.owner][len(row.value), label(row.key)] += 1
    having = Counter(size for counter in owned.values() for size in counter)
    total = len(owned)
    pairs = {}
    for one, other in combinations(sorted(owned), 2):
        shared = owned[one] & owned[other]
        weight = sum(count * math.log(total / having[size]) for size, count in shared.items())
        if weight > 0:
            pairs[frozenset((one, other))] = weight
    return pairs
