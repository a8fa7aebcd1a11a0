from __future__ import annotations

from quietwire.lab.observers.answers import of_talk
from quietwire.lab.observers.talk import Guess, Sealed, characters


def test_each_question_rests_on_its_records() -> None:
    guesses = [
        Guess(Sealed(1.0, "a", 0, "t#1"), "typing", 0.5),
        Guess(Sealed(2.0, "a", 1, "t#2"), "message", 0.9),
        Guess(Sealed(3.0, "b", -1, "t#3"), "message", 0.7),
    ]
    findings = {finding.question: finding for finding in of_talk(guesses, "the row", "sizes")}
    assert set(findings) == {"when", "count", "lengths", "kinds"}
    assert findings["count"].answer == {"sent": {"a": 1, "b": 1}}
    assert findings["count"].records == ("t#2", "t#3")
    assert findings["count"].confidence == 0.8
    assert findings["when"].answer["messages"][0] == {"time": 2.0, "from": "a", "id": "t#2"}
    assert findings["lengths"].answer == {"messages": [{"time": 2.0, "from": "a", "length": characters(1)}]}
    assert [event["kind"] for event in findings["kinds"].answer["events"]] == ["typing", "message", "message"]
    assert len(findings["kinds"].records) == 3


def test_nothing_seen_is_nothing_learned() -> None:
    findings = of_talk([], "the row", "sizes")
    assert all(not any(finding.answer.values()) and finding.confidence == 0 for finding in findings)
