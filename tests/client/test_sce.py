from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.client import gathered, payloads, sce
from quietwire.client.gathered import Notice
from quietwire.core.xml import build, serialise

ME = "juliet@capulet.example"


def seal(*content: object, random: bytes = b"") -> bytes:
    return sce.seal(content, sender=ME, id="i" * 32, stamp=1.5, random=lambda n: (random or b"\x00") * n)  # type: ignore[arg-type]


def raw(inner: str) -> bytes:
    return f"<envelope xmlns='{sce.NS}'>{inner}</envelope>".encode()


def test_an_envelope_comes_back_as_it_went_in() -> None:
    envelope = sce.unseal(seal(*payloads.text("Wherefore? <&> ü")), sender=ME)
    assert [child.tag.rpartition("}")[2] for child in envelope.content] == ["body", "request", "markable"]
    assert envelope.content[0].text == "Wherefore? <&> ü"
    assert (envelope.id, envelope.stamp) == ("i" * 32, 1.5)


def test_the_profile_has_rpad_from_and_time() -> None:
    data = seal(*payloads.receipt("x"))
    assert b"<rpad>" in data
    assert b"<from jid='juliet@capulet.example'/>" in data
    assert b"<time stamp='1970-01-01T00:00:01.500Z'/>" in data


def test_everything_short_has_one_size() -> None:
    said = [
        payloads.chat_state("composing"),
        payloads.receipt("a" * 32),
        payloads.displayed("a" * 32),
        payloads.reaction("a" * 32, ["👍"]),
        payloads.retraction("a" * 32),
        *(payloads.text("x" * length) for length in range(100)),
    ]
    assert {len(seal(*content)) for content in said} == {511}


@given(st.text(st.characters(codec="utf-8"), max_size=3000))
def test_sizes_are_classes_whatever_is_said(text: str) -> None:
    size = len(seal(*payloads.text(text))) + 1
    assert size in sce.CLASSES
    shorter = sce.CLASSES[sce.CLASSES.index(size) - 1] if size > sce.CLASSES[0] else 0
    assert len(text.encode()) > shorter - 400 or shorter == 0


@settings(deadline=None)
@given(st.integers(0, 1200), st.integers(1, 8))
def test_what_fits_changes_no_length(length: int, count: int) -> None:
    said = payloads.text("ü" * length)
    more = [gathered.write([Notice(f"{number:032x}", received=True) for number in range(count)])]
    same = len(seal(*said, *more)) == len(seal(*said))
    assert sce.fits(said, more, sender=ME, id="i" * 32, stamp=1.5) is same


@pytest.mark.parametrize(
    ("length", "size"), [(1, 511), (511, 511), (512, 1023), (16383, 16383), (16384, 32767), (98303, 98303)]
)
def test_size_classes(length: int, size: int) -> None:
    assert sce.padded_size(length) == size


def test_too_long_is_refused() -> None:
    with pytest.raises(sce.EnvelopeError):
        sce.padded_size(98304)
    with pytest.raises(sce.EnvelopeError):
        seal(*payloads.text("x" * 100_000))


def test_the_padding_is_random() -> None:
    assert seal(*payloads.receipt("x"), random=b"\x01") != seal(*payloads.receipt("x"), random=b"\x02")


def test_longer_and_shorter_paddings_of_others_are_accepted() -> None:
    for padding in ("", "x", "x" * 5000):
        assert sce.unseal(raw(f"<content/><rpad>{padding}</rpad>"), sender=ME).content == ()


def test_another_sender_is_refused() -> None:
    with pytest.raises(sce.EnvelopeError, match="another sender"):
        sce.unseal(seal(*payloads.receipt("x")), sender="romeo@montague.example")


def test_server_processed_elements_are_ignored_inside() -> None:
    inner = (
        "<content><store xmlns='urn:xmpp:hints'/><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='x'/>"
        "<addresses xmlns='http://jabber.org/protocol/address'/><encryption xmlns='urn:xmpp:eme:0'/>"
        "<body xmlns='jabber:client'>kept</body></content><rpad/>"
    )
    assert [child.text for child in sce.unseal(raw(inner), sender=ME).content] == ["kept"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no xml",
        b"\xff\xfe",
        raw("<content/>"),
        raw("<rpad/>"),
        b"<envelope><content/><rpad/></envelope>",
        raw("<!-- x --><content/><rpad/>"),
        raw("<?x y?><content/><rpad/>"),
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + raw("<content>&a;</content><rpad/>"),
        raw("<content/><rpad/><time stamp='yesterday'/>"),
        raw("<content/><rpad/><time stamp='2026-01-01T00:00:00'/>"),
        raw("<content>" + "<a>" * 40 + "</a>" * 40 + "</content><rpad/>"),
        raw("<content/><rpad>" + "x" * sce.MAX_ENVELOPE + "</rpad>"),
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(sce.EnvelopeError):
        sce.unseal(data, sender=ME)


@given(st.binary(max_size=400))
def test_any_bytes_have_a_defined_answer(data: bytes) -> None:
    try:
        sce.unseal(data, sender=ME)
    except sce.EnvelopeError:
        pass


def test_cdata_and_foreign_elements_pass() -> None:
    foreign = build("{urn:example}thing", {"{urn:other}a": "1"}, text="]]>")
    inner = serialise(build(f"{{{sce.NS}}}content", None, foreign), sce.NS).decode()
    envelope = sce.unseal(raw(inner + "<rpad><![CDATA[<!-- ]]></rpad>"), sender=ME)
    assert (envelope.content[0].tag, envelope.content[0].text) == ("{urn:example}thing", "]]>")
    assert envelope.content[0].get("{urn:other}a") == "1"
