"""Figures from an audit's week and from a demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quietwire.lab.study.others import of_audit, of_demo, read, wilson

SCORE = {"said": 10, "true": 40, "precision": 0.5, "recall": 0.25, "chance": 0.1, "area": 0.6}


def case(**more: Any) -> dict[str, Any]:
    return {
        "system": "quietwire", "owners": "away", "thief": "disk", "log": "open", "found": {"body": 5},
        "planted": {"body": 10, "subject": 10, "never": 0}, "edges": None, "attacks": {}, "luck": {}, **more,
    }  # fmt: skip


def test_a_thief_reads_so_much_of_what_clients_wrote() -> None:
    seizure = {"owners": "half on", "readable": "", "canaries": {"body": 1}, "planted": {"body": 4}}
    disk, memory = of_audit({"cases": [case(), case(log="cut")], "seizures": [seizure]})
    assert (disk.adversary, disk.system, disk.value, disk.chance) == ("disk", "quietwire", 0.25, 0.0)
    assert disk.low == 0.0
    assert disk.high == 0.5
    assert (memory.adversary, memory.value) == ("seizure", 0.25)


def test_pairs_are_named_outright_or_by_the_best_attack() -> None:
    attacks = {"order": {**SCORE, "area": 0.5}, "times": SCORE}
    found = of_audit({"cases": [case(thief="backup", edges=SCORE, attacks=attacks, luck={"times": 0.3})]})
    _, outright, attacked = found
    assert (outright.adversary, outright.value, outright.chance) == ("backup", 0.25, 0.0)
    assert (attacked.value, attacked.chance) == (0.25, 0.1)
    assert "times; as good by luck in 30%" in attacked.note


def test_who_has_files_without_a_key_has_all() -> None:
    (figure,) = of_audit({"cases": [case(thief="files", system="prosody")]})
    assert (figure.adversary, figure.system) == ("disk", "prosody")


def test_of_a_demo_the_servers() -> None:
    cells = [
        {"adversary": "live-server", "question": "when", "learned": 0.8, "how": "times"},
        {"adversary": "client-network", "question": "when", "learned": 0.7, "how": "times"},
    ]
    other = [{**cells[0], "learned": 0.9}]
    (figure,) = of_demo({"worlds": {"off": {"cells": cells}, "padded": {"cells": other}}})
    assert (figure.adversary, figure.question, figure.low, figure.value) == ("live-server", "one talk: when", 0.8, 0.9)


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text(json.dumps({"cases": [case()]}))
    assert len(read(path)) == 1
    for wrong in ("{}", "[]", "no", '{"cases": [{}]}'):
        path.write_text(wrong)
        with pytest.raises(ValueError):
            read(path)


def test_the_interval_of_a_share_holds_it() -> None:
    assert wilson(0.5, 100) == pytest.approx((0.404, 0.596), abs=0.001)
    assert wilson(0.0, 100) == pytest.approx((0.0, 0.037), abs=0.001)
    assert wilson(1.0, 0) == (0.0, 1.0)
