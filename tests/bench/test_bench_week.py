"""The scripted week apart from any server: its plan, its stanzas, what counts as bad, its tables."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import week
import week_figures
import week_stanzas
from week_plan import FIELDS, LETTERS, make_plan
from week_seizure import Seizure

from quietwire.lab.audit.score import Score

SCORE = Score(3, 4, 1.0, 0.75, 0.1, 0.9)


def case(**changes: object) -> week.Case:
    made = week.Case("quietwire", "1", "away", "backup", "cut")
    made.planted, made.found = {"body": 10, "push node": 2, "room body": 4}, {"body": 0, "push node": 0, "room body": 0}
    made.edges = SCORE
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_same_seed_is_the_same_week() -> None:
    one, other = make_plan(20, 4, 7), make_plan(20, 4, 7)
    assert (one.people, one.friends, one.there, one.rooms, one.strangers) == (
        other.people, other.friends, other.there, other.rooms, other.strangers,
    )  # fmt: skip
    assert make_plan(20, 4, 8).friends != one.friends


def test_everybody_has_a_friend_and_no_stranger_is_one() -> None:
    plan = make_plan(50, 7, 1)
    assert len(plan.people) == 50
    assert all(plan.contacts(name) for name in plan.people)
    friends = {frozenset(pair) for pair in plan.friends}
    assert len(friends) == len(plan.friends)
    assert not friends & {frozenset(pair) for pair in plan.strangers}
    assert all(room.owner not in room.members for room in plan.rooms)
    assert len(plan.there) == 7
    assert set(plan.there[0]) == set(plan.people)


def test_canaries_are_all_different_and_can_stand_anywhere(tmp_path: Path) -> None:
    plan = make_plan(10, 2, 1)
    words = [plan.canaries.new(name) for name in FIELDS for _ in range(20)]
    assert len(set(words)) == len(words)
    assert all(set(word) <= set(LETTERS + "zq") and len(word) == 12 for word in words)
    plan.canaries.write(tmp_path / "canaries")
    lines = (tmp_path / "canaries").read_text().splitlines()
    assert {json.loads(line)["text"] for line in lines} >= set(words)


FUNCTIONS = [
    function
    for name, function in inspect.getmembers(week_stanzas, inspect.isfunction)
    if not name.startswith("_") and name not in ("picture", "form", "configured", "chat", "published")
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_stanza_is_well_formed_and_says_what_it_is_given(function: Callable[..., str]) -> None:
    words = {name: f"word{number}" for number, name in enumerate(inspect.signature(function).parameters)}
    text = function(*words.values())
    ET.fromstring(text)
    assert all(word in text for word in words.values())


def test_stanzas_with_forms() -> None:
    for text in (
        week_stanzas.published("n", "i", "<a/>", week_stanzas.OPEN),
        week_stanzas.configured({"roomname": "x"}),
        week_stanzas.chat("a@b", "i", "b", subject="s", thread="t", origin="o", nick="n", payload="p"),
        week_stanzas.LAST_PAGE,
    ):
        ET.fromstring(text)


def test_a_picture_is_one() -> None:
    picture = week_stanzas.picture("zqcomment")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"zqcomment" in picture


def test_what_must_not_be_there() -> None:
    assert week.must_not([case()]) == []
    assert len(week.must_not([case(found={"push node": 1})])) == 1
    assert week.must_not([case(thief="disk", found={"push node": 2, "room body": 4, "account": 1})]) == []
    assert "body: 1 of 10" in week.must_not([case(thief="disk", found={"body": 1})])[0]
    assert week.must_not([case(system="prosody", thief="files", found={"body": 10})]) == []


def test_the_page_keeps_what_others_wrote(tmp_path: Path) -> None:
    seized = Seizure("away", size=1, accounts_away=2, away={"secret": 0}, on={"secret": 0}, server={"server key": 1})
    attacked = case(attacks={"co-write, archive": SCORE}, luck={"co-write, archive": 0.01})
    result = week.Week(2, 3, 1, 9, 5, [attacked, case(system="prosody", thief="files", log="")], [seized], 12.0)
    page = tmp_path / "figures.md"
    week_figures.update(page, result)
    first = page.read_text()
    page.write_text(first + "\n## Others\n\nStay.\n")
    week_figures.update(page, result)
    assert page.read_text() == first + "\n## Others\n\nStay.\n"
    assert "| Quietwire | backup | away | cut | co-write, archive | 3 | 1.00 | 0.75 | 0.10 | 0.90 | 0.01 |" in first
    assert "| away | secret | 0 of 2 | - |" in first
    assert "| sealed to their owner | 0 of 10 | 0 of 10 |" in first
