"""Dialback on streams that others have opened to us."""

from __future__ import annotations

import pytest
from s2s_called import (
    CLOSING,
    MESSAGE,
    STREAM_ID,
    SUCCESS,
    Scene,
    auth,
    by_prefix,
    error,
    key,
    opening,
    refused,
    result,
    unknown,
)

from quietwire.server.s2s_judge import QUESTIONS
from quietwire.server.s2s_policy import Policy


def test_a_key_is_asked_about_and_then_believed() -> None:
    scene = unknown()
    assert scene.says(key()) == ""
    assert scene.outward.asked == [("b.example", "a.example", STREAM_ID, "key")]
    assert not scene.stream.known
    scene.says(key())
    assert len(scene.outward.asked) == 1  # once is enough
    scene.outward.answers[0]("valid")
    assert scene.link.take() == result("valid")
    assert scene.says(MESSAGE) == ""
    assert len(scene.got) == 1


def test_a_key_that_is_not_theirs_costs_the_stream() -> None:
    scene = unknown()
    scene.says(key())
    scene.outward.answers[0]("invalid")
    assert scene.link.take() == result("invalid") + CLOSING
    assert scene.link.closed


def test_stanzas_do_not_wait_for_the_answer() -> None:
    scene = unknown()
    assert scene.says(key() + MESSAGE) == error("not-authorized")
    assert (scene.got, scene.outward.cancelled) == ([], 1)
    scene.outward.answers[0]("valid")
    assert scene.link.take() == ""


def test_a_certificate_saves_the_question() -> None:
    scene = Scene(secure=True, names=("a.example", "*.a.example"))
    scene.says(by_prefix(opening()))
    assert scene.says(key() + key("rooms.a.example", "conference.b.example")) == result("valid") + result(
        "valid", "rooms.a.example", "conference.b.example"
    )
    assert scene.outward.asked == []
    scene.says(MESSAGE.replace("alice@a.example/x", "x@rooms.a.example").replace("b.example", "conference.b.example"))
    assert len(scene.got) == 1


def test_more_pairs_on_a_stream_that_is_authenticated() -> None:
    scene = Scene(secure=True).authenticated()
    other = "<message from='x@c.example' to='bob@b.example'/>"
    said = key("c.example").replace("db:result", "result").replace("<result", "<result xmlns='jabber:server:dialback'")
    assert scene.says(said) == ""
    scene.outward.answers[0]("valid")
    assert scene.link.take() == result("valid", "c.example")
    assert scene.says(MESSAGE + other) == ""
    assert len(scene.got) == 2
    scene.says(said.replace("c.example", "d.example"))
    scene.outward.answers[1]("invalid")
    assert scene.link.take() == refused("forbidden", "auth", "d.example")
    assert scene.says(MESSAGE) == ""
    assert not scene.link.closed


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (key(to="c.example"), refused("item-not-found", "cancel", to="c.example")),
        (key("b.example"), refused("not-acceptable", "modify", "b.example")),
        (key("evil.example"), refused("policy-violation", "modify", "evil.example")),
        (key("alice@a.example"), error("improper-addressing")),
        (key(to=""), error("improper-addressing")),
        (key().replace("<db:result", "<db:result type='valid'"), error("invalid-id")),
        (
            "<db:verify from='a.example' to='b.example' id='1' type='valid'/>",
            error("invalid-id"),
        ),
    ],
)
def test_keys_that_are_not_asked_about(said: str, answer: str) -> None:
    scene = unknown(policy=Policy(refuse=("evil.example",), name_domains=True))
    assert scene.says(said) == answer
    assert scene.outward.asked == []
    assert not scene.stream.known


def test_questions_of_one_stream_are_bounded() -> None:
    scene = unknown()
    for number in range(QUESTIONS):
        assert scene.says(key(f"d{number}.example")) == ""
    assert scene.says(key("one-more.example")) == refused("resource-constraint", "wait", "one-more.example")
    scene.link.breaks()
    assert scene.outward.cancelled == QUESTIONS


def test_we_vouch_for_our_own_keys_and_for_no_others() -> None:
    scene = unknown()
    ours = scene.common.keys.make("a.example", "b.example", "5")

    def asked(text: str, to: str = "b.example", id: str = "5") -> str:
        return scene.says(f"<db:verify from='a.example' to='{to}' id='{id}'>{text}</db:verify>")

    assert asked(ours) == "<db:verify from='b.example' to='a.example' id='5' type='valid'/>"
    assert asked(f" {ours} ").endswith("type='valid'/>")
    assert asked(ours, id="6") == "<db:verify from='b.example' to='a.example' id='6' type='invalid'/>"
    assert asked(ours, "conference.b.example").endswith("type='invalid'/>")
    assert "<item-not-found " in asked(ours, "c.example")
    assert not scene.stream.known


def test_domains_below_ours_can_be_called() -> None:
    scene = Scene(secure=True)
    answered = scene.says(opening(to="conference.b.example"))
    assert "from='conference.b.example'" in answered
    assert scene.says(auth()) == SUCCESS
    assert scene.says(opening()).endswith(error("invalid-from"))  # the pair is that of the first header
