from __future__ import annotations

from dataclasses import fields, replace

import pytest

from quietwire.lab.people.parameters import FAMILIES, HABITS, Parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("family", "markov"), ("squeeze", 0.0), ("squeeze", float("nan")), ("messages", -1.0),
        ("messages", float("inf")), ("mixing", 1.5), ("file_share", -0.1), ("rooms", -1.0), ("talk", 1.0),
        ("talk", 5000.0), ("longest", 0), ("pings", float("nan")), ("tail", 0.0),
    ],
)  # fmt: skip
def test_what_cannot_be(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        replace(Parameters(), **{name: value})  # type: ignore[arg-type]


def test_the_compressed_day() -> None:
    assert Parameters().day == 86_400.0
    assert Parameters(squeeze=120.0).day == 720.0


def test_there_are_families_to_hold_out_and_forms_of_devices() -> None:
    assert len(FAMILIES) >= 3
    assert {habit.form for habit in HABITS.values()} == {"phone", "desktop", "web"}


def test_every_number_is_cited_or_said_to_be_chosen() -> None:
    """The docstring below each field names a study, or says that nobody has measured it."""
    import inspect

    from quietwire.lab.people import parameters

    source = inspect.getsource(parameters.Parameters)
    free = {"family", "squeeze", "start_hour", "rhythm", "background", "consequences", "longest", "pings"}
    for field in fields(Parameters):
        if field.name in free:
            continue
        text = source.split(f"    {field.name}: ", 1)[1].split('"""')[1]
        assert "hosen" in text or any(year in text for year in ("19", "20")), field.name
