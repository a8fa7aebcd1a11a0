from __future__ import annotations

import io

import pytest

from quietwire.cli.logs import ALLOWED, Log, redact


def written(level: str = "info") -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(level, stream), stream


def test_a_line_an_event() -> None:
    log, stream = written()
    log.note("listening", where="c2s", port="5222")
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "event='listening'" in line
    assert "port='5222'" in line
    assert "level='info'" in line


def test_a_fact_that_nobody_has_allowed_is_dropped() -> None:
    log, stream = written("debug")
    log.note("x", user="alice", jid="alice@a.example/phone", ip="192.0.2.1", body="secret", password="p")
    assert not {"alice", "192.0.2.1", "secret", "'p'"} & set(stream.getvalue().replace("=", " ").split())
    assert stream.getvalue().rstrip().endswith("event='x'")
    assert not {"jid", "user", "ip", "body", "password", "address"} & ALLOWED


@pytest.mark.parametrize("value", ["alice@a.example", "<body>x</body>"])
def test_an_address_or_a_stanza_in_an_allowed_fact_is_redacted(value: str) -> None:
    assert redact(None, "info", {"event": "x", "condition": value})["condition"] == "[redacted]"


def test_a_fault_says_where_and_not_what() -> None:
    log, stream = written()
    try:
        raise ValueError("alice@a.example said secret")
    except ValueError as error:
        log.fault(error)
    line = stream.getvalue()
    assert "error='ValueError'" in line
    assert "test_a_fault_says_where_and_not_what" in line
    assert "alice" not in line
    assert "secret" not in line


def test_levels() -> None:
    log, stream = written("error")
    log.note("x")
    assert stream.getvalue() == ""
    log.fault(ValueError())
    assert stream.getvalue() != ""
