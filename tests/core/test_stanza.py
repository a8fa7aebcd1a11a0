from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.framing import StreamParser
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Child, Iq, Message, Nonza, Presence, Stanza, appended, from_tree
from quietwire.core.xml import build, parse

ALICE, BOB = parse_jid("alice@a.example/phone"), parse_jid("bob@a.example")
BODY = f"{{{ns.CLIENT}}}body"


def came(text: str, content: str = ns.CLIENT) -> Child:
    """A first-level child as the framing gives it."""
    parser = StreamParser()
    parser.feed(f"<stream:stream xmlns='{content}' xmlns:stream='{ns.STREAMS}' version='1.0'>".encode())
    (child,) = parser.feed(text.encode())
    assert isinstance(child, Child)
    return child


def stamped(text: str) -> Stanza:
    stanza = came(text)
    assert isinstance(stanza, Stanza)
    stanza.from_ = ALICE
    stanza.to = BOB
    return stanza


def test_forwarding_stamps_the_addresses_and_keeps_the_payload() -> None:
    stanza = stamped(
        "<message  to='bob@a.example' type=\"chat\" id='&lt;1&gt;' xml:lang='de'><body>a &amp; b</body></message >"
    )
    tree = parse(stanza.to_bytes(), ns.CLIENT)
    assert tree.attrib == {
        "from": "alice@a.example/phone",
        "to": "bob@a.example",
        "type": "chat",
        "id": "<1>",
        f"{{{ns.XML}}}lang": "de",
    }
    assert b"<body>a &amp; b</body>" in stanza.to_bytes()
    assert stanza.to_bytes().count(b"to=") == 1


@pytest.mark.parametrize(
    "text",
    [
        "<message from='carol@c.example' to='dave@d.example'><body/></message>",
        "<message\nfrom = \"carol@c.example\"\tto = 'dave@d.example' ><body/></message>",
        "<message to='x' from='&#x79;'/>",
        "<message a=\" from='z' \" to='x'/>",
        "<presence/>",
        "<presence></presence>",
        "<iq a='>' to='x'/>",
        "<c:message xmlns:c='jabber:client' from='z'><c:body>b</c:body></c:message>",
    ],
)
def test_nothing_that_a_client_wrote_about_addresses_survives(text: str) -> None:
    stanza = stamped(text)
    for again in (stanza, stanza.addressed(to=BOB, from_=ALICE)):
        tree = parse(again.to_bytes(), ns.CLIENT)
        assert (tree.get("from"), tree.get("to")) == ("alice@a.example/phone", "bob@a.example")
        assert tree.tag == f"{{{ns.CLIENT}}}{stanza.kind}"
    tree = parse(stanza.addressed(to=None, from_=ALICE).to_bytes(), ns.CLIENT)
    assert (tree.get("from"), tree.get("to")) == ("alice@a.example/phone", None)


def test_a_changed_attribute_is_written() -> None:
    stanza = stamped("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")
    copy = stanza.addressed(to=BOB, from_=ALICE)
    copy.attributes = {**copy.attributes, "id": "other"}
    copy.id = "other"
    assert parse(copy.to_bytes(), ns.CLIENT).get("id") == "other"


def test_the_same_payload_fits_a_server_stream() -> None:
    stanza = came("<message><body>x</body></message>", ns.SERVER)
    assert isinstance(stanza, Message)
    assert stanza.child(BODY) is not None
    assert b"xmlns" not in stanza.to_bytes()


def test_children() -> None:
    stanza = came("<message><body>x</body><a xmlns='urn:a'/></message>")
    assert stanza.names == (BODY, "{urn:a}a")
    assert stanza.child("{urn:b}b") is None
    found = stanza.child("{urn:a}a")
    assert found is not None
    assert stanza.tree is stanza.tree


def test_with_children() -> None:
    stanza = stamped("<message><body>x</body></message>")
    more = stanza.with_children(build("{urn:a}a"))
    assert more.names == (BODY, "{urn:a}a")
    assert [child.tag for child in parse(more.to_bytes(), ns.CLIENT)] == [BODY, "{urn:a}a"]
    assert stanza.names == (BODY,)


def test_make_and_escape() -> None:
    iq = Iq.make(to=BOB, from_=ALICE, type="get", id="a'b<", children=(build("{urn:a}a"),))
    assert iq.to_bytes() == (
        b"<iq from='alice@a.example/phone' to='bob@a.example' type='get' id='a&apos;b&lt;'><a xmlns='urn:a'/></iq>"
    )
    assert Presence.make().to_bytes() == b"<presence/>"
    quoted = parse_jid("alice@a.example/o'brien & <co>")
    assert parse(Presence.make(from_=quoted).to_bytes(), ns.CLIENT).get("from") == quoted.text


def test_error_answers() -> None:
    iq = Iq.make(to=BOB, from_=ALICE, type="get", id="1", children=(build("{urn:a}a"),))
    error = iq.error(StanzaError("conflict", "why <so>", specific="{urn:e}specific"))
    tree = parse(error.to_bytes(), ns.CLIENT)
    assert (tree.get("from"), tree.get("to"), tree.get("type"), tree.get("id")) == (
        "bob@a.example", "alice@a.example/phone", "error", "1",
    )  # fmt: skip
    assert [child.tag for child in tree[0]] == [
        f"{{{ns.STANZAS}}}conflict",
        f"{{{ns.STANZAS}}}text",
        "{urn:e}specific",
    ]
    assert tree[0].get("type") == "cancel"
    assert iq.result().to_bytes() == b"<iq from='bob@a.example' to='alice@a.example/phone' type='result' id='1'/>"
    assert iq.payload.tag == "{urn:a}a"


def test_a_repr_holds_no_content() -> None:
    stanza = stamped("<message to='bob@a.example'><body>secret</body></message>")
    assert not {"secret", "alice", "bob"} & set(repr(stanza).replace("@", " ").split())


@pytest.mark.parametrize(
    "text",
    [
        "<r xmlns='urn:xmpp:sm:3'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>",
        "<s:auth xmlns:s='urn:s'>x</s:auth>",
    ],
)
def test_nonzas_are_read_again_as_they_were(text: str) -> None:
    nonza = came(text)
    assert isinstance(nonza, Nonza)
    expected = parse(text.encode(), ns.CLIENT)
    assert (nonza.tree.tag, nonza.tree.attrib, nonza.tree.text) == (expected.tag, expected.attrib, expected.text)


def test_from_tree() -> None:
    stanza = from_tree(parse(b"<message type='chat'><body>x</body></message>", ns.CLIENT), to=BOB)
    assert isinstance(stanza, Message)
    assert stanza.to_bytes() == b"<message to='bob@a.example' type='chat'><body>x</body></message>"
    with pytest.raises(KeyError):
        from_tree(build("{urn:x}other"))


def test_a_child_is_put_before_the_end_tag_of_whatever_bytes() -> None:
    assert appended(b"<message to='a'><body>x</body></message>", b"<y/>") == (
        b"<message to='a'><body>x</body><y/></message>"
    )
    assert appended(b"<message><body>x</body></message \n>", b"<y/>") == b"<message><body>x</body><y/></message \n>"
    assert appended(b"<message><a/></message>", b"<y/>") == b"<message><a/><y/></message>"
    assert appended(b"<message to='a/b'/>", b"<y/>") == b"<message to='a/b'><y/></message>"
    assert appended(b"<message/>", b"<y/>") == b"<message><y/></message>"


def test_a_stanza_without_some_children_keeps_the_others_as_they_were() -> None:
    (event,) = [
        each
        for each in StreamParser().feed(
            b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
            b"<message id='1'>\n<body>a &amp; b</body><x xmlns='urn:x'><y/></x><z xmlns='urn:z'/></message>"
        )
        if isinstance(each, Message)
    ]
    assert event.without(lambda child: False) is event
    kept = event.without(lambda child: child.tag == "{urn:z}z")
    assert kept.to_bytes() == b"<message id='1'><body>a &amp; b</body><x xmlns='urn:x'><y/></x></message>"
    assert kept.names == ("{jabber:client}body", "{urn:x}x")
