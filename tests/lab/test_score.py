from __future__ import annotations

from typing import Any

import pytest

from quietwire.lab.findings import Finding, Question
from quietwire.lab.score import Known, Score, match, score
from quietwire.lab.truth import Event, Facts

A, B = "alice@a.example", "bob@b.example"
FACTS = Facts(
    {A: {"phone": "198.51.100.11", "laptop": "198.51.100.12"}, B: {"phone": "203.0.113.21"}},
    {A: [B], B: [A]},
    {A: {"phone": "11", "laptop": "12"}, B: {"phone": "21"}},
)


def sent(time: float, who: str, kind: str, length: int = 0) -> Event:
    return Event(time, who, "phone", "sent", kind, B if who == A else A, str(time), length)


KNOWN = Known(
    (
        sent(10.0, A, "message", 20),
        sent(11.0, B, "receipt"),
        sent(20.0, B, "reply", 100),
        sent(21.0, A, "receipt"),
        sent(30.0, A, "typing"),
        sent(31.0, A, "correction", 60),
    ),
    FACTS,
)


def judged(question: Question, answer: dict[str, Any]) -> Score:
    return score(Finding(question, answer, "", 1.0), KNOWN, A)


def test_names_are_accounts_addresses_or_domains() -> None:
    names = (A, "198.51.100.12", "b.example", "", "elsewhere")
    assert [KNOWN.account(name) for name in names] == [A, A, B, "", ""]


@pytest.mark.parametrize(
    ("pairs", "learned", "seen"),
    [
        ([[A, B]], 1.0, f"{A} with {B}"),
        ([["198.51.100.11", "b.example"]], 0.5, "198.51.100.11 with somebody at b.example"),
        ([["203.0.113.9", "b.example"]], 0.0, "nobody named"),
        ([], 0.0, "nobody named"),
    ],
)
def test_who(pairs: list[list[str]], learned: float, seen: str) -> None:
    assert judged("who", {"pairs": pairs}) == Score(learned, seen, f"{A} with {B}")


def seen(time: float, who: str, **more: Any) -> dict[str, Any]:
    return {"time": time, "from": who, **more}


def test_matching_keeps_order_sender_and_time() -> None:
    observed = [seen(10.2, A), seen(10.02, B), seen(31.3, A), seen(40.0, A)]
    pairs = match(observed, KNOWN.texts, KNOWN)
    assert [(one["time"], event.time) for one, event in pairs] == [(10.2, 10.0), (31.3, 31.0)]


def test_an_observation_is_never_before_its_event() -> None:
    assert match([seen(9.9, A)], KNOWN.texts, KNOWN) == []


def test_who_cannot_be_named_is_the_other() -> None:
    pairs = match([seen(10.1, "198.51.100.11"), seen(20.1, "")], KNOWN.texts, KNOWN)
    assert [event.account for _, event in pairs] == [A, B]


def test_when() -> None:
    answer = {"messages": [seen(10.01, A), seen(20.03, B), seen(25.0, A)]}
    result = judged("when", answer)
    assert result.seen == "2 of 3 texts found, 1 false, times ±20 ms"
    assert result.learned == pytest.approx(4 / 6)
    assert judged("when", {"messages": []}).learned == 0


def test_count() -> None:
    assert judged("count", {"sent": {A: 2, B: 1}}) == Score(1.0, "3 counted, 3 there: alice 2, bob 1", "alice 2, bob 1")
    assert judged("count", {"sent": {"198.51.100.11": 2, "": 2}}).learned == pytest.approx(2 / 3)
    assert judged("count", {"sent": {}}).seen == "nothing to count"


def test_lengths_are_compared_with_a_blind_guess() -> None:
    exact = {"messages": [seen(10.0, A, length=20), seen(20.0, B, length=100), seen(31.0, A, length=60)]}
    assert judged("lengths", exact).learned == 1.0
    blind = {"messages": [{**one, "length": 60} for one in exact["messages"]]}
    assert judged("lengths", blind).learned == 0.0
    assert judged("lengths", {"messages": []}) == Score(0.0, "no length", "20 to 100 characters")


def test_kinds_are_compared_with_the_commonest() -> None:
    events = [seen(event.time, event.account, kind=event.kind) for event in KNOWN.sent]
    result = judged("kinds", {"events": events})
    assert result.learned == 1.0
    assert result.seen == "6 of 6 events named right; always saying “receipt” gets 2"
    same = [{**event, "kind": "receipt"} for event in events]
    assert judged("kinds", {"events": same}).learned == 0.0


@pytest.mark.parametrize(
    ("contacts", "learned", "words"),
    [
        ({A: [B, "x@y.example"]}, 1.0, f"1 of 1: {B}"),
        ({"198.51.100.12": ["b.example"]}, 0.5, "none by name, only the server of 1"),
        ({B: [A]}, 0.0, "none"),
    ],
)
def test_contacts(contacts: dict[str, list[str]], learned: float, words: str) -> None:
    assert judged("contacts", {"contacts": contacts}) == Score(learned, words, "1 contact")


def test_devices() -> None:
    assert judged("devices", {"devices": {A: ["11"]}}) == Score(0.5, "1 of 2: 11", "2 devices")
    assert judged("devices", {"devices": {"198.51.100.11": ["198.51.100.11", "198.51.100.12"]}}).learned == 1.0
    assert judged("devices", {"devices": {B: ["21"]}}).learned == 0.0


def test_text() -> None:
    assert judged("text", {"texts": []}) == Score(0.0, "no text readable", "3 texts")
    assert judged("text", {"texts": ["a", "b"]}).seen == "2 of 3 texts readable"
