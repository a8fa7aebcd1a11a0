from __future__ import annotations

import json
from pathlib import Path

import pytest
from peers import PeerError
from run import arguments, asked, chosen, disturbed, main, needed, runs, told, tried


def test_rows_of_one_command_are_one_run() -> None:
    parsed = arguments().parse_args(["--secs", "3"])
    grouped = runs(chosen(parsed), parsed)
    assert [row.key for row in grouped[0][1]] == ["idle500", "idle2000"]
    chat = [command for command, _ in grouped if command[0] == "chat"]
    assert all(command[-4:] == ("--secs", "3.0", "--warm", "2") for command in chat)
    assert sum(len(group) for _, group in grouped) == len(chosen(parsed))


def test_rows_can_be_chosen_and_a_wrong_one_is_named_with_those_there_are() -> None:
    assert [row.key for row in chosen(arguments().parse_args(["--rows", "lean,login"]))] == ["login", "lean"]
    with pytest.raises(PeerError, match=r"no row nonsense; there are .*lean500"):
        chosen(arguments().parse_args(["--rows", "nonsense"]))


def test_quick_weighs_fewer_sessions() -> None:
    assert [row.step for row in chosen(arguments().parse_args(["--quick"])) if row.step] == ["100", "200", "300"]


def test_rows_of_another_setup_have_runs_of_their_own() -> None:
    wanted = [row for row in chosen(arguments().parse_args([])) if row.setup == "archive"]
    grouped = runs(wanted, arguments().parse_args([]))
    assert [[row.key for row in group] for _, group in grouped] == [["archive", "stored"], ["archive100"]]
    assert needed(wanted) == 800


def test_accounts_are_made_for_the_largest_row() -> None:
    assert needed(chosen(arguments().parse_args(["--rows", "storm"]))) == 2600
    assert needed(chosen(arguments().parse_args(["--rows", "idle500"]))) == 2600
    assert needed(chosen(arguments().parse_args(["--rows", "idlemany"]))) == 10600


def test_the_documented_command_names_no_file_of_this_machine() -> None:
    parsed = arguments().parse_args(["--rounds", "2", "--json", "/somewhere/x.json", "--rows", "lean"])
    assert asked(parsed) == "--rounds 2 --secs 5 --rows lean"


def test_a_run_is_disturbed_from_a_fifth_of_a_core() -> None:
    assert not disturbed({"other_cpu_s": 1.0, "wall_s": 5.0})
    assert disturbed({"other_cpu_s": 1.1, "wall_s": 5.0})
    assert not disturbed({})


@pytest.mark.parametrize(("ours", "status"), [(49.0, 0), (51.0, 1)])
def test_an_earlier_run_is_judged_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ours: float, status: int
) -> None:
    results = {"lean": {"quietwire": [{"us_per_message": ours}], "prosody": [{"us_per_message": 100.0}]}}
    earlier = tmp_path / "bench.json"
    earlier.write_text(json.dumps({"facts": {}, "servers": ["quietwire", "prosody"], "results": results}))
    assert main(arguments().parse_args(["--again", str(earlier), "--rows", "lean", "--floors"])) == status
    assert ("floor missed" in capsys.readouterr().out) is bool(status)


def test_an_earlier_run_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="holds no results"):
        main(arguments().parse_args(["--again", str(tmp_path / "missing.json")]))


class Refusing:
    """A server whose load generator gives up at once: nobody listens."""

    def __init__(self, name: str) -> None:
        self.name = name

    def arguments(self) -> list[str]:
        return ["--port", "1", "--host", "localhost", "--pid", "1"]

    def check(self) -> None:
        pass


def test_what_a_peer_does_not_get_through_is_a_result_without_a_figure() -> None:
    row = chosen(arguments().parse_args(["--rows", "login"]))[0]
    result = tried(Refusing("ejabberd"), row.arguments, None)  # type: ignore[arg-type]
    assert told(row, result).startswith("no figure: ejabberd: login -n 500: ")
    with pytest.raises(PeerError, match="quietwire: login"):
        tried(Refusing("quietwire"), row.arguments, None)  # type: ignore[arg-type]
