from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quietwire.lab.range import cache
from quietwire.lab.range.scenario import Scenario


class Maker:
    """Makes a result, or fails."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.made: list[Path] = []
        self.error = error

    async def __call__(self, place: Path) -> dict[str, Any]:
        self.made.append(place)
        (place / "server.log").write_text("what it said")
        if self.error is not None:
            raise self.error
        return {"events": 3}


def cached(scenario: Scenario, folder: Path, make: Maker) -> tuple[Path, bool]:
    return asyncio.run(cache.cached(scenario, folder, make))


def test_a_result_is_made_once(tmp_path: Path) -> None:
    make = Maker()
    place, there = cached(Scenario(), tmp_path, make)
    assert not there
    assert json.loads((place / "done.json").read_text()) == {"events": 3}
    assert cached(Scenario(), tmp_path, make) == (place, True)
    assert make.made == [place]


def test_another_seed_is_another_result(tmp_path: Path) -> None:
    make = Maker()
    one, _ = cached(Scenario(), tmp_path, make)
    two, there = cached(Scenario(seed=2), tmp_path, make)
    assert not there
    assert one != two


def test_what_failed_is_kept_for_a_look_and_made_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no"):
        cached(Scenario(), tmp_path, Maker(OSError("no")))
    (failed,) = tmp_path.iterdir()
    assert failed.name.endswith(".failed")
    assert (failed / "server.log").read_text() == "what it said"
    place, there = cached(Scenario(), tmp_path, Maker())
    assert not there
    assert list(tmp_path.iterdir()) == [place]


def test_what_was_interrupted_and_could_not_even_fail_is_made_again(tmp_path: Path) -> None:
    place, _ = cached(Scenario(), tmp_path, Maker())
    (place / "done.json").unlink()
    (place / "rest").touch()
    assert cached(Scenario(), tmp_path, Maker()) == (place, False)
    assert not (place / "rest").exists()


def test_the_key_is_of_all_it_depends_on() -> None:
    base = cache.depends(Scenario())
    assert cache.key(base) == cache.key(json.loads(json.dumps(base)))
    for name in ("scenario", "code", "versions", "plan"):
        assert cache.key({**base, name: "other"}) != cache.key(base)
    assert base["versions"].keys() == {"quietwire", "slixmpp", "python", "tls"}


def test_our_server_counts_where_it_plays_and_the_shaping_where_clients_shape() -> None:
    codes = [
        cache.depends(scenario)["code"]
        for scenario in (
            Scenario(),
            Scenario(system="prosody"),
            Scenario(system="prosody", client="steady"),
            Scenario(system="prosody", shield="client"),
        )
    ]
    assert len(set(codes)) == 4


def test_a_plan_of_ones_own_counts_with_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    file.write_text("a")
    one = cache.depends(replace(Scenario(), plan=str(file)))
    file.write_text("b")
    assert cache.key(cache.depends(replace(Scenario(), plan=str(file)))) != cache.key(one)
    assert cache.depends(Scenario(plan="small"))["plan"] == ""


def test_code_is_known_by_its_bytes_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    first = cache.code(["a", "b.py"], tmp_path)
    assert cache.code(["b.py", "a", "a"], tmp_path) == first
    assert cache.code(["a", "b.py", "none.py"], tmp_path) == first
    (tmp_path / "a" / "notes.txt").write_text("no code")
    assert cache.code(["a", "b.py"], tmp_path) == first
    (tmp_path / "a" / "two.py").write_text("")
    assert cache.code(["a", "b.py"], tmp_path) != first


def test_all_that_is_named_is_there() -> None:
    for part in (*cache.BED, *cache.CLIENT, *cache.SERVER, *cache.SHIELD):
        assert (cache.ROOT / part).exists(), part
