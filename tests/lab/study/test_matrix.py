"""Which figure stands in which cell, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest

from quietwire.lab.figures import Figure
from quietwire.lab.study.matrix import (
    Row,
    by_cost,
    by_size,
    changed,
    curves,
    kinds,
    learned,
    prices,
    rows,
    systems,
    told,
)


def figure(value: float = 0.5, **more: Any) -> Figure:
    given: dict[str, Any] = {
        "adversary": "client-network", "question": "what happened", "system": "quietwire-off", "low": value - 0.1,
        "high": value + 0.1, "chance": 0.1, "base_rate": 0.1, "unit": "share", "simulated": False,
    }  # fmt: skip
    return Figure(value=value, **(given | more))


def test_a_row_is_a_question_with_a_cell_for_each_system() -> None:
    found = rows([figure(), figure(0.2, system="prosody"), figure(adversary="server-network", question="who")])
    assert [(row.adversary, row.question, sorted(row.cells)) for row in found] == [
        ("server-network", "who", ["quietwire-off"]),
        ("client-network", "what happened", ["prosody", "quietwire-off"]),
    ]


def test_of_several_attacks_the_best_counts_and_of_several_sizes_the_largest() -> None:
    small = figure(0.9, detail={"users": 10.0})
    weak, strong = figure(0.3, detail={"users": 1000.0}), figure(0.4, detail={"users": 1000.0})
    (row,) = rows([small, weak, strong])
    assert row.cells["quietwire-off"] is strong


def test_of_a_curve_the_point_that_all_have_near_the_one_that_is_asked_for() -> None:
    points = [figure(0.2 + at / 1000, over="messages observed", at=float(at)) for at in (1, 50, 500)]
    (row,) = rows(points)
    assert (row.at, row.cells["quietwire-off"]) == (50.0, points[1])
    assert row.title == "what happened, messages observed 50"
    other = [figure(0.3, system="prosody", over="messages observed", at=float(at)) for at in (1, 100, 500)]
    (row,) = rows(points + other)
    assert row.at == 1.0
    assert set(row.cells) == {"quietwire-off", "prosody"}


def test_a_point_is_no_curve() -> None:
    points = [figure(0.2, over="N", at=float(at)) for at in (3, 1)]
    ((key, (line,)),) = curves([*points, figure(0.3, system="prosody", over="N", at=1.0), figure()]).items()
    assert key == ("client-network", "what happened", "N")
    assert (line.system, [point.at for point in line.points]) == ("quietwire-off", [1.0, 3.0])


def test_our_columns_come_first_the_least_protected_before_the_others() -> None:
    names = ["prosody", "quietwire-steady", "ejabberd", "quietwire-off", "quietwire-padded", "prosody-shield-steady"]
    row = Row("client-network", "q", "", None, {name: figure(system=name) for name in names})
    assert systems([row]) == [
        "quietwire-off", "quietwire-padded", "quietwire-steady", "ejabberd", "prosody", "prosody-shield-steady",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"base_rate": 0.2}, "50 % (40 % to 60 %; blind 10 %; base rate 20 %)"),
        ({"detail": {"clock alone": 0.14}}, "50 % (40 % to 60 %; blind 10 %; clock alone 14 %)"),
        ({"simulated": True, "worst": 0.7}, "~50 % (40 % to 60 %; blind 10 %), worst tenth 70 %"),
        ({"unit": "bits"}, "0.5 bits (0.4 to 0.6; blind 0.1)"),
        ({"unit": "area under ROC"}, "0.50 (0.40 to 0.60; blind 0.10)"),
        ({"value": 0.003, "low": 0.0, "high": 0.01}, "0.3 % (0 % to 1 %; blind 10 %)"),
        (
            {"value": 44.0, "low": 40.0, "high": 50.0, "chance": 86.0, "base_rate": 0.0, "unit": "characters"},
            "44 characters (40 to 50; blind 86)",
        ),
    ],
)  # fmt: skip
def test_a_cell_has_figure_interval_and_what_a_blind_guess_gets(more: dict[str, Any], text: str) -> None:
    assert told(figure(**more)) == text


@pytest.mark.parametrize(
    ("more", "share"),
    [
        ({"value": 0.1, "low": 0.0}, 0.0),
        ({"value": 1.0, "high": 1.0}, 1.0),
        ({"value": 0.3, "detail": {"clock alone": 0.3}}, 0.0),
        ({"value": 0.75, "chance": 0.5, "unit": "AUC"}, 0.5),
        ({"value": 2.0, "low": 1.0, "high": 3.0, "unit": "bits", "detail": {"bits of a length": 4.0}}, 0.5),
        ({"value": 43.0, "low": 40.0, "high": 50.0, "chance": 86.0, "unit": "characters"}, 0.5),
        ({"value": 90.0, "low": 40.0, "high": 95.0, "chance": 86.0, "unit": "characters"}, 0.0),
    ],
)
def test_colours_go_from_a_blind_guess_to_all_there_is(more: dict[str, Any], share: float) -> None:
    assert learned(figure(**more)) == pytest.approx(share)


def test_how_large_a_server_must_be_is_a_curve_at_some_numbers_of_messages() -> None:
    points = [
        figure(value, over="messages observed", at=at, detail={"users": users})
        for at in (5.0, 7.0)
        for users, value in ((10.0, 0.9), (100.0, 0.4), (100.0, 0.5))
    ]
    assert [(each.question, each.over, each.at, each.value) for each in by_size(points)] == [
        ("what happened, after 5 messages", "users of the server", 10.0, 0.9),
        ("what happened, after 5 messages", "users of the server", 100.0, 0.5),
    ]


def test_links_that_were_changed_afterwards_are_known_by_their_name() -> None:
    assert changed("prosody with padding + delay") == ("prosody", "padding + delay")
    assert changed("prosody") == ("prosody", "")


def test_kinds_and_prices_come_from_the_details() -> None:
    one = figure(detail={"recall ping up": 0.9, "precision ping up": 0.4, "KB a second": 1.5, "p95": 0.1})
    simulated = figure(question="linking", simulated=True, detail={"p95": 9.0, "p50": 4.0})
    assert kinds([one, simulated]) == {"ping up": {"quietwire-off": (0.9, 0.4)}}
    assert prices([simulated, one]) == {"quietwire-off": {"KB a second": 1.5, "p95": 0.1, "p50": 4.0}}


def test_what_is_given_away_over_what_it_costs_is_a_point_for_each_system() -> None:
    asked = "what happened, what is declared left out"
    points = [
        figure(question=asked, system=name, detail={"KB a second": cost}) for name, cost in (("a", 1.0), ("b", 2.0))
    ]
    ((key, (first, second)),) = by_cost([*points, figure(detail={"KB a second": 3.0})]).items()
    assert key == ("client-network", asked, "KB a second")
    assert [(line.system, line.points[0].at) for line in (first, second)] == [("a", 1.0), ("b", 2.0)]
    assert by_cost(points[:1]) == {}
