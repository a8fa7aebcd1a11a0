from __future__ import annotations

import pytest

from quietwire.cli.checks.finding import Finding, Severity, exit_status


@pytest.mark.parametrize(
    ("severities", "status"),
    [
        ([], 0),
        ([Severity.OK, Severity.NOTE], 0),
        ([Severity.WARNING, Severity.OK], 1),
        ([Severity.NOTE, Severity.ERROR, Severity.WARNING], 2),
    ],
)
def test_the_worst_decides(severities: list[Severity], status: int) -> None:
    assert exit_status(Finding(one, "dns", "x", "y") for one in severities) == status


def test_as_json() -> None:
    assert Finding(Severity.NOTE, "dns", "x", "y", "z").as_dict() == {
        "severity": "note", "area": "dns", "subject": "x", "cause": "y", "remedy": "z",
    }  # fmt: skip
