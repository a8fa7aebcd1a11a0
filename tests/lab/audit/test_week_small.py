"""A small scripted week on our server and on Prosody, as processes: the search that finds every canary in Prosody's
storage finds none in ours. `make audit` runs the large one."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import week
from week_plan import FIELDS, make_plan

ACCOUNTS, DAYS, EVENING = 6, 2, 8

NOT_IN_PROSODY = {
    "password", "status", "parting status", "capabilities node", "client feature", "client software", "client device",
    "removed contact", "replaced vcard", "retracted item", "push service", "push node", "push secret", "ban reason",
}  # fmt: skip
"""What Prosody has no place for, or has overwritten: its files are written anew with each change."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> week.Week:
    plan = make_plan(ACCOUNTS, DAYS, seed=3)
    folder = tmp_path_factory.mktemp("week")
    servers = ["quietwire", *(["prosody"] if shutil.which("prosody") else [])]
    return asyncio.run(week.week(servers, plan, folder, quick=True, evening=EVENING))


NOT_IN_EJABBERD = {"password", "status", "client software", "client device"}
"""What ejabberd has no place for. What was replaced or removed stays in the log of its transactions for a while."""
RACES = 0.95
"""Share that must be there: it refuses some of what is set at the same moment, and writes tables some time later."""


def cases(lived: week.Week, system: str, thief: str) -> list[week.Case]:
    found = [case for case in lived.cases if (case.system, case.thief) == (system, thief)]
    assert {case.owners for case in found} == {"away", "half on"}
    return found


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.skipif(shutil.which("prosody") is None, reason="Prosody is not installed (apt install prosody)")
def test_every_canary_is_found_in_prosodys_storage(lived: week.Week) -> None:
    case = next(case for case in cases(lived, "prosody", "files") if case.owners == "away")
    kept = {name: count for name, count in case.planted.items() if name not in NOT_IN_PROSODY}
    assert {name: case.found[name] for name in kept} == kept
    assert set(FIELDS) - set(case.planted) <= {"invited name", "room password"}
    assert case.edges is not None
    assert (case.edges.precision, case.edges.recall) == (1, 1)


@pytest.mark.slow
def test_none_is_found_in_ours_without_the_key(lived: week.Week) -> None:
    for case in cases(lived, "quietwire", "backup"):
        assert sum(case.planted.values()) > 400
        assert {name: count for name, count in case.found.items() if count} == {}
        assert case.categories == {}
        assert case.left["clear"] == {}
        assert case.pages["free_with_content"] == 0


@pytest.mark.slow
def test_none_that_is_sealed_is_found_with_the_key(lived: week.Week) -> None:
    assert week.must_not(lived.cases) == []
    for case in cases(lived, "quietwire", "disk"):
        assert case.found["push secret"] == case.planted["push secret"], "what is under the key must be opened"
        assert case.found["room body"] == case.planted["room body"]
        assert case.edges is not None
        assert case.edges.said == 0


@pytest.mark.slow
def test_no_key_of_who_is_away_is_in_memory(lived: week.Week) -> None:
    away, half = lived.seizures
    if away.readable:
        pytest.skip(f"memory cannot be read: {away.readable}")
    assert set(away.away.values()) == {0}
    assert set(half.away.values()) == {0}
    assert half.on["secret"] == half.accounts_on, "a search that finds no key of who is on finds nothing"
    assert half.on["password"] == 0


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.skipif(shutil.which("ejabberdctl") is None, reason="ejabberd is not installed (apt install ejabberd)")
def test_canaries_are_found_in_ejabberds_storage(tmp_path: Path) -> None:
    plan = make_plan(ACCOUNTS, DAYS, seed=4)
    told = asyncio.run(week.week(["ejabberd"], plan, tmp_path, quick=True, evening=EVENING))
    case = next(case for case in cases(told, "ejabberd", "files") if case.owners == "away")
    kept = [name for name in case.planted if name not in NOT_IN_EJABBERD and not name.startswith("upload")]
    assert sum(case.found[name] for name in kept) >= RACES * sum(case.planted[name] for name in kept)
    assert case.categories["messages"] > 0
    assert case.categories["groups"] > 0
    assert case.edges is not None
    assert case.edges.recall == 1
