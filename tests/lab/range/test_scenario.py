from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from quietwire.lab.range.scenario import Scenario, ScenarioError, made, read, sown
from quietwire.lab.road import Impairment


def test_what_is_compared_has_a_name() -> None:
    assert Scenario().label == "quietwire-off"
    assert Scenario(server="padded", client="padded").label == "quietwire-padded"
    assert Scenario(server="steady").label == "quietwire-server-steady"
    assert Scenario(client="jitter").label == "quietwire-client-jitter"
    assert Scenario(server="steady", client="padded").label == "quietwire-server-steady-client-padded"
    assert Scenario(system="prosody").label == "prosody"
    assert Scenario(system="ejabberd", shield="server", server="steady").label == "ejabberd-server-shield-steady"
    assert Scenario(system="prosody", shield="client", client="steady").label == "prosody-client-shield-steady"
    both = Scenario(system="prosody", shield="both", server="steady", client="steady")
    assert both.label == "prosody-shield-steady"
    assert replace(both, shield="server").label == "prosody-server-shield-steady-client-steady"
    assert replace(both, shield="tunnel").label == "prosody-tunnel-steady"
    assert Scenario(shield="client", server="padded", client="steady").label == (
        "quietwire-server-padded-client-shield-steady"
    )
    assert Scenario(system="ejabberd", server="padded", padding="records").label == "ejabberd-server-padded-records"
    assert Scenario(server="padded", client="padded", padding="spaces").label == "quietwire-padded-spaces"
    assert Scenario(server="steady", padding="spaces").label == "quietwire-server-steady"
    mixed = {"delay": 0, "batch": 0.3, "pad": True, "garbage": 2.5}
    assert Scenario(server="jitter", client="jitter", links=mixed).label == (
        "quietwire-jitter-delay0-batch0.3-pad-garbage2.5"
    )
    assert Scenario(servers=2, users=50, seconds=12.5, seed=3).name == "quietwire-off-pair-u50-12.5s-seed3"


def test_what_cannot_be_is_one_line() -> None:
    for wrong, word in (
        ({"system": "openfire"}, "system"),
        ({"server": "loud"}, "server"),
        ({"client": "loud"}, "client"),
        ({"content": "x"}, "content"),
        ({"servers": 3}, "servers"),
        ({"roads": (0.1, -0.1)}, "roads"),
        ({"spread": -1.0}, "spread"),
        ({"system": "prosody", "server": "steady"}, "shield"),
        ({"users": 1}, "users"),
        ({"seconds": 0}, "seconds"),
        ({"nothing": 1}, "no such key"),
        ({"users": "many"}, "int"),
        ({"shield": True}, "one of nothing, server"),
        ({"shield": "above"}, "shield"),
        ({"padding": "none"}, "padding"),
        ({"padding": "records", "shield": "both"}, "by spaces"),
        ({"system": "prosody", "server": "padded", "padding": "spaces"}, "shield before"),
        ({"system": "prosody", "server": "steady", "padding": "records"}, "shield before"),
        ({"shield": "tunnel", "server": "steady", "client": "off"}, "cells"),
        ({"system": "prosody", "server": "steady", "shield": "client"}, "shield before"),
        ({"up": {"loss": 2.0}}, "up"),
        ({"down": {"depth": 2.0}}, "down"),
    ):
        with pytest.raises(ScenarioError, match=word):
            made(wrong)


def test_whole_numbers_are_numbers_and_roads_are_tables() -> None:
    scenario = made({"seconds": 30, "up": {"delay": 0.1}}, Scenario(users=9))
    assert scenario == Scenario(users=9, seconds=30.0, up=Impairment(delay=0.1))
    assert json.loads(json.dumps(scenario.document()))["up"]["delay"] == 0.1


def test_a_file_has_what_holds_for_all_and_a_table_each(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("""users = 10
seeds = [1, 2]
[people]
squeeze = 60.0
[[scenario]]
server = "padded"
[[scenario]]
system = "prosody"
seconds = 20
""")
    found = read(file)
    assert [(s.label, s.users, s.seconds, s.seed) for s in found] == [
        ("quietwire-server-padded", 10, 120.0, 1),
        ("quietwire-server-padded", 10, 120.0, 2),
        ("prosody", 10, 20.0, 1),
        ("prosody", 10, 20.0, 2),
    ]
    assert found[0].people == {"squeeze": 60.0}


@pytest.mark.parametrize("text", ["users = ", "scenario = 3", "seeds = 3", 'seeds = ["a"]', "users = 1", "x = 1"])
def test_a_file_with_a_mistake_says_so(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ScenarioError, match=r"a\.toml"):
        read(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        read(tmp_path / "none.toml")


def test_sown() -> None:
    assert [each.seed for each in sown([Scenario()], [4, 5])] == [4, 5]


def test_ways_are_a_list_of_seconds(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("roads = [0, 0.05]\nspread = 0.3\n")
    (found,) = read(file)
    assert (found.roads, found.spread) == ((0.0, 0.05), 0.3)
    file.write_text("roads = ['far']\n")
    with pytest.raises(ScenarioError, match="roads"):
        read(file)
