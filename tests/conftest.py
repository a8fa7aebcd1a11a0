"""For all tests: where CI=true nothing may be skipped, and the reasons of what was are printed at the end."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

SKIPS_FAIL = os.environ.get("CI") == "true"
"""In CI the foreign servers and clients are installed and networks can be made: a test that is skipped there has tested
nothing. But for those marked `elsewhere`."""

# Deadlines measure the machine. Where a change is judged, the same examples judge every change; elsewhere new ones look
# for new mistakes.
settings.register_profile("here", deadline=None, derandomize=SKIPS_FAIL)
settings.load_profile("here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if SKIPS_FAIL and report.skipped and not item.get_closest_marker("elsewhere") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {reason(report)}"
    return report


def reason(report: Any) -> str:
    """Why a test was skipped, without the place."""
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(text).removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("skipped, and why")
    counted: dict[str, int] = {}
    for report in skipped:
        counted[reason(report)] = counted.get(reason(report), 0) + 1
    for text, count in sorted(counted.items()):
        terminalreporter.write_line(f"{count:4} {text}")
