from __future__ import annotations

import logging

import pytest

from quietwire.client.quiet import silence


def test_a_silenced_library_logs_nothing_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    before = logging.getLogger("some_library.part")
    silence("some_library")
    for logger in (before, logging.getLogger("some_library"), logging.getLogger("some_library.later")):
        logger.critical("secret")
    assert not caplog.records
