"""What an observer hands over: answers to the eight questions, as data. `report` alone compares them with the truth.

Names in answers are what the observer has: JIDs, or network addresses. Forms of `answer` by question:

| question | answer |
|---|---|
| who | ``{"pairs": [[name, name], ...]}`` |
| when | ``{"messages": [{"time": s, "from": name, "id": ref}, ...]}`` |
| count | ``{"sent": {name: n}}`` |
| lengths | ``{"messages": [{"time": s, "from": name, "length": characters}, ...]}`` |
| kinds | ``{"events": [{"time": s, "from": name, "kind": kind}, ...]}`` |
| contacts | ``{"contacts": {owner: [name, ...]}}`` |
| devices | ``{"devices": {owner: [name, ...]}}`` |
| text | ``{"texts": [text, ...]}`` |

A name of "" is somebody the observer cannot name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Question = Literal["who", "when", "count", "lengths", "kinds", "contacts", "devices", "text"]
QUESTIONS: tuple[Question, ...] = get_args(Question)

KINDS = ("message", "reply", "correction", "reaction", "typing", "receipt", "displayed")
"""Kinds of event between people. The first three carry text."""
TEXTUAL = frozenset(KINDS[:3])


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. `how` is a plain sentence; `confidence` is the observer's own, 0 to 1; `records` are ``place#id``."""

    question: Question
    answer: dict[str, Any]
    how: str
    confidence: float
    records: tuple[str, ...] = ()


def to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]


def from_json(data: Sequence[dict[str, Any]]) -> list[Finding]:
    """Raises ValueError for a question that does not exist, TypeError or KeyError for another shape."""
    findings = []
    for item in data:
        if item["question"] not in QUESTIONS:
            raise ValueError(f"no such question: {item['question']!r}")
        findings.append(
            Finding(
                item["question"],
                dict(item["answer"]),
                str(item["how"]),
                float(item["confidence"]),
                tuple(item["records"]),
            )
        )
    return findings
