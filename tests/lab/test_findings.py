from __future__ import annotations

import json

import pytest

from quietwire.lab.findings import KINDS, QUESTIONS, TEXTUAL, Finding, from_json, to_json


def test_findings_survive_json() -> None:
    findings = [Finding("who", {"pairs": [["a", "b"]]}, "saw it", 0.5, ("x#1", "x#2")), Finding("text", {}, "no", 0.0)]
    assert from_json(json.loads(json.dumps(to_json(findings)))) == findings


def test_an_unknown_question_is_refused() -> None:
    with pytest.raises(ValueError, match="why"):
        from_json([{"question": "why", "answer": {}, "how": "", "confidence": 1, "records": []}])


def test_vocabulary() -> None:
    assert len(QUESTIONS) == 8
    assert {"message", "reply", "correction"} == TEXTUAL
    assert set(KINDS) > TEXTUAL
