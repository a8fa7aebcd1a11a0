from __future__ import annotations

import pytest

from quietwire.testing.links import FakeLink


class Diary:
    """A stream that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str | bytes] = []

    def received(self, data: bytes) -> None:
        self.told.append(data)

    def secured(self) -> None:
        self.told.append("secured")

    def written(self) -> None:
        self.told.append("written")

    def lost(self) -> None:
        self.told.append("lost")


def test_tells_the_stream() -> None:
    link = FakeLink(peer_domains=("b.example",), bindings={"tls-server-end-point": b"x"})
    link.stream = diary = Diary()
    assert (link.peer_domains, dict(link.bindings)) == (frozenset(), {})
    link.says("<a/>")
    link.says(b"\xff")
    link.start_tls()
    link.secures()
    link.flushes()
    link.breaks()
    assert diary.told == [b"<a/>", b"\xff", "secured", "written", "lost"]
    assert (link.peer_domains, link.bindings) == ({"b.example"}, {"tls-server-end-point": b"x"})


def test_keeps_what_is_put() -> None:
    link = FakeLink(secure=True)
    link.stream = Diary()
    link.put(b"one ")
    link.put(b"two")
    assert link.backlog() == 7
    assert link.take() == "one two"
    assert link.take() == ""
    link.flushes()
    assert link.backlog() == 0


def test_refuses_what_no_connection_does() -> None:
    link = FakeLink(secure=True)
    link.stream = Diary()
    link.pause()
    assert link.paused
    link.resume()
    link.abort()
    assert (link.paused, link.closed, link.aborted) == (False, True, True)
    with pytest.raises(AssertionError, match="put after close"):
        link.put(b"x")
    link.breaks()
    with pytest.raises(AssertionError):
        link.breaks()
