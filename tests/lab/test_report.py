from __future__ import annotations

import json

import pytest
from rich.console import Console

from quietwire.lab import report
from quietwire.lab.findings import QUESTIONS, Finding
from quietwire.lab.score import Known
from quietwire.lab.truth import Event, Facts

A, B = "alice@a.example", "bob@b.example"
KNOWN = Known(
    (Event(1.0, A, "phone", "sent", "message", B, "1", 9),),
    Facts({A: {"phone": "198.51.100.11"}, B: {"phone": "203.0.113.21"}}, {A: [B], B: [A]}),
)
OPEN = [Finding("who", {"pairs": [[A, B]]}, "saw it", 0.9, ("t#1",)), Finding("text", {"texts": ["x"]}, "read it", 1.0)]
CLOSED = [Finding("who", {"pairs": []}, "saw nothing", 1.0), Finding("text", {"texts": ["x"]}, "read it", 1.0)]


def rows(findings: list[Finding]) -> list[report.Cell]:
    return report.cells("server-network", findings, KNOWN, A)


def rendered(what: object, width: int = 110) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(what)
    return console.export_text()


def test_a_cell_holds_answer_truth_layer_and_records() -> None:
    cell = rows(OPEN)[0]
    assert (cell.learned, cell.seen, cell.truth) == (1.0, f"{A} with {B}", f"{A} with {B}")
    assert (cell.layer, cell.how, cell.confidence, cell.records) == ("transport", "saw it", 0.9, ("t#1",))


@pytest.mark.parametrize("adversary", list(report.SEES))
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_cell_has_a_layer_and_a_remedy(adversary: str, question: report.Question) -> None:
    layer, remedy = report.layer_and_remedy(adversary, question)
    assert layer in ("transport", "server", "client", "end-to-end")
    assert remedy


@pytest.mark.parametrize("width", [100, 110, 120])
def test_the_table_fits(width: int) -> None:
    text = rendered(report.table(rows(OPEN), "off links"), width)
    assert max(map(len, text.splitlines())) <= width
    for word in ("server-network", "who talks to whom", "the truth", "●"):
        assert word in text


def test_marks_read_without_colours() -> None:
    assert [report.mark(value).plain for value in (0.0, 0.09, 0.1, 0.79, 0.8, 1.0)] == list("○○◐◐●●")


def test_what_changed() -> None:
    changed = report.changes(rows(OPEN), rows(CLOSED))
    assert [(one.question, one.learned, two.learned) for one, two in changed] == [("who", 1.0, 0.0)]
    text = rendered(report.changed_table(rows(OPEN), rows(CLOSED), ("off", "padded")))
    assert "nobody named" in text


def test_json_says_the_same() -> None:
    data = report.as_json({"off": rows(OPEN), "padded": rows(CLOSED)}, {"off": [], "padded": ["lost: x"]}, seed=3)
    data = json.loads(json.dumps(data))
    assert data["seed"] == 3
    assert data["worlds"]["off"]["cells"][0]["records"] == ["t#1"]
    assert data["worlds"]["padded"]["violations"] == ["lost: x"]
    assert data["changed"][0]["padded"] == {"learned": 0.0, "seen": "nobody named"}
