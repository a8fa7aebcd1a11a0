from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from quietwire.lab.range import stanzas as say
from quietwire.lab.range.heard import Heard, heard


def noise(size: int) -> bytes:
    return bytes(size)


def message(inside: str, kind: str = "chat") -> ET.Element:
    return ET.fromstring(
        f"<message xmlns='jabber:client' from='u1@a.example/x' id='i' type='{kind}'>{inside}</message>"
    )


def presence(inside: str = "", **attributes: str) -> ET.Element:
    more = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return ET.fromstring(f"<presence xmlns='jabber:client' from='u1@a.example/x' id='p'{more}>{inside}</presence>")


SEALED = say.sealed(noise, 77, 1, [2, 3])


@pytest.mark.parametrize(
    ("stanza", "kind", "size"),
    [
        (message(say.message(SEALED, "i")), "message", 77),
        (message(say.message(say.plain(noise, 40), "i")), "message", 40),
        (message(say.correction(SEALED, "i", "j")), "correction", 77),
        (message(say.typing()), "typing", 0),
        (message(say.receipt("j")), "receipt", 0),
        (message(say.marker("j")), "marker", 0),
        (message(say.reaction("j")), "reaction", 0),
        (message(say.room_message(say.plain(noise, 9), "i"), "groupchat"), "room-message", 9),
        (message(say.typing(), "groupchat"), "room-typing", 0),
        (presence(), "presence", 0),
        (presence(type="unavailable"), "presence", 0),
        (presence(type="subscribe"), "subscribe", 0),
        (presence(type="subscribed"), "subscribe", 0),
        (presence(f"<x xmlns='{say.MUC}#user'/>"), "room-join", 0),
        (presence(f"<x xmlns='{say.MUC}#user'/>", type="unavailable"), "presence", 0),
    ],
)
def test_every_kind_is_known_by_what_is_in_it(stanza: ET.Element, kind: str, size: int) -> None:
    assert heard(stanza) == Heard(kind, "u1@a.example/x", stanza.get("id", ""), size)


@pytest.mark.parametrize("size", range(1, 9))
def test_the_length_of_a_sealed_text_is_that_of_its_payload(size: int) -> None:
    found = heard(message(say.message(say.sealed(noise, size, 1, [2]), "i")))
    assert found is not None
    assert found.size == size


def test_copies_for_other_devices() -> None:
    inner = f"<message xmlns='jabber:client' to='u2@a.example' id='c'>{say.message(SEALED, 'c')}</message>"
    copy = f"<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></sent>"
    assert heard(message(copy)) == Heard("message", "u2@a.example", "c", 77, True)


def test_what_is_published() -> None:
    def event(node: str, payload: str) -> ET.Element:
        item = f"<item id='current'>{payload}</item>"
        return message(f"<event xmlns='{say.PUBSUB}#event'><items node='{node}'>{item}</items></event>", "headline")

    assert heard(event(say.TUNE_NODE, say.tune(noise, 12))) == Heard("publish", "u1@a.example/x", "i", 12)
    assert heard(event("other", "<a xmlns='b'/>")) is None


@pytest.mark.parametrize(
    "stanza",
    [
        message(f"<result xmlns='{say.MAM}'/>"),
        message(say.typing(), "error"),
        message("<subject>x</subject>"),
        presence(type="error"),
        presence(type="probe"),
    ],
)
def test_what_is_no_happening_of_its_own(stanza: ET.Element) -> None:
    assert heard(stanza) is None
