from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from quietwire.client import events, payloads
from quietwire.client.trust import Trust
from quietwire.core.xml import build

ORIGIN = payloads.Origin("a@x.example", "a@x.example", 7, Trust.BLIND, "id", 2.0)


@pytest.mark.parametrize(
    ("content", "kind", "fields"),
    [
        (payloads.text("hi"), events.Message, {"text": "hi", "wants_receipt": True, "markable": True}),
        (payloads.chat_state("paused"), events.ChatState, {"state": "paused"}),
        (payloads.receipt("r"), events.Receipt, {"ref": "r"}),
        (payloads.displayed("r"), events.Displayed, {"ref": "r"}),
        (payloads.reaction("r", ["👍", "👍", "🎉"]), events.Reaction, {"ref": "r", "emojis": ("👍", "🎉")}),
        (payloads.reaction("r", []), events.Reaction, {"ref": "r", "emojis": ()}),
        (payloads.correction("r", "new"), events.Correction, {"ref": "r", "text": "new"}),
        (payloads.reply("r", "b@x.example", "yes"), events.Reply, {"ref": "r", "text": "yes"}),
        (payloads.retraction("r"), events.Retraction, {"ref": "r"}),
    ],
)
def test_what_is_written_is_read(content: list[Element], kind: type, fields: dict[str, object]) -> None:
    event = payloads.read(content, ORIGIN)
    assert type(event) is kind
    assert vars(event) == vars(ORIGIN) | fields


def test_a_message_of_others_need_not_ask_for_anything() -> None:
    event = payloads.read([build("{jabber:client}body", text="hi")], ORIGIN)
    assert isinstance(event, events.Message)
    assert not event.wants_receipt
    assert not event.markable


@pytest.mark.parametrize(
    "content",
    [
        [],
        [build("{urn:example}unknown")],
        [build("body", text="no namespace")],
        [build("{urn:xmpp:receipts}received")],
        [build("{urn:xmpp:reactions:0}reactions")],
        [build("{http://jabber.org/protocol/chatstates}dancing")],
    ],
)
def test_what_says_nothing_is_nothing(content: list[Element]) -> None:
    assert payloads.read(content, ORIGIN) is None


def test_reactions_are_bounded() -> None:
    flood = payloads.reaction("r", [f"{number}" for number in range(500)] + ["x" * 5000])
    event = payloads.read(flood, ORIGIN)
    assert isinstance(event, events.Reaction)
    assert len(event.emojis) == payloads.MAX_REACTIONS
    long = payloads.read(payloads.reaction("r", ["x" * 65, "ok"]), ORIGIN)
    assert isinstance(long, events.Reaction)
    assert long.emojis == ("ok",)


def test_characters_that_xml_cannot_carry_are_replaced() -> None:
    assert payloads.text("a\x00b")[0].text == "a\ufffdb"


def test_an_unknown_chat_state_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no such"):
        payloads.chat_state("dancing")  # type: ignore[arg-type]


def test_a_receipt_and_its_marker_in_one_envelope_are_two_events() -> None:
    both = payloads.read_all([*payloads.receipt("1"), *payloads.displayed("1")], ORIGIN)
    assert [(type(event).__name__, event.ref) for event in both] == [("Receipt", "1"), ("Displayed", "1")]  # type: ignore[attr-defined]
    assert len(payloads.read_all(payloads.receipt("1"), ORIGIN)) == 1
    assert len(payloads.read_all(payloads.text("hi"), ORIGIN)) == 1
    assert payloads.read_all([], ORIGIN) == []
