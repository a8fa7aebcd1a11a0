"""What modules read out of elements, alone: whatever is in them, a value or a defined error."""

from __future__ import annotations

from contextlib import suppress
from xml.etree.ElementTree import canonicalize, tostring

from hypothesis import given
from hypothesis import strategies as st
from words import FORM, INNER, RSM, VALUES, examples, payload

from quietwire.core import ns
from quietwire.core.errors import StanzaError, StreamError
from quietwire.core.websocket import CLOSE, from_frame, to_frames
from quietwire.core.xml import Element, escape, parse
from quietwire.server import forms
from quietwire.server.commands import read_call
from quietwire.server.mam import QUERY, read_query
from quietwire.server.node_config import NODE_CONFIG, defaults, read_form
from quietwire.server.rooms import names
from quietwire.server.rooms.config import RoomConfig
from quietwire.server.rooms.history import Wanted
from quietwire.server.vcard import TEMP, to_temp, to_vcard4


@examples(300)
@given(FORM)
def test_forms(text: str) -> None:
    x = parse(text.encode(), ns.CLIENT)
    with suppress(StanzaError):
        fields = forms.read(x, names.ROOMCONFIG)
        assert all(isinstance(value, str) for values in fields.values() for value in values)
        config = RoomConfig().apply(fields)
        assert config.apply(forms.read(config.form("t", (), ()), names.ROOMCONFIG)) == config
    with suppress(StanzaError):
        read_form(parse(f"<configure xmlns='urn:p'>{text}</configure>".encode(), ns.CLIENT), NODE_CONFIG)


@examples(200)
@given(st.lists(st.tuples(st.sampled_from(("access_model", "max_items", "send_last_published_item", "title",
                                           "roster_groups_allowed", "persist_items", "notification_type", "itemreply")),
                          VALUES), max_size=3))  # fmt: skip
def test_settings_of_nodes(wishes: list[tuple[str, str]]) -> None:
    fields = "".join(f"<field var='pubsub#{key}'><value>{escape(value)}</value></field>" for key, value in wishes)
    kind = f"<field var='FORM_TYPE'><value>{NODE_CONFIG}</value></field>"
    text = f"<configure xmlns='urn:p'><x xmlns='jabber:x:data' type='submit'>{kind}{fields}</x></configure>"
    with suppress(StanzaError):
        defaults("n").apply(read_form(parse(text.encode(), ns.CLIENT), NODE_CONFIG) or {})


@examples(300)
@given(FORM, RSM, INNER)
def test_queries_of_archives(form: str, rsm: str, more: str) -> None:
    query = parse(f"<query xmlns='urn:xmpp:mam:2'>{form}{rsm}{more}</query>".encode(), ns.CLIENT)
    assert query.tag == QUERY
    with suppress(StanzaError):
        read_query(query)
    Wanted.parse(query)


@examples(150)
@given(payload("{http://jabber.org/protocol/muc}history"))
def test_wishes_for_history(text: str) -> None:
    Wanted.parse(parse(text.encode(), ns.CLIENT))


@examples(150)
@given(payload("{http://jabber.org/protocol/commands}command"))
def test_commands(text: str) -> None:
    with suppress(StanzaError):
        read_call(parse(text.encode(), ns.CLIENT))


@examples(200)
@given(payload(f"{{{TEMP}}}vCard"), payload("{urn:ietf:params:xml:ns:vcard-4.0}vcard"))
def test_cards(temp: str, four: str) -> None:
    for card in (to_vcard4(parse(temp.encode(), ns.CLIENT)), to_temp(parse(four.encode(), ns.CLIENT))):
        assert card.tag.endswith(("vCard", "vcard"))


FRAMES = st.one_of(
    st.binary(max_size=40),
    INNER.map(str.encode),
    st.sampled_from(
        (
            b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example' version='1.0'/>",
            b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
            b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>",
            b"<message><body>x</body></message>",
            b"<!DOCTYPE x [<!ENTITY y 'z'>]><x>&y;</x>",
            b"<?xml version='1.0' encoding='utf-16'?><x/>",
        )
    ),
)


@examples(300)
@given(FRAMES, FRAMES, st.integers(0, 60))
def test_frames_of_clients(one: bytes, other: bytes, at: int) -> None:
    for frame in (one, one + other, one[:at] + other, one[:at] + other + one[at:]):
        with suppress(StreamError):
            assert isinstance(from_frame(frame), bytes)


@examples(120)
@given(st.lists(INNER, max_size=4))
def test_frames_of_the_server(elements: list[str]) -> None:
    """Whatever stanzas hold: a frame for each of them, which is a document of its own and says the same."""
    stanzas = [f"<message to='a.example'>{inner}</message>".encode() for inner in elements]
    streams = b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    header = b"<?xml version='1.0'?><stream:stream %b>" % streams
    frames = to_frames(header + b"".join(stanzas) + b"</stream:stream>")
    assert frames[0].startswith(b"<open ")
    assert frames[-1] == CLOSE
    assert len(frames) == len(stanzas) + 2
    for frame, stanza in zip(frames[1:-1], stanzas, strict=True):
        assert _same(parse(frame, ""), parse(stanza, ns.CLIENT))


def _same(one: Element, other: Element) -> bool:
    return bool(canonicalize(tostring(one)) == canonicalize(tostring(other)))
