from __future__ import annotations

import pytest
from figures import FAILED, Row, Table, document, markdown, rows, shown, text, value

FAST = Row("fast", "fast work", "µs", "us_per_message", ("chat",), floors=(("prosody", 0.5), ("ejabberd", 0.9)))
IDLE = Row("idle500", "memory", "KB", "kb_per_session", ("idle",), "500")


def result(figure: float, **more: object) -> dict[str, object]:
    return {"us_per_message": figure, "p50_ms": 1.5, "p99_ms": 9.0, "ack_p50_ms": 2.0, "ack_p99_ms": 30.0, **more}


def table(ours: list[float], prosody: list[float], ejabberd: list[float] | None = None) -> Table:
    servers = {"quietwire": ours, "prosody": prosody, "ejabberd": ejabberd or []}
    return Table([FAST], list(servers), {"fast": {name: [result(n) for n in found] for name, found in servers.items()}})


def test_the_rows_carry_the_floors_of_saturated_paced_and_memory() -> None:
    floors = {row.key: dict(row.floors) for row in rows()}
    assert floors["lean"] == floors["rich"] == floors["two"] == {"prosody": 0.5, "ejabberd": 0.5}
    assert floors["lean500"] == floors["rich500"] == {"prosody": 0.9, "ejabberd": 0.9}
    assert floors["idle500"] == floors["idle2000"] == {"prosody": 1.0}
    assert len({row.key for row in rows()}) == len(rows())


def test_idle_rows_share_one_run() -> None:
    commands = [row.arguments for row in rows((10, 20)) if row.step and row.setup == "plain"]
    assert commands == [("idle", "--steps", "10,20")] * 2


def test_a_value_is_a_figure_or_one_step_of_it() -> None:
    assert value(FAST, result(3)) == 3.0
    assert value(IDLE, {"kb_per_session": {"500": 41.5, "2000": 40}}) == 41.5
    with pytest.raises(KeyError):
        value(FAST, {})
    with pytest.raises(TypeError):
        value(FAST, {"us_per_message": "12"})


def test_medians_and_spread_over_the_rounds() -> None:
    found = table([10, 30, 20], [40])
    assert found.median(FAST, "quietwire") == 20
    assert found.spread(FAST, "quietwire") == (10, 30)
    assert found.median(FAST, "ejabberd") is None


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    found = table([10, 60, 20], [20, 80, 80])  # 0.5, 0.75, 0.25
    assert found.ratio(FAST, "prosody") == 0.5
    assert found.ratio(FAST, "ejabberd") is None


@pytest.mark.parametrize(("ours", "passed"), [(50, True), (50.1, False)])
def test_a_floor_holds_up_to_its_value(ours: float, passed: bool) -> None:
    verdicts = table([ours], [100]).verdicts()
    assert [(v.peer, v.passed) for v in verdicts] == [("prosody", passed), ("ejabberd", None)]


def test_the_cells_name_servers_and_mark_floors() -> None:
    head, line = table([50], [100], [50]).cells()
    assert head == ["work", "unit", "quietwire", "prosody", "ejabberd", "ours/prosody", "ours/ejabberd"]
    assert line == ["fast work", "µs", "50.0", "100", "50.0", "0.50 ✓", "1.00 ✗ (floor 0.9)"]


def test_without_ours_there_are_no_ratios() -> None:
    found = Table([FAST], ["prosody"], {"fast": {"prosody": [result(7)]}})
    assert found.cells() == [["work", "unit", "prosody"], ["fast work", "µs", "7.00"]]


@pytest.mark.parametrize(("number", "text"), [(None, "–"), (0.123, "0.12"), (12.34, "12.3"), (123.4, "123")])
def test_numbers_are_shown_with_three_digits(number: float | None, text: str) -> None:
    assert shown(number) == text


def test_tables_as_markdown_and_as_text() -> None:
    cells = [["a", "b"], ["long", "1"]]
    assert markdown(cells) == "| a | b |\n| --- | --- |\n| long | 1 |"
    assert text(cells) == "a     b\nlong  1"


def test_the_document_has_figures_latencies_verdicts_and_facts() -> None:
    written = document(table([60], [100], [100]), {"command": "make bench"})
    assert "- command: make bench" in written
    assert "| fast work | µs | 60.0 | 100 | 100 | 0.60 ✗ (floor 0.5) | 0.60 ✓ |" in written
    assert "1.50 / 9.00" in written
    assert "2.00 / 30.0" in written
    assert "| fast work | prosody | ≤ 0.5 | 0.60 | **fail** |" in written
    assert "| fast work | ejabberd | ≤ 0.9 | 0.60 | pass |" in written


def test_two_of_ejabberd_are_not_set_up() -> None:
    assert {row.key for row in rows() if "ejabberd" in row.without} == {"servers", "servers500"}


def test_a_round_that_a_peer_did_not_get_through_counts_for_nobody() -> None:
    both = {"quietwire": [result(10), result(30)], "prosody": [{FAILED: "hung up"}, result(60)]}
    found = Table([FAST], list(both), {"fast": both})
    assert found.ratio(FAST, "prosody") == 0.5
    assert found.median(FAST, "prosody") == 60
    assert found.median(FAST, "quietwire") == 20
    assert Table([FAST], ["prosody"], {"fast": {"prosody": [{FAILED: "hung up"}]}}).median(FAST, "prosody") is None
