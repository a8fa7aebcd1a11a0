"""Another server that says anything: headers, dialback, SASL, stanzas, stream management, in any order and for any
domains. No fault; and nothing is taken in from a domain that it has not proved, or for one that is not here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from s2s_world import Surroundings
from words import INNER, examples

from quietwire.core.xml import escape
from quietwire.server.s2s_in import Incoming
from quietwire.server.s2s_traffic import Traffic
from quietwire.testing.links import FakeLink

OURS: Final = ("b.example", "conference.b.example")
CERTIFIED: Final = ("a.example",)
PROVED: Final = ("c.example", "xn--bcher-kva.example")
"""Dialback says yes to these."""
DOMAINS: Final = (
    *OURS, *CERTIFIED, *PROVED, "sub.a.example", "example", "A.EXAMPLE", "evil.b.example", "d.example", "", "@",
    "a.example.",
    "b\u00fccher.example", "\u0430.example", "a.example/x", "x@a.example", "[::1]", "a..example",
)  # fmt: skip
KEYS: Final = ("", "good", "0" * 64, "<", "x" * 2000)
_DOMAIN: Final = st.sampled_from(DOMAINS).map(escape)
_JID: Final = st.builds(
    lambda local, domain: local + domain, st.sampled_from(("", "alice@", "bob@", "@")), st.sampled_from(DOMAINS)
).map(escape)
HEADER: Final = st.builds(
    lambda from_, to, space, version: (
        f"<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='{space}'"
        f" xmlns:db='jabber:server:dialback' from='{from_}' to='{to}'{version}>"
    ),
    st.one_of(st.just("a.example"), _DOMAIN),
    st.one_of(st.just("b.example"), _DOMAIN),
    st.sampled_from(("jabber:server", "jabber:server", "jabber:server", "jabber:client")),
    st.sampled_from((" version='1.0'", " version='1.0'", "", " version='x'")),
)
DIALBACK: Final = st.builds(
    lambda name, from_, to, more, key: f"<db:{name} from='{from_}' to='{to}'{more}>{escape(key)}</db:{name}>",
    st.sampled_from(("result", "result", "verify", "other")),
    st.one_of(st.sampled_from(PROVED), _DOMAIN),
    st.one_of(st.sampled_from(OURS), _DOMAIN),
    st.sampled_from(("", "", " id='x'", " type='valid'", " type='invalid'", " id='000000000000000000000000'")),
    st.sampled_from(KEYS),
)
STANZA: Final = st.builds(
    lambda kind, from_, to, type_, inner: f"<{kind} from='{from_}' to='{to}'{type_} id='i'>{inner}</{kind}>",
    st.sampled_from(("message", "iq", "presence")),
    st.one_of(st.sampled_from(("alice@a.example/x", "eve@c.example")), _JID),
    st.one_of(st.sampled_from(("bob@b.example", "den@conference.b.example/n")), _JID),
    st.sampled_from(("", " type='get'", " type='error'", " type='result'", " type='set'")),
    INNER,
)
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
WORD: Final = st.one_of(
    HEADER,
    DIALBACK,
    DIALBACK,
    STANZA,
    STANZA,
    st.sampled_from(
        (
            "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>",
            f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>Yy5leGFtcGxl</auth>",
            f"<auth xmlns='{SASL}' mechanism='PLAIN'/>",
            f"<abort xmlns='{SASL}'/>", "<bidi xmlns='urn:xmpp:bidi'/>",
            "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
            "<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='1'/>", "<a xmlns='urn:xmpp:sm:3' h='x'/>",
            "<resume xmlns='urn:xmpp:sm:3' previd='0' h='0'/>", "</stream:stream>", " ", "<stream:error/>", "&bad;",
        )
    ),
)  # fmt: skip


class Outward:
    """Implements `s2s_in.Outward`: dialback finds the key good for domains that are `PROVED`."""

    def verify(
        self, ours: str, theirs: str, stream_id: str, key: str, answered: Callable[[str], None]
    ) -> Callable[[], None]:
        answered("valid" if key == "good" and theirs in PROVED else "invalid")
        return lambda: None

    def adopt(self, traffic: Traffic, theirs: str, ours: str) -> None:
        assert theirs in (*CERTIFIED, *PROVED)

    def parted(self, traffic: Traffic, *, resumable: bool) -> None: ...

    def returned(self, traffic: Traffic) -> None: ...


def play(words: list[str], *, secure: bool) -> int:
    """-> how many stanzas were taken in."""
    scene = Surroundings("b.example", stanza_bytes=20_000)
    incoming = Incoming(scene.common, Outward())
    link = FakeLink(secure=secure, peer_domains=CERTIFIED)
    link.stream = incoming.accept(link)
    for word in words:
        if link.closed or link.gone:
            break
        link.says(word)
        if link.tls_wanted:
            link.secures()
        link.take()
        assert scene.faults == [], word
    for stanza in scene.inward.got:
        assert stanza.from_ is not None
        assert stanza.to is not None
        if stanza.from_.text == "b.example" and stanza.type == "error":
            assert stanza.to.domain in (*CERTIFIED, *PROVED)  # our own answer to what is addressed to nothing
            continue
        assert stanza.from_.domain in (*CERTIFIED, *PROVED), stanza.from_.text
        assert stanza.to.domain in OURS
    if not link.gone:
        link.breaks()
    scene.passes(7200)
    assert scene.faults == []
    return len(scene.inward.got)


@examples(150)
@given(st.lists(WORD, min_size=1, max_size=12), st.booleans())
def test_from_the_first_word(words: list[str], secure: bool) -> None:
    play(words, secure=secure)


OPENING: Final = (
    "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server'"
    " xmlns:db='jabber:server:dialback' from='a.example' to='b.example' version='1.0'>"
)


@examples(150)
@given(st.lists(st.one_of(DIALBACK, STANZA, WORD), min_size=1, max_size=12))
def test_after_login(words: list[str]) -> None:
    play([OPENING, f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>", OPENING, *words], secure=True)


def test_what_is_true_is_taken_in() -> None:
    """The assertions above are about something."""
    login = [OPENING, f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>", OPENING]
    shown = "<db:result from='c.example' to='conference.b.example'>good</db:result>"
    said = "<message from='eve@{}' to='den@{}'/>"
    assert play([*login, said.format("a.example", "b.example")], secure=True) == 1
    assert play([*login, said.format("a.example", "conference.b.example")], secure=True) == 0
    assert play([*login, shown, said.format("c.example", "conference.b.example")], secure=True) == 1
    assert play([*login, shown, said.format("c.example", "b.example")], secure=True) == 0
    assert play([*login, said.format("sub.a.example", "b.example")], secure=True) == 0
    assert play([*login, said.format("\u0430.example", "b.example")], secure=True) == 0
