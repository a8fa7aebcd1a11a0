"""The wall clock is set back or forward while the server runs: what rests on it, and what does not."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import pytest

from quietwire.core import ns
from quietwire.testing.playbook import Client, Playbook

YEAR = 365 * 86_400.0
RESUME = "<resume xmlns='urn:xmpp:sm:3' previd='{}' h='0'/>"


def resumable(play: Playbook) -> tuple[Client, str]:
    phone = play.client("alice/phone", "<presence/>")
    phone >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    (enabled,) = phone.take()
    assert isinstance(enabled, Element)
    return phone, enabled.attrib["id"]


def resumed(play: Playbook, id: str) -> bool:
    again = play.connect().authenticate("alice")
    again >> RESUME.format(id)
    (answer, *_) = again.take()
    assert isinstance(answer, Element)
    again.cut()
    return answer.tag.endswith("}resumed")


@pytest.mark.parametrize("skew", [-YEAR, YEAR])
def test_sessions_wait_as_long_as_they_should(skew: float) -> None:
    play = Playbook(accounts=("alice",))
    phone, id = resumable(play)
    play.skew = skew
    phone.cut()
    play.pass_time(299)
    assert resumed(play, id)
    play.pass_time(301)
    assert not resumed(play, id)


@pytest.mark.parametrize("skew", [-YEAR, YEAR])
def test_logins_have_the_time_they_have(skew: float) -> None:
    play = Playbook(accounts=("alice",))
    slow = play.connect()
    slow.header()
    play.skew = skew
    play.pass_time(play.server.settings.unauthenticated_seconds - 1)
    assert not slow.take()
    play.pass_time(2)
    assert "connection-timeout" in repr([condition.attrib or condition[0].tag for condition in slow.take()[:1]])


def test_messages_keep_their_order_though_the_clock_goes_back_between_them() -> None:
    play = Playbook(accounts=("alice", "bob"))
    bob = play.client("bob/desk", "<presence/>")
    for number in range(6):
        bob >> f"<message to='alice@a.example' type='chat'><body>{number}</body></message>"
        play.skew -= 3_600
    phone = play.client("alice/phone")
    phone >> "<presence/>"
    bodies = [
        one.findtext(f"{{{ns.CLIENT}}}body")
        for one in phone.take()
        if isinstance(one, Element) and one.tag.endswith("}message")
    ]
    assert [body for body in bodies if body and re.fullmatch(r"\d", body)] == list("012345")
