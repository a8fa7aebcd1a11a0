"""Routing rules are dialogues (`tests/scenarios`); here is what no client sees: the server's own requests, other
domains and what handlers and hooks raise."""

from __future__ import annotations

from typing import Any

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Iq
from quietwire.core.xml import build
from quietwire.server import router
from quietwire.server.module import Closing, Context, Hosted, IqGet, MessageHook, Module, Stage
from quietwire.server.pipeline import Passage
from quietwire.testing.assembly import Assembly

QUERY = "{urn:q}q"


def module(*handlers: Any, name: str = "test") -> Module:
    return Module(name=name, xep=None, features=(), handlers=handlers, keeps=(), emits="nothing")


def house(*modules: Module) -> Assembly:
    made = Assembly(modules)
    for name in ("alice", "bob"):
        made.add(f"{name}@a.example")
    return made


def ask(it: Assembly, to: str) -> list[Iq | None]:
    answers: list[Iq | None] = []
    request = Iq.make(to=parse_jid(to), from_=it.domain, type="get", children=(build(QUERY),))
    it.router.ask(request, answers.append)
    return answers


def identifier(text: str) -> str:
    return text.partition(" id='")[2].partition("'")[0]


def test_the_servers_own_requests_are_answered_by_the_one_asked_alone() -> None:
    it = house()
    alice, bob = it.log_in("alice@a.example/phone"), it.log_in("bob@a.example/desk")
    answers = ask(it, "alice@a.example/phone")
    (request,) = alice.take()
    id = identifier(request)
    bob.write(f"<iq type='result' id='{id}' to='a.example'/>")
    assert answers == []
    alice.write(f"<iq type='result' id='{id}' to='a.example'/>")
    assert len(answers) == 1
    alice.write(f"<iq type='result' id='{id}' to='a.example'/>")
    assert len(answers) == 1


def test_who_does_not_answer_in_time_has_not_answered() -> None:
    it = house()
    it.log_in("alice@a.example/phone")
    answers = ask(it, "alice@a.example/phone")
    it.pass_time(router.ANSWER_SECONDS - 1)
    assert answers == []
    it.pass_time(2)
    assert answers == [None]
    assert [each.type for each in ask(it, "alice@a.example/gone") if each] == ["error"]


def test_open_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "ASKED_AT_MOST", 2)
    it = house()
    it.log_in("alice@a.example/phone")
    assert [ask(it, "alice@a.example/phone") for _ in range(3)] == [[], [], [None]]


def test_other_domains() -> None:
    it = house()
    alice = it.log_in("alice@a.example/phone")
    alice.write("<message to='carol@c.example' type='chat'><body>x</body></message>")
    alice.write("<iq to='carol@c.example/x' type='get' id='1'><q xmlns='urn:q'/></iq>")
    assert [each.partition(" ")[0] for each in it.take_remote()] == ["<message", "<iq"]
    it.router.remote = None
    alice.write("<message to='carol@c.example' type='chat'><body>x</body></message>")
    alice.write("<message to='carol@c.example' type='error'><body>x</body></message>")
    (answer,) = alice.take()
    assert "<remote-server-not-found " in answer
    it.receive("<message to='nobody@a.example' type='chat'><body>x</body></message>", "carol@c.example/x")
    it.receive("<message to='bob@a.example/x' type='groupchat'><body>x</body></message>", "carol@c.example/x")
    assert it.remote == []


@pytest.mark.parametrize(
    ("raised", "condition"), [(StanzaError("forbidden"), "forbidden"), (None, "service-unavailable")]
)
def test_what_a_handler_raises_is_the_answer(raised: Exception | None, condition: str) -> None:
    async def serve(context: Context, iq: Iq) -> Iq | None:
        if raised is not None:
            raise raised
        return iq.error("service-unavailable")

    it = house(module(IqGet(QUERY, serve)))
    alice = it.log_in("alice@a.example/phone")
    alice.write("<iq to='a.example' type='get' id='1'><q xmlns='urn:q'/></iq>")
    (answer,) = alice.take()
    assert f"<{condition} " in answer


def test_a_reply_to_a_session_that_has_gone_is_dropped() -> None:
    async def serve(context: Context, iq: Iq) -> Iq:
        await context.ports["store"].get("roster", b"x", b"y")
        return iq.result()

    serving = Module(
        name="t", xep=None, features=(), handlers=(IqGet(QUERY, serve),), keeps=(), emits="one reply", needs=("store",)
    )
    it = house(serving)
    alice = it.log_in("alice@a.example/phone")
    it.store.held = True
    alice.write("<iq to='a.example' type='get' id='1'><q xmlns='urn:q'/></iq>")
    alice.leave()
    again = it.log_in("alice@a.example/phone")
    it.store.release()
    assert (alice.take(), again.take()) == ([], [])


def test_hooks_run_by_stage_and_a_dropped_message_goes_no_further() -> None:
    told: list[str] = []

    def hook(name: str, drop: bool = False) -> Any:
        def run(context: Context, passage: Passage) -> None:
            told.append(name)
            if drop:
                passage.drop()

        return run

    later = module(MessageHook(Stage.COPY, hook("copy")), MessageHook(Stage.KEEP, hook("keep")), name="a")
    it = house(later, module(MessageHook(Stage.ADMIT, hook("admit")), name="b"))
    alice = it.log_in("alice@a.example/phone")
    alice.write("<message to='bob@a.example' type='chat'><body>x</body></message>")
    assert told == ["admit", "keep", "copy"]
    told.clear()
    it = house(later, module(MessageHook(Stage.ADMIT, hook("silence", drop=True)), name="b"))
    it.log_in("alice@a.example/phone").write("<message to='bob@a.example' type='chat'><body>x</body></message>")
    assert told == ["silence"]


def test_hooks_for_a_child_see_only_messages_with_it_and_idle_ones_none() -> None:
    told: list[str] = []

    def hook(name: str) -> Any:
        return lambda context, passage: told.append(name)

    it = house(
        module(
            MessageHook(Stage.ADMIT, hook("all")),
            MessageHook(Stage.STAMP, hook("marked"), child="{urn:m}mark"),
            MessageHook(Stage.KEEP, hook("off"), off=lambda state: True),
            MessageHook(Stage.KEEP, hook("on"), off=lambda state: False),
        )
    )
    alice = it.log_in("alice@a.example/phone")
    for to in ("bob@a.example", "bob@b.example"):
        alice.write(f"<message to='{to}' type='chat'><body>x</body></message>")
        assert told == ["all", "on"]
        told.clear()
        alice.write(f"<message to='{to}' type='chat'><mark xmlns='urn:m'/></message>")
        assert told == ["all", "marked", "on"]
        told.clear()
        alice.take()


def test_a_refusal_in_a_hook_goes_back_to_the_sender() -> None:
    def refuse(context: Context, passage: Passage) -> None:
        if passage.session is not None:  # the error itself passes here too
            raise StanzaError("policy-violation")

    it = house(module(MessageHook(Stage.ADMIT, refuse)))
    alice, bob = it.log_in("alice@a.example/phone"), it.log_in("bob@a.example/desk", "<presence/>")
    bob.take()
    alice.write("<message to='bob@a.example' type='chat' id='1'><body>x</body></message>")
    assert "<policy-violation " in alice.take()[0]
    assert bob.take() == []


def test_the_last_words_of_modules_and_a_bug_in_them() -> None:
    said: list[str] = []
    faults: list[BaseException] = []

    def speak(context: Context) -> None:
        said.append(context.domain.text)
        raise ZeroDivisionError

    it = house(module(Closing(speak), Closing(speak)))
    it.router._faults = faults.append
    it.router.close()
    assert said == ["a.example"] * 2
    assert [type(each) for each in faults] == [ZeroDivisionError] * 2
    assert it.router.stopping


def test_hosted_domains_are_told_who_leaves_but_not_when_everybody_does() -> None:
    told: list[str] = []

    async def nothing(context: Context, iq: Iq) -> Iq | None:
        return None

    rooms = Hosted("rooms", lambda *_: None, lambda context, presence: told.append(presence.type), nothing)
    it = house(module(rooms))
    for stopping, expected in ((False, ["", "unavailable"]), (True, [""])):
        alice = it.log_in("alice@a.example/phone", "<presence/>")
        alice.write("<presence to='den@rooms.a.example/alice'/>")
        it.router.stopping = stopping
        alice.leave()
        assert told == expected
        told.clear()
