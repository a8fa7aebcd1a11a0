from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.core import jid as module
from quietwire.core.jid import GENERATION, JID, MAX_CACHED, JIDError, parse_jid

VECTORS = json.loads((Path(__file__).parent / "vectors" / "jid.json").read_text(encoding="utf-8"))

ascii_text = st.text(st.sampled_from("aZ09-.@/[]%:\\\"&'<> \x7f\x01xn~!;=?_`{"), max_size=24) | st.text(
    st.characters(max_codepoint=127), max_size=24
)
likely = st.builds(
    "".join,
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.sampled_from(["", "@"]),
        st.sampled_from(
            ["example.org", "xn--fsq.com", "例。jp", "ＥXAMPLE.org.", "[::1]", "faß.de", "a--b.c", "ΑΣ.gr"]
        ),
        st.sampled_from(["", "/"]),
        st.text(max_size=6),
    ),
)


def outcome(parse: object, text: str) -> str | None:
    try:
        return parse(text).text  # type: ignore[operator,no-any-return]
    except JIDError:
        return None


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda v: ascii(v["jid"]))
def test_valid_vectors(vector: dict[str, str]) -> None:
    jid = parse_jid(vector["jid"])
    assert (jid.local, jid.domain, jid.resource) == (vector["local"], vector["domain"], vector["resource"])


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda v: ascii(v["jid"]))
def test_invalid_vectors(vector: dict[str, str]) -> None:
    with pytest.raises(JIDError):
        parse_jid(vector["jid"])


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("Juliet@EXAMPLE.com/Balcony", "juliet@example.com/Balcony"),
        ("ｊｕｌｉｅｔ@example.com", "juliet@example.com"),
        ("a@example.com.", "a@example.com"),
        ("a@EXAMPLE.com./r", "a@example.com/r"),
        ("a@例。jp．", "a@例.jp"),
        ("a@xn--fsq.jp", "a@例.jp"),
        ("a@XN--FSQ.jp", "a@例.jp"),
        ("a@faß.de", "a@faß.de"),
        ("a@xn--fa-hia.de", "a@faß.de"),
        ("e\u0301@e\u0301.fr/e\u0301", "é@é.fr/é"),
        ("a@b/c\u00a0d", "a@b/c d"),
        ("a@b/C/D@E ", "a@b/C/D@E "),
        ("a@[2001:DB8:0::1]", "a@[2001:db8::1]"),
        ("a@[::FFFF:1.2.3.4]", "a@[::ffff:1.2.3.4]"),
        ("ΟΔΟΣ@example.gr", "οδοσ@example.gr"),
        ("a@b--c.d", "a@b--c.d"),
    ],
)
def test_canonical_text(raw: str, canonical: str) -> None:
    assert str(parse_jid(raw)) == canonical
    assert parse_jid(raw) == parse_jid(canonical)
    assert hash(parse_jid(raw)) == hash(parse_jid(canonical))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "a@b/",
        "a@.",
        "a@b..",
        "a@.b",
        "a@b..c",
        "a@-b",
        "a@b-",
        "a@b_c",
        "a@b c",
        "a@ab--c",  # a reserved LDH label that is no A-label
        "a@xn--a",
        "a@xn--example-",  # decodes to ASCII
        "a@xn--Fa-hia-.de",
        "a@♚.com",
        "a@[::1",
        "a@[::1]x",
        "a@[1.2.3.4]",
        "a@[::1%]",
        "a@[::1%e th]",
        "a@[v1.x]",
        "＠x@b",  # a fullwidth @ becomes a forbidden one
        "a／b@c",
        "a\u200db@c",  # a joiner out of its context
        "אa@b",  # mixed directions
        "a@b/\x00",
        "a@b/\ud800",
        "\udc00@b",
        "a@\ud800",
        "a@b\n",
        "a@b/c\n",
        *(f"a{c}b@c" for c in "\"&':<> "),
    ],
)
def test_refused(raw: str) -> None:
    with pytest.raises(JIDError):
        parse_jid(raw)


@pytest.mark.parametrize("unit", ["a", "é", "例"])
def test_each_part_has_at_most_1023_bytes(unit: str) -> None:
    fits = unit * (1023 // len(unit.encode()))
    fits += "a" * (1023 - len(fits.encode()))
    assert parse_jid(f"{fits}@b/{fits}").local == fits
    for text in (f"{fits}a@b", f"b/{fits}a"):
        with pytest.raises(JIDError):
            parse_jid(text)


def test_domain_limit() -> None:
    domain = "a" * 63 + ".a" * 480
    assert len(domain) == 1023
    assert parse_jid(domain).domain == domain
    assert parse_jid(domain + ".").domain == domain
    for long in (domain + "a", domain + ".ü", "ü" * 60, "ü" + ".a" * 127):
        with pytest.raises(JIDError):
            parse_jid(long)


def test_limit_counts_what_is_prepared_not_what_was_written() -> None:
    assert parse_jid("u\u0308\u0304" * 511 + "@b").local == "ǖ" * 511
    with pytest.raises(JIDError):
        parse_jid("u\u0308\u0304" * 513 + "@b")


def test_an_error_does_not_tell_the_address() -> None:
    with pytest.raises(JIDError) as caught:
        parse_jid("se cret@example.com")
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_properties() -> None:
    full, bare, domain = parse_jid("a@b/c"), parse_jid("a@b"), parse_jid("b")
    assert full.bare == bare
    assert full.bare is full.bare
    assert bare.bare is bare
    assert [j.is_bare for j in (full, bare, domain, parse_jid("b/c"))] == [False, True, True, False]
    assert [j.is_domain for j in (full, bare, domain, parse_jid("b/c"))] == [False, False, True, False]
    assert bare.with_resource("ｃ").text == "a@b/ｃ"
    assert full.with_resource("") == bare
    assert JID.of("A", "B", "C") == parse_jid("a@b/C")
    assert JID.of("", "b") == domain
    assert full != "a@b/c"
    assert {full: 1}[parse_jid("A@B./c")] == 1


@pytest.mark.parametrize(
    ("local", "domain", "resource"), [("a@b", "c", ""), ("a", "", ""), ("a", "b/c", ""), ("a", "b", "\0")]
)
def test_of_prepares_each_part(local: str, domain: str, resource: str) -> None:
    with pytest.raises(JIDError):
        JID.of(local, domain, resource)


def test_immutable_and_copied_whole() -> None:
    jid = parse_jid("a@b/c")
    with pytest.raises(AttributeError):
        jid.local = "x"
    with pytest.raises(AttributeError):
        del jid.text
    assert pickle.loads(pickle.dumps(jid)) == jid
    assert copy.deepcopy(jid) == jid


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    hot = parse_jid("hot@example.com")
    for n in range(3 * GENERATION):
        parse_jid(f"u{n}@example.com")
        if n % 1000 == 0:
            assert parse_jid("hot@example.com") is hot
    assert len(module._young) + len(module._old) <= 2 * GENERATION
    long = "a@b/" + "c" * MAX_CACHED
    assert parse_jid(long) == parse_jid(long)
    assert long not in module._young


@settings(max_examples=1000)
@given(ascii_text)
def test_the_fast_path_is_the_slow_path(text: str) -> None:
    if module._ASCII.fullmatch(text):
        assert outcome(module._parse, text) == outcome(module._parse_slowly, text) is not None


@settings(max_examples=500)
@given(st.text(max_size=20) | likely | ascii_text)
def test_canonical_form_is_stable(text: str) -> None:
    once = outcome(parse_jid, text)
    if once is not None:
        again = module._parse_slowly(once)
        assert (again.text, again) == (once, parse_jid(text))
        assert once == "".join(
            (again.local, "@" * bool(again.local), again.domain, "/" * bool(again.resource), again.resource)
        )


def test_the_stamp_of_a_sender_is_escaped() -> None:
    jid = JID.of("alice", "a.example", "it's <here>")
    assert jid.stamp == b" from='alice@a.example/it&apos;s &lt;here&gt;'"
    assert jid.stamp is jid.stamp


@given(st.from_regex(module._LOCAL, fullmatch=True).filter(lambda raw: len(raw) < 300))
def test_the_short_way_of_a_localpart_is_the_long_one(raw: str) -> None:
    assert JID.of(raw, "a.example").local == raw.lower() == module._USERNAME.enforce(raw)


@given(st.from_regex(module._RESOURCE, fullmatch=True).filter(lambda raw: len(raw) < 300))
def test_the_short_way_of_a_resourcepart_is_the_long_one(raw: str) -> None:
    assert JID.of("a", "a.example", raw).resource == raw == module._OPAQUE.enforce(raw)


def test_a_full_address_shares_the_bare_one_it_was_made_of() -> None:
    bare = JID.of("alice", "a.example")
    full = bare.with_resource("phone")
    assert full.bare is bare
    assert full.with_resource("desk").bare is bare
    assert full.with_resource("") is bare
