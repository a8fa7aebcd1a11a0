"""Asking another server whether a key is its own."""

from __future__ import annotations

import pytest
from s2s_dialled import ANSWER, CLOSING, DIALBACK, HEADER, offering
from s2s_world import Surroundings

from quietwire.server.s2s import Failure
from quietwire.server.s2s_open import NEGOTIATION_SECONDS
from quietwire.server.s2s_policy import Policy
from quietwire.server.s2s_verify import Verification, condition_of
from quietwire.testing.links import FakeLink


class Question(Surroundings):
    def __init__(self, policy: Policy | None = None, names: tuple[str, ...] = ("b.example",)) -> None:
        super().__init__("a.example", policy)
        self.told: list[str] = []
        self.gone = 0
        self.link = FakeLink(secure=True, peer_domains=names, peer_fault="" if names else "expired")
        self.link.stream = Verification(
            self.link,
            "a.example",
            "b.example",
            self.common,
            stream_id="7",
            key="k&y",
            answered=self.told.append,
            gone=lambda stream: self._went(),
        )

    def _went(self) -> None:
        self.gone += 1


def test_a_key_is_asked_about_and_the_stream_closed() -> None:
    scene = Question()
    assert scene.link.take() == HEADER
    scene.link.says(ANSWER + offering(DIALBACK))
    assert scene.link.take() == "<db:verify from='a.example' to='b.example' id='7'>k&amp;y</db:verify>"
    scene.link.says("<db:verify from='b.example' to='a.example' id='7' type='valid'/>")
    assert (scene.told, scene.link.take(), scene.link.closed) == (["valid"], CLOSING, True)
    scene.link.breaks()
    assert (scene.told, scene.gone) == (["valid"], 1)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("<db:verify from='b.example' to='a.example' id='7' type='invalid'/>", "invalid"),
        ("<db:verify from='b.example' to='a.example' id='7' type='error'/>", "remote-server-timeout"),
        ("<db:verify from='b.example' to='a.example' id='8' type='valid'/>", "remote-server-timeout"),
        ("<db:verify from='c.example' to='a.example' id='7' type='valid'/>", "remote-server-timeout"),
        ("<db:result from='b.example' to='a.example' type='valid'/>", "remote-server-timeout"),
        ("<message/>", "remote-server-timeout"),
        (CLOSING, "remote-server-timeout"),
    ],
)
def test_answers_about_a_key(said: str, told: str) -> None:
    scene = Question()
    scene.link.says(ANSWER + offering() + said)
    assert scene.told == [told]


def test_answers_that_come_too_early_or_never() -> None:
    scene = Question()
    scene.link.says(ANSWER + "<db:verify from='b.example' to='a.example' id='7' type='valid'/>")
    assert scene.told == ["remote-server-timeout"]
    scene = Question()
    scene.link.breaks()
    assert scene.told == ["remote-server-timeout"]
    scene = Question()
    scene.passes(NEGOTIATION_SECONDS)
    assert scene.told == ["remote-server-timeout"]


def test_who_is_asked_must_show_a_certificate() -> None:
    scene = Question(names=())
    assert (scene.told, scene.link.take()) == (["not-authorized"], "")
    scene = Question(Policy(authentication="dialback"), names=())
    assert scene.link.take() == HEADER


def test_a_question_that_could_not_be_asked() -> None:
    assert condition_of(Failure("remote-server-timeout", "certificate-expired", True)) == "not-authorized"
    assert condition_of(Failure("remote-server-not-found", "no-such-domain", True)) == "remote-server-not-found"
