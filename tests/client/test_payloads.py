from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from quietwire.client import events, gathered, payloads
from quietwire.client.gathered import Notice
from quietwire.client.trust import Trust
from quietwire.core.xml import build

ORIGIN = payloads.Origin("a@x.example", "a@x.example", 7, Trust.BLIND, "id", 2.0)


@pytest.mark.parametrize(
    ("content", "kind", "fields"),
    [
        (payloads.text("hi"), events.Message, {"text": "hi", "wants_receipt": True, "markable": True}),
        (payloads.chat_state("paused"), events.ChatState, {"state": "paused"}),
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
        [gathered.write(())],
        [build("{urn:xmpp:reactions:0}reactions")],
        [build("{http://jabber.org/protocol/chatstates}dancing")],
    ],
)
def test_what_says_nothing_is_nothing(content: list[Element]) -> None:
    assert payloads.read_all(content, ORIGIN) == []


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


def told(*content: Element) -> list[tuple[str, str]]:
    return [(type(event).__name__, getattr(event, "ref", "")) for event in payloads.read_all(content, ORIGIN)]


def test_receipts_and_markers_of_several_messages_come_before_the_text_with_them() -> None:
    ids = [f"{number:032x}" for number in range(3)]
    got = gathered.write([Notice(ids[0], True, True), Notice(ids[1], displayed=True), Notice(ids[2], received=True)])
    expected = [("Receipt", ids[0]), ("Receipt", ids[2]), ("Displayed", ids[0]), ("Displayed", ids[1])]
    assert told(got) == expected
    assert told(*payloads.text("hi"), got) == [*expected, ("Message", "")]
    assert told(*payloads.reaction("r", ["👍"]), got) == [*expected, ("Reaction", "r")]


def test_a_message_asks_for_both_in_a_word_too() -> None:
    plain = payloads.text("hi")
    assert payloads.asks(plain)
    short = payloads.unasked(plain)
    assert [child.tag.rpartition("}")[2] for child in short] == ["body"]
    assert not payloads.asks(short)
    assert payloads.read([*short, gathered.write((), asks=True)], ORIGIN) == payloads.read(plain, ORIGIN)


def test_receipts_and_markers_as_others_write_them() -> None:
    assert told(*payloads.receipt("1")) == [("Receipt", "1")]
    assert told(*payloads.displayed("1")) == [("Displayed", "1")]
    both = [*payloads.receipt("1"), *payloads.displayed("1")]
    assert told(*both) == [("Receipt", "1"), ("Displayed", "1")]
    assert told(*payloads.receipt("1"), *payloads.receipt("2"), *payloads.receipt("1")) == [
        ("Receipt", "1"),
        ("Receipt", "2"),
    ]
    assert told(*both, *payloads.text("hi"))[-1] == ("Message", "")
    assert len(told(*(element for number in range(500) for element in payloads.receipt(f"{number}")))) == 64
    assert told() == []
