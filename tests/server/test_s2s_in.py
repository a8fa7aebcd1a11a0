"""All streams that others have open to us, and those that wait to be resumed."""

from __future__ import annotations

from s2s_called import (
    CLOSING,
    ENABLE,
    ENABLED,
    MESSAGE,
    NO_SUCH,
    Scene,
    auth,
    error,
    opening,
    ready,
    resume,
)

from quietwire.core.later import Ticket
from quietwire.server.s2s_in_stream import RESUME_SECONDS
from quietwire.server.s2s_policy import Policy


def test_connections_of_one_domain_are_limited() -> None:
    scene = Scene(secure=True, policy=Policy(connections_per_domain=2)).authenticated()
    scene.connects().authenticated()
    third = scene.connects()
    third.says(opening())
    assert third.says(auth()) == error("resource-constraint", "too many connections")
    scene.link.breaks()
    scene.connects().authenticated()


def test_a_lost_stream_is_resumed() -> None:
    scene = ready()
    scene.says(ENABLE + MESSAGE)
    first = scene.stream.traffic
    scene.link.breaks()
    assert scene.outward.told == ["parted, resumable"]
    again = scene.connects().authenticated()
    assert again.says(resume(0)) == f"<resumed xmlns='urn:xmpp:sm:3' previd='{'0' * 32}' h='1'/>"
    assert again.stream.traffic is first
    assert again.outward.told == ["parted, resumable", "parted", "returned"]
    assert again.says(MESSAGE + "<r xmlns='urn:xmpp:sm:3'/>") == "<a xmlns='urn:xmpp:sm:3' h='2'/>"
    assert first.peer is not None
    assert first.peer.streams == 1


def test_a_stream_that_is_not_known_to_be_lost_is_resumed_too() -> None:
    scene = ready()
    scene.says(ENABLE + MESSAGE)
    again = scene.connects().authenticated()
    assert "h='1'" in again.says(resume(0))
    assert scene.link.aborted
    scene.link.breaks()
    assert again.says(MESSAGE) == ""
    assert len(scene.got) == 2


def test_it_is_resumed_when_what_came_is_durable() -> None:
    scene = ready()
    scene.inward.durable = Ticket()
    scene.says(ENABLE + MESSAGE)
    scene.link.breaks()
    again = scene.connects().authenticated()
    assert again.says(resume(0)) == ""
    scene.inward.durable.settle()
    assert "h='1'" in again.link.take()


def test_who_leaves_while_it_is_resumed_may_come_again() -> None:
    scene = ready()
    scene.inward.durable = Ticket()
    scene.says(ENABLE + MESSAGE)
    scene.link.breaks()
    hasty = scene.connects().authenticated()
    hasty.says(resume(0))
    hasty.link.breaks()
    scene.inward.durable.settle()
    again = scene.connects().authenticated()
    assert "<resumed " in again.says(resume(0))


def test_streams_that_cannot_be_resumed() -> None:
    scene = ready()
    scene.says(ENABLE)
    scene.link.breaks()
    other = scene.connects(("c.example",))
    other.says(opening(from_="c.example"))
    other.says(auth())
    other.says(opening(from_="c.example"))
    assert other.says(resume(0)) == NO_SUCH  # another domain's
    again = scene.connects().authenticated()
    assert again.says(resume(0, "unknown")) == NO_SUCH
    assert again.says(resume(0).replace("h='0'", "h='-'")) == NO_SUCH
    scene.passes(RESUME_SECONDS)
    assert again.says(resume(0)) == NO_SUCH
    assert again.says(ENABLE) == ENABLED
    closed = scene.connects().authenticated()
    again.says(CLOSING)
    assert closed.says(resume(0)) == NO_SUCH  # closed in order


def test_a_peer_that_claims_too_much_while_resuming_leaves_nothing_behind() -> None:
    scene = ready()
    scene.says(ENABLE)
    old = scene.stream.traffic
    scene.link.breaks()
    again = scene.connects().authenticated()
    assert "<handled-count-too-high " in again.says(resume(5))
    assert old.peer is None
    assert again.outward.told[:2] == ["parted, resumable", "parted"]
    another = scene.connects().authenticated()
    assert another.says(resume(0)) == NO_SUCH


def test_nothing_can_be_resumed_under_no_name() -> None:
    scene = ready()
    assert scene.says(resume(0, "")) == NO_SUCH
    assert scene.says(MESSAGE) == ""
    assert len(scene.got) == 1


def test_shutting_down_forgets_what_waits() -> None:
    scene = ready()
    scene.says(ENABLE)
    scene.link.breaks()
    scene.incoming.shut_down()
    assert scene.outward.told == ["parted, resumable", "parted"]
    assert scene.stream.traffic.peer is None
