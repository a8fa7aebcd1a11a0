from __future__ import annotations

from pathlib import Path

import pytest

from quietwire.lab.range.truth import Event, TruthFile, joined, read


def event(at: float, port: int, kind: str = "message", user: int = 0) -> Event:
    return Event(at, user, 0, kind, 1, 5, str(port), "up", "i")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = TruthFile(tmp_path / "t")
    file.write(event(1.25, 7))
    file.write(Event(2.0, 1, 2, "typing", 3, 0, "9", "down", carbon=True))
    file.close()
    assert read(tmp_path / "t") == [event(1.25, 7), Event(2.0, 1, 2, "typing", 3, 0, "9", "down", carbon=True)]


def test_a_line_that_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('{"at": 1}\n')
    with pytest.raises(TypeError):
        read(tmp_path / "t")


def test_ports_become_links_and_a_port_may_serve_twice() -> None:
    ports = {(0, 0, 7): [(1.0, "L1"), (10.0, "L9")], (1, 0, 7): [(1.0, "L2")]}
    events = [event(11.0, 7), event(0.9, 7, "login"), event(5.0, 7), event(5.0, 7, user=1), event(6.0, 8)]
    found, lost = joined(events, ports)
    assert [(each.at, each.link, each.user) for each in found] == [
        (0.9, "L1", 0), (5.0, "L1", 0), (5.0, "L2", 1), (11.0, "L9", 0),
    ]  # fmt: skip
    assert lost == 1


def test_links_of_a_helper_are_known_by_when_they_were_taken() -> None:
    helped = {(0, 0): [(1.0, "L1"), (10.0, "L9")]}
    events = [
        event(0.9, 7, "login"),
        event(5.0, 7),
        event(9.5, 8, "resume"),
        event(11.0, 8),
        event(0.5, 7),
        event(12.0, 7, "login"),
    ]
    events.append(event(11.0, 99, "upload"))
    found, lost = joined(events, {(0, 0, 99): [(10.9, "L12")]}, helped)
    assert [(each.at, each.kind, each.link) for each in found] == [
        (0.9, "login", "L1"), (5.0, "message", "L1"), (9.5, "resume", "L9"), (11.0, "message", "L9"),
        (11.0, "upload", "L12"),
    ]  # fmt: skip
    assert lost == 2  # before there was a link, and a login that came to none
