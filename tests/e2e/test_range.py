"""The shooting range with real servers and clients: eight people for half a minute, with every kind of happening."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from quietwire.cli.lab_range import means
from quietwire.lab.people.model import KINDS
from quietwire.lab.range.bed import run
from quietwire.lab.range.scenario import Scenario
from quietwire.lab.range.truth import Event, read
from quietwire.lab.trace import LinkTrace, Record, read_links
from quietwire.shaping.presets import DESKTOP

pytestmark = pytest.mark.slow

SERVERS = {
    "quietwire": (),
    "prosody": pytest.mark.skipif(shutil.which("prosody") is None, reason="Debian's prosody is not installed"),
    "ejabberd": pytest.mark.skipif(shutil.which("erl") is None, reason="Debian's ejabberd is not installed"),
}
ANSWERED = {"roster", "archive-page", "bundle", "profile", "ping", "publish", "upload"}
"""Kinds that make an answer, of at least one record, come back on the same link."""


CELL = DESKTOP.cell + 17
"""A cell as a TLS record of its own."""
ALERT = 2 + 17
"""What closes a link, whatever its profile (RFC 8446 §6.1)."""


def play(folder: Path, scenario: Scenario) -> tuple[list[Event], LinkTrace, dict[str, dict[str, int]]]:
    place = asyncio.run(run(scenario, folder, lambda what, done=0, total=0: None, means()))
    trace = read_links(place / "traces" / "server-network.a.example.jsonl")
    return read(place / "truth.jsonl"), trace, json.loads((place / "done.json").read_text())


def small(**more: object) -> Scenario:
    return Scenario(users=8, seconds=25.0, plan="small", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "system",
    [pytest.param(name, marks=[pytest.mark.peer, mark] if mark else []) for name, mark in SERVERS.items()],
)
def test_every_kind_happens_and_shows_on_its_link(tmp_path: Path, system: str) -> None:
    truth, trace, done = play(tmp_path, small(system=system))
    assert not done["left_out"]
    assert {event.kind for event in truth if event.way == "up"} == set(KINDS)
    sent = Counter(event.kind for event in truth if event.way == "up")
    for kind, count in done["done"].items():
        assert sent[kind] >= count, kind
    down = {(event.id, event.user) for event in truth if event.way == "down"}
    for event in truth:
        if event.kind in ("message", "typing", "receipt") and event.way == "up":
            assert (event.id, event.peer) in down, event
    links: dict[str, list[Record]] = {}
    for record in trace.events:
        if isinstance(record, Record):
            links.setdefault(record.link, []).append(record)
    for event in truth:
        near = [r for r in links[event.link] if event.at - 0.5 <= r.time <= event.at + 5.0]
        assert any(r.direction == event.way for r in near), event
        if event.kind in ANSWERED and event.way == "up":
            assert any(r.direction == "down" and r.time >= event.at for r in near), event


def test_a_steady_link_on_both_sides_has_one_size_and_a_tick(tmp_path: Path) -> None:
    links = {"tick": 1.0, "fast_tick": 0.5, "window": 5.0}
    truth, trace, done = play(tmp_path, small(server="steady", client="steady", links=links))
    assert (
        {"typing", "room-typing"} <= set(done["left_out"]) <= {"typing", "room-typing", *ANSWERED}
    )  # answers are slow
    assert done["done"]["message"] == 8
    xmpp = {event.link for event in truth if event.kind in ("login", "resume")}
    begun = {event.link: event.at for event in truth if event.kind in ("login", "resume")}
    gaps: list[float] = []
    for link in xmpp:
        records = [r for r in trace.events if isinstance(r, Record) and r.link == link and r.type == "app"]
        late = [r for r in records if r.time > begun[link] + 1.0 and r.size != ALERT]
        assert {r.size for r in late} <= {CELL}, link
        for way in ("up", "down"):
            times = [r.time for r in late if r.direction == way]
            gaps += [b - a for a, b in itertools.pairwise(times)]
    kept = sum(1 for gap in gaps if min(abs(gap - 0.5), abs(gap - 1.0)) < 0.1)
    assert kept > 0.8 * len(gaps) > 0  # the rest is what a busy machine makes late


def test_the_same_scenario_again_is_there_already(tmp_path: Path) -> None:
    scenario = Scenario(users=2, seconds=5.0, plan="small")
    play(tmp_path, scenario)
    told: list[str] = []
    asyncio.run(run(scenario, tmp_path, lambda what, done=0, total=0: told.append(what), means()))
    assert not told


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("prosody") is None, reason="Debian's prosody is not installed")
def test_two_servers_and_shields(tmp_path: Path) -> None:
    truth, trace, _ = play(tmp_path, small(system="prosody", servers=2))
    assert {event.kind for event in truth if event.way == "up"} == set(KINDS)
    assert any(r.link not in {e.link for e in truth} for r in trace.events)  # links between servers
    links = {"tick": 0.5, "fast_tick": 0.25, "window": 5.0}
    shielded = Scenario(
        "prosody", "both", server="steady", client="steady", users=3, seconds=12.0, plan="small", links=links
    )
    truth, trace, _ = play(tmp_path, shielded)
    begun = {event.link: event.at for event in truth if event.kind in ("login", "resume")}
    assert len(begun) == 4 + 4  # each device's login, and each of them resumes once
    for event in truth:
        if event.kind in ("message", "ping"):
            assert event.at > begun[event.link]
    for way in ("up", "down"):
        records = [r for r in trace.events if isinstance(r, Record) and r.direction == way and r.link in begun]
        late = {r.size for r in records if r.type == "app" and r.time > begun[r.link] + 2.0 and r.size != ALERT}
        assert late == {CELL}, way
