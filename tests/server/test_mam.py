"""What clients ask of an archive, read; answers and ids, written."""

from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Message
from quietwire.core.xml import parse, serialise
from quietwire.server import mam
from quietwire.server.archive import Item, Page
from quietwire.server.archive_index import Query
from quietwire.server.mam import Asked, read_query, without_ids
from quietwire.testing.assembly import stanza


def asked(form: str = "", rest: str = "", attributes: str = "", **more: bool) -> Asked:
    if form:
        form = f"<x xmlns='jabber:x:data' type='submit'>{field('FORM_TYPE', mam.NS)}{form}</x>"
    return read_query(parse(f"<query xmlns='{mam.NS}' {attributes}>{form}{rest}</query>".encode(), ns.CLIENT), **more)


def field(name: str, *values: str) -> str:
    return f"<field var='{name}'>" + "".join(f"<value>{value}</value>" for value in values) + "</field>"


def rsm(inner: str) -> str:
    return f"<set xmlns='{mam.RSM}'>{inner}</set>"


def test_an_empty_query_asks_for_everything() -> None:
    assert asked() == Asked(Query(), None, False)
    assert asked(rest=rsm("")) == Asked(Query(), None, False)


def test_every_field() -> None:
    found = asked(
        field("with", "BOB@b.example")
        + field("start", "2010-06-07T00:00:00Z")
        + field("end", "2010-06-07T02:00:00.123456+02:00")
        + field("after-id", "a1")
        + field("before-id", "b1")
        + field("ids", "i1", "i2"),
        rsm("<max>10</max><after>x</after><before/><index>3</index>") + "<flip-page/>",
        "queryid='q'",
    )
    start = 1_275_868_800_000
    assert found.query == Query(
        start, start + 123, parse_jid("bob@b.example"), "a1", "b1", ("i1", "i2"), 10, "x", "", 3
    )  # fmt: skip
    assert (found.queryid, found.flipped) == ("q", True)


@pytest.mark.parametrize(
    ("form", "rest", "attributes", "condition"),
    [
        (field("{urn:x}words", "x"), "", "", "feature-not-implemented"),
        (field("include-groupchat", "true"), "", "", "feature-not-implemented"),
        (field("with", "@"), "", "", "jid-malformed"),
        (field("with", "a@b", "c@d"), "", "", "bad-request"),
        (field("start", "yesterday"), "", "", "bad-request"),
        (field("start", "2010-06-07"), "", "", "bad-request"),
        (field("start", "2010-06-07T00:00:00"), "", "", "bad-request"),
        (field("ids", *("x" for _ in range(251))), "", "", "policy-violation"),
        (field("FORM_TYPE", "urn:xmpp:mam:1"), "", "", "bad-request"),
        ("", rsm("<max>-1</max>"), "", "bad-request"),
        ("", rsm("<max>\u0663</max>"), "", "bad-request"),
        ("", rsm("<max>9999999999</max>"), "", "bad-request"),
        ("", rsm("<index/>"), "", "bad-request"),
        ("", "<x xmlns='jabber:x:data' type='cancel'/>", "", "bad-request"),
        ("", "", f"queryid='{'x' * 257}'", "bad-request"),
        ("", "", "node='urn:x'", "item-not-found"),
    ],
)
def test_what_is_refused(form: str, rest: str, attributes: str, condition: str) -> None:
    with pytest.raises(StanzaError) as caught:
        asked(form, rest, attributes)
    assert caught.value.condition == condition


def test_groupchat_may_be_asked_for_where_the_field_is_known() -> None:
    for value in ("true", "false", "0", "1"):
        assert asked(field("include-groupchat", value), groupchat=True).query == Query()
    with pytest.raises(StanzaError):
        asked(field("include-groupchat", "perhaps"), groupchat=True)


ITEM = Item("ab", 1_275_868_800_007, b"<message from='a@a/x' id='1'><body>hi</body></message>")


def test_answers() -> None:
    assert mam.stamp(1_275_868_800_007) == "2010-06-07T00:00:00.007Z"
    assert mam.result(ITEM, "<'>", ITEM.message).decode() == (
        "<result xmlns='urn:xmpp:mam:2' queryid='&lt;&apos;&gt;' id='ab'><forwarded xmlns='urn:xmpp:forward:0'>"
        "<delay xmlns='urn:xmpp:delay' stamp='2010-06-07T00:00:00.007Z'/>"
        "<message xmlns='jabber:client' from='a@a/x' id='1'><body>hi</body></message></forwarded></result>"
    )
    page = Page([ITEM], True, 4, 5)
    assert serialise(mam.fin(page), mam.NS).decode() == (
        "<fin complete='true'><set xmlns='http://jabber.org/protocol/rsm'><first index='4'>ab</first><last>ab</last>"
        "<count>5</count></set></fin>"
    )
    assert serialise(mam.fin(Page([], False, 0, 5)), mam.NS).decode() == (
        "<fin><set xmlns='http://jabber.org/protocol/rsm'><count>5</count></set></fin>"
    )
    assert b"<first>ab</first>" in serialise(mam.fin(Page([ITEM], True, None, 5)), mam.NS)
    assert serialise(mam.metadata(None), ns.CLIENT) == b"<metadata xmlns='urn:xmpp:mam:2'/>"
    assert serialise(mam.metadata((("a", 0), ("b", 1500))), mam.NS).decode() == (
        "<metadata><start id='a' timestamp='1970-01-01T00:00:00.000Z'/>"
        "<end id='b' timestamp='1970-01-01T00:00:01.500Z'/></metadata>"
    )
    assert [each.get("var") for each in mam.form().iter("{jabber:x:data}field")][1:] == [
        "with", "start", "end", "before-id", "after-id", "ids",
    ]  # fmt: skip
    later = Item("cd", ITEM.stamp, b"")
    assert list(Asked(Query(), None, True).order(Page([ITEM, later], True, 0, 2))) == [later, ITEM]


def test_ids_that_claim_to_be_ours_are_taken_out() -> None:
    def named(*by: str) -> Message:
        ids = "".join(f"<stanza-id xmlns='urn:xmpp:sid:0' by='{each}' id='x'/>" for each in by)
        found = stanza(f"<message><body>x</body>{ids}<thread>t</thread></message>", from_=parse_jid("a@a"))
        assert isinstance(found, Message)
        return found

    message = named("BOB@b.example", "room@r.example", "@", "carol@c.example")
    kept = without_ids(message, "bob@b.example", "carol@c.example").to_bytes().decode()
    assert kept == (
        "<message from='a@a'><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='room@r.example' id='x'/>"
        "<stanza-id xmlns='urn:xmpp:sid:0' by='@' id='x'/><thread>t</thread></message>"
    )
    assert without_ids(message).to_bytes() == b"<message from='a@a'><body>x</body><thread>t</thread></message>"
    for other in (named(), named("room@r.example")):
        assert without_ids(other, "bob@b.example") is other
