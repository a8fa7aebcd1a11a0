from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from quietwire.cli.bed.actor import Actor
from quietwire.client import events
from quietwire.client.core import Client
from quietwire.client.trust import Trust
from quietwire.lab.truth import TruthWriter, digest, read

BOB = "bob@b.example"


class FakeClient:
    """Records what it is asked to send; its events are given."""

    jid = "alice@a.example"
    device = 7

    def __init__(self, happening: list[events.Event]) -> None:
        self.happening = happening
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    async def events(self) -> AsyncIterator[events.Event]:
        for event in self.happening:
            yield event

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> str:
            self.calls.append((name, arguments))
            return f"id{len(self.calls)}"

        return call


def message(text: str, **more: Any) -> events.Message:
    common = {"sender": BOB, "peer": BOB, "device": 1, "trust": Trust.VERIFIED, "id": "m1", "stamp": 1.0}
    return events.Message(**{**common, "text": text, **more})


def play(tmp_path: Path, orders: list[dict[str, Any]], happening: list[events.Event], active: bool = True) -> Any:
    client = FakeClient(happening)
    truth = TruthWriter(tmp_path / "truth")

    async def main() -> list[dict[str, Any]]:
        actor = Actor(cast(Client, client), truth, "phone", active=active)
        answers = [await actor.obey(order) for order in orders]
        await actor.listen()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        return answers

    answers = asyncio.run(main())
    truth.close()
    return client.calls, answers, read([tmp_path / "truth"])


def test_orders_become_calls_and_truth(tmp_path: Path) -> None:
    orders = [
        {"do": "typing", "to": BOB},
        {"do": "say", "to": BOB, "text": "hello"},
        {"do": "reply", "to": BOB, "about": "m0", "text": "yes"},
        {"do": "correct", "to": BOB, "about": "id2", "text": "hullo"},
        {"do": "react", "to": BOB, "about": "m0", "text": "👍"},
        {"do": "displayed", "to": BOB, "about": "m0"},
    ]
    calls, answers, told = play(tmp_path, orders, [])
    assert [name for name, _ in calls] == [
        "send_chat_state", "send_text", "send_reply", "send_correction", "send_reaction", "send_displayed",
    ]  # fmt: skip
    assert calls[3][1] == (BOB, "id2", "hullo")
    assert answers[1] == {"id": "id2"}
    kinds = [(event.kind, event.length) for event in told]
    assert kinds == [("typing", 0), ("message", 5), ("reply", 3), ("correction", 5), ("reaction", 0), ("displayed", 0)]
    assert told[1].digest == digest("hello")
    assert "hello" not in (tmp_path / "truth").read_text()


def test_an_unknown_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        play(tmp_path, [{"do": "dance"}], [])


def test_a_text_is_answered_with_a_receipt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls, _, told = play(tmp_path, [], [message("hi")])
    assert calls == [("send_receipt", (BOB, "m1"))]
    assert [(event.event, event.kind, event.peer) for event in told] == [
        ("got", "message", BOB),
        ("sent", "receipt", BOB),
    ]
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == {"got": "m1"}


def test_a_second_device_only_listens(tmp_path: Path) -> None:
    calls, _, told = play(tmp_path, [], [message("hi"), events.SubscriptionRequest(jid=BOB)], active=False)
    assert calls == []
    assert len(told) == 1


def test_a_carbon_is_noted_as_one_and_not_answered(tmp_path: Path) -> None:
    calls, _, told = play(tmp_path, [], [events.Sent(what=message("hi", sender="alice@a.example"))])
    assert calls == []
    assert (told[0].carbon, told[0].peer) == (True, BOB)


def test_requests_are_granted_once_and_cuts_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = events.SubscriptionRequest(jid=BOB)
    happening = [events.Connected(), asked, asked, events.LinkLost(), events.Resumed(resent=0)]
    calls, _, told = play(tmp_path, [], happening)
    assert calls == [("accept", (BOB,))]
    assert [event.event for event in told] == ["online", "cut", "resumed"]
    assert '{"event": "resumed"}' in capsys.readouterr().out


def test_what_must_not_happen_is_trouble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(
        tmp_path,
        [],
        [
            events.Undecryptable(sender=BOB, id="x", reason="broken"),
            events.Unencrypted(sender=BOB, id="y", text="oops"),
            events.Failed(peer=BOB, id="z", condition="service-unavailable"),
        ],
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["trouble"] * 3
    assert "oops" not in json.dumps(lines)
