"""Curves: the same figures give the same picture."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET

from quietwire.lab.figures import Figure
from quietwire.lab.study.curves import svg
from quietwire.lab.study.matrix import Curve


def line(system: str, *values: float) -> Curve:
    return Curve(
        system,
        tuple(
            Figure(
                "server-network", "who writes to whom", system, value, value, value, 0.01, 0.01, "share", True,
                over="messages observed", at=10.0**place,
            )
            for place, value in enumerate(values)
        ),
    )  # fmt: skip


def test_a_curve_for_each_system_and_one_for_a_blind_guess() -> None:
    lines = [line("prosody", 0.1, 0.5, 0.9), line("quietwire-steady", 0.01, 0.01, 0.02)]
    picture = svg("who writes to whom", "messages observed", lines)
    assert picture == svg("who writes to whom", "messages observed", lines)
    texts = [
        "".join(each.itertext()).strip() for each in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    ]
    for wanted in (
        "who writes to whom",
        "messages observed",
        "share",
        "~prosody",
        "~quietwire-steady",
        "a blind guess",
    ):
        assert wanted in texts


def test_points_are_a_picture_too() -> None:
    assert "quietwire-steady" in svg(
        "what happened", "KB a second", [line("prosody", 0.1), line("quietwire-steady", 0.2)]
    )


def test_many_lines_with_long_names_leave_the_picture_its_room() -> None:
    many = [line(f"quietwire-jitter, padding + delay + grouping + garbage {number}", 0.5, 0.6) for number in range(20)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = svg("Where", "receipts", many)
    assert all(one.system in picture for one in many)
