from __future__ import annotations

from pathlib import Path

from quietwire.lab.truth import Event, Facts, TruthWriter, digest, read, read_facts, write_facts


def test_events_of_several_actors_are_read_by_time(tmp_path: Path) -> None:
    late = Event(2.0, "a@a.example", "phone", "got", "message", "b@b.example", "1", 5, "aa", True)
    early = Event(1.0, "b@b.example", "phone", "sent", "message", "a@a.example", "1", 5, "aa")
    for name, event in (("x", late), ("y", early)):
        writer = TruthWriter(tmp_path / name)
        writer.write(event)
        writer.close()
    assert read([tmp_path / "x", tmp_path / "y"]) == [early, late]


def test_facts(tmp_path: Path) -> None:
    facts = Facts({"a@a.example": {"phone": "198.51.100.1"}}, {"a@a.example": ["b@b.example"]})
    write_facts(tmp_path / "f", facts)
    assert read_facts(tmp_path / "f") == facts
    assert facts.account_at("198.51.100.1") == "a@a.example"
    assert facts.account_at("198.51.100.2") is None


def test_digest_tells_texts_apart_and_does_not_hold_them() -> None:
    assert digest("hello") == digest("hello") != digest("hello ")
    assert "hello" not in digest("hello")
