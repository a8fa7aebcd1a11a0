from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from quietwire.lab import demo
from quietwire.lab.findings import QUESTIONS
from quietwire.lab.processes import BedError
from quietwire.lab.testbed import Commands, World
from quietwire.lab.trace import LinkWriter

BROKEN = Commands(*[[sys.executable, "-c", "import sys; sys.exit('not today')"]] * 3)


def test_an_observer_gets_a_copy_of_its_evidence_and_nothing_else(tmp_path: Path) -> None:
    LinkWriter(tmp_path / "trace.jsonl", "client-network.alice").close()
    (tmp_path / "truth.jsonl").write_text("{}")
    findings = asyncio.run(demo.observe("client-network", tmp_path / "trace.jsonl", tmp_path / "observed"))
    assert {finding.question for finding in findings} == set(QUESTIONS)
    assert [path.name for path in (tmp_path / "observed").rglob("*") if path.is_file()] == ["trace.jsonl"]


def test_a_folder_is_handed_over_as_a_copy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "q.sqlite").write_bytes(b"x")
    findings = asyncio.run(demo.observe("disk", tmp_path / "data", tmp_path / "observed"))
    assert {finding.question for finding in findings} == set(QUESTIONS)
    assert (tmp_path / "observed" / "disk" / "data" / "q.sqlite").exists()


def test_each_adversary_has_evidence_and_no_text_may_be_in_it(tmp_path: Path) -> None:
    world = World(tmp_path, "off", BROKEN, lambda _: None)
    places = [path for _, path in demo.must_be_sealed(world)]
    assert set(demo.evidence(world)) == {"live-server", "disk", "server-network", "client-network", "peer-server"}
    for path in demo.evidence(world).values():
        assert any(path == place or place in path.parents for place in places)


def test_a_world_that_fails_ends_the_demo_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(BedError, match="not today"):
        asyncio.run(demo.run(tmp_path, seconds=20, seed=1, commands=BROKEN, say=lambda *_: None))


def test_any_violation_fails() -> None:
    assert not demo.failed([demo.Outcome("off"), demo.Outcome("padded")])
    assert demo.failed([demo.Outcome("off"), demo.Outcome("padded", violations=["lost: x"])])
