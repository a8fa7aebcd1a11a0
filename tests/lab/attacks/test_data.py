from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quietwire.lab.attacks import data
from quietwire.lab.attacks.probes import Probed
from quietwire.lab.attacks.told import Told
from quietwire.lab.trace import LinkWriter


def run(folder: Path, name: str, *, links: dict[str, float] | None = None) -> Path:
    """A folder as the test bed writes it: two people, one of whom uploads."""
    place = folder / name
    (place / "traces").mkdir(parents=True)
    for user in (0, 1):
        trace = LinkWriter(place / "traces" / f"client-network.u{user}.jsonl", f"client-network.u{user}")
        trace.open(100.0, f"L{user}", f"198.18.0.{user}", "a.example")
        trace.record(100.1, f"L{user}", "up", "app", 50)
        if user:
            trace.open(101.0, "L9", "198.18.0.1", "upload.a.example")
            trace.record(101.1, "L9", "up", "app", 9000)
        trace.close()
    server = LinkWriter(place / "traces" / "server-network.a.example.jsonl", "server-network.a.example")
    server.open(100.0, "L0", "198.18.0.0", "a.example")
    server.record(100.1, "L0", "up", "app", 50)
    server.close()
    rows = [("L0", 0, "message", 12), ("L9", 1, "upload", 8900)]
    lines = [
        json.dumps({"at": 100.09, "user": user, "kind": kind, "size": size, "link": link, "way": "up"})
        for link, user, kind, size in rows
    ]  # fmt: skip
    (place / "truth.jsonl").write_text("\n".join(lines) + "\n")
    facts = {
        "scenario": {"client": "steady", "server": "off", "links": links or {}, "people": {"pings": 6.0}},
        "addresses": {"0.0": "198.18.0.0", "1.0": "198.18.0.1"},
        "clients": {"1.0": "dino"},
    }
    (place / "facts.json").write_text(json.dumps(facts))
    return place


def test_a_run_is_read_with_users_clients_and_the_web_told_apart(tmp_path: Path) -> None:
    found = data.read(run(tmp_path, "prosody-shield-u2-9s-seed1-abc"))
    assert found.system == "prosody-shield"
    assert found.told.up == "steady"
    first, second, web = found.places
    assert [place.user for place in found.places] == [0, 1, 1]
    assert [place.client for place in found.places] == ["slixmpp", "dino", "dino"]
    assert [place.web for place in found.places] == [False, False, True]
    assert first.happened.kinds == ("message",)
    assert first.happened.sizes.tolist() == [12]
    assert second.happened.kinds == ()
    assert web.happened.kinds == ("upload",)
    assert "pings" in first.family


def test_people_of_another_run_are_other_people(tmp_path: Path) -> None:
    runs = [run(tmp_path, f"prosody-u2-9s-seed{n}-abc") for n in (1, 2)]
    (both,) = data.joined([data.read(each) for each in runs])
    assert sorted({place.user for place in both.places}) == [0, 1, 2, 3]


def test_who_was_measured_in_another_run_is_somebody_else_too(tmp_path: Path) -> None:
    one = data.Data("x", Told(), data.read(run(tmp_path, "x-u2-9s-seed1-abc")).places, probed=(measured(1),))
    (both,) = data.joined([one, one])
    assert [each.user for each in both.probed] == [1, 3]


def measured(user: int) -> Probed:
    return Probed(user, 0.1, np.zeros(3), np.zeros(3))


def test_other_parameters_are_another_system(tmp_path: Path) -> None:
    runs = [run(tmp_path, "q-u2-9s-seed1-abc"), run(tmp_path, "q-u2-9s-seed1-def", links={"tick": 6.0})]
    assert [one.system for one in data.joined([data.read(each) for each in runs])] == ["q default", "q tick 6"]


@pytest.mark.parametrize(
    ("name", "text"), [("facts.json", "["), ("facts.json", "[]"), ("truth.jsonl", "{}\n"), ("truth.jsonl", "what\n")]
)
def test_broken_folders_are_refused_in_a_line(tmp_path: Path, name: str, text: str) -> None:
    place = run(tmp_path, "q-u2-9s-seed1-abc")
    (place / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        data.read(place)


def test_a_folder_without_traces_is_refused(tmp_path: Path) -> None:
    place = run(tmp_path, "q-u2-9s-seed1-abc")
    for path in (place / "traces").glob("client*"):
        path.unlink()
    with pytest.raises(ValueError, match="no traces"):
        data.read(place)
