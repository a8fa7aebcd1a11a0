"""One stream that another server has opened to us."""

from __future__ import annotations

import pytest
from s2s_called import (
    ANSWER,
    BIDI,
    CLOSING,
    DB,
    ENABLE,
    ENABLED,
    MESSAGE,
    NAMELESS,
    PROCEED,
    STARTTLS,
    SUCCESS,
    TLS,
    UNEXPECTED,
    WITHOUT,
    Scene,
    auth,
    both,
    error,
    failure,
    key,
    opening,
    ready,
    resume,
    unknown,
)

from quietwire.core.jid import JID
from quietwire.server.s2s import IDLE_SECONDS
from quietwire.server.s2s_in_stream import FIRST_WORD_SECONDS
from quietwire.server.s2s_policy import Policy


def test_from_the_first_byte_to_the_last() -> None:
    scene = Scene()
    assert scene.says(opening()) == ANSWER + TLS
    assert scene.says(STARTTLS) == PROCEED
    scene.link.secures()
    scene.authenticated()
    assert scene.says(MESSAGE) == ""
    (stanza,) = scene.got
    assert (stanza.from_, stanza.to) == (JID.parse("alice@a.example/x"), JID.parse("bob@b.example"))
    assert stanza.to_bytes() == MESSAGE.encode()
    assert scene.says(CLOSING) == CLOSING
    assert scene.link.closed
    assert scene.incoming.streams == 1
    scene.link.breaks()
    assert scene.incoming.streams == 0
    assert scene.faults == []


def test_every_cut_of_what_the_peer_says_gives_the_same() -> None:
    for size in (1, 2, 7):
        scene = Scene(secure=True)
        for step in (opening(), auth(), opening(), MESSAGE + MESSAGE):
            for at in range(0, len(step), size):
                scene.link.says(step[at : at + size])
        assert len(scene.got) == 2


@pytest.mark.parametrize("authzid", ["=", "a.example", "A.Example"])
def test_authorization_identities_that_fit(authzid: str) -> None:
    scene = Scene(secure=True, names=("*.example",))
    scene.says(opening())
    assert scene.says(auth(authzid)) == SUCCESS


def test_no_initial_response() -> None:
    scene = Scene(secure=True)
    scene.says(opening())
    assert scene.says(auth("")) == "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    assert scene.says("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>") == SUCCESS


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        (auth("c.example"), "invalid-authzid"),
        (auth("alice@a.example"), "invalid-authzid"),
        (auth(mechanism="PLAIN"), "invalid-mechanism"),
        (auth().replace("=</", "%</"), "incorrect-encoding"),
        (auth("a\0b"), "malformed-request"),
        ("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>", "malformed-request"),
        ("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "aborted"),
    ],
)
def test_sasl_failures(words: str, condition: str) -> None:
    scene = Scene(secure=True)
    scene.says(opening())
    for _ in range(scene.common.settings.login_attempts - 1):
        assert scene.says(words) == failure(condition)
    assert scene.says(words) == failure(condition) + error("policy-violation", "too many attempts")


def test_a_failed_try_may_be_followed_by_a_good_one() -> None:
    scene = Scene(secure=True)
    scene.says(opening())
    scene.says(auth("c.example"))
    assert scene.says(auth()) == SUCCESS


@pytest.mark.parametrize("names", [(), ("c.example",), ("*.a.example",)])
def test_external_is_offered_to_the_domain_of_the_certificate_only(names: tuple[str, ...]) -> None:
    scene = Scene(secure=True, names=names)
    assert scene.says(opening()) == ANSWER + WITHOUT
    assert scene.says(auth()) == failure("not-authorized")


def test_the_header_says_who_authenticates() -> None:
    scene = Scene(secure=True, names=("a.example", "c.example"))
    scene.says(opening())
    scene.says(auth())
    assert scene.says(opening(from_="c.example")).endswith(error("invalid-from"))


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (opening(to="c.example"), ANSWER + error("host-unknown")),
        (opening(to="@"), ANSWER + error("host-unknown")),
        (opening(to="bob@b.example"), ANSWER + error("host-unknown")),
        (opening(to=""), ANSWER + error("improper-addressing")),
        (opening(from_=""), NAMELESS + error("improper-addressing")),
        (opening(from_="@"), NAMELESS + error("invalid-from")),
        (opening(from_="alice@a.example"), NAMELESS + error("invalid-from")),
        (opening(from_="b.example"), ANSWER.replace("to='a", "to='b") + error("invalid-from")),
        (opening(xmlns="jabber:client"), ANSWER + error("invalid-namespace")),
        (opening(version=""), ANSWER + error("unsupported-version")),
        ("<stream:stream", None),
        ("<?xml version='1.0'?><a/>", NAMELESS + error("bad-format")),
        ("GET / HTTP/1.1\r\n\r\n", NAMELESS + error("not-well-formed")),
    ],
)
def test_headers(header: str, answer: str | None) -> None:
    scene = Scene(secure=True)
    assert scene.says(header) == (answer or "")
    assert scene.link.closed is (answer is not None)


def test_before_tls_nobody_need_say_who_they_are() -> None:
    assert Scene().says(opening(from_="")) == NAMELESS + TLS


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        (auth(), error("policy-violation", "TLS first")),
        (MESSAGE, error("not-authorized")),
    ],
)
def test_nothing_but_starttls_in_clear(words: str, condition: str) -> None:
    scene = Scene()
    scene.says(opening())
    assert scene.says(words) == condition
    assert scene.got == []


def test_what_came_in_clear_is_forgotten() -> None:
    scene = Scene(names=("c.example",))
    scene.says(opening())
    scene.says(STARTTLS)
    scene.link.secures()
    assert "EXTERNAL" not in scene.says(opening())


def test_what_follows_starttls_in_clear_is_not_heard() -> None:
    scene = Scene()
    scene.says(opening())
    assert scene.says(STARTTLS + STARTTLS + auth()) == PROCEED
    assert scene.says(opening() + auth()) == ""
    scene.link.secures()
    scene.authenticated()


def test_a_handshake_that_takes_too_long_is_cut_without_a_word() -> None:
    scene = Scene()
    scene.says(opening())
    scene.says(STARTTLS)
    scene.passes(scene.common.settings.unauthenticated_seconds)
    assert (scene.link.take(), scene.link.aborted) == ("", True)


def test_what_is_sent_along_with_the_authentication_belongs_to_no_stream() -> None:
    scene = Scene(secure=True)
    scene.says(opening())
    assert scene.says(auth() + MESSAGE) == SUCCESS + ANSWER + error("bad-format")
    assert scene.got == []


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        (MESSAGE, "not-authorized"),
        ("<db:result xmlns:db='jabber:server:dialback'>k</db:result>", "improper-addressing"),
        ("<enable xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type"),
    ],
)
def test_nothing_but_authentication_before_authentication(words: str, condition: str) -> None:
    scene = Scene(secure=True)
    scene.says(opening())
    assert scene.says(words) == error(condition)
    assert scene.got == []


@pytest.mark.parametrize(
    ("stanza", "condition"),
    [
        ("<message to='bob@b.example'/>", "improper-addressing"),
        ("<message from='alice@a.example'/>", "improper-addressing"),
        ("<message from='' to='bob@b.example'/>", "improper-addressing"),
        ("<message from='carol@c.example' to='bob@b.example'/>", "invalid-from"),
        ("<message from='alice@sub.a.example' to='bob@b.example'/>", "invalid-from"),
        ("<message from='bob@b.example' to='bob@b.example'/>", "invalid-from"),
        ("<message from='@' to='bob@b.example'/>", "invalid-from"),
        ("<message from='alice@a.example' to='carol@c.example'/>", "improper-addressing"),
        ("<message xmlns='jabber:client' from='alice@a.example' to='bob@b.example'/>", "invalid-namespace"),
        ("<r xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type"),
        ("<!DOCTYPE a>", "not-well-formed"),
        ("<!-- a -->", "restricted-xml"),
    ],
)
def test_stanzas_that_end_the_stream(stanza: str, condition: str) -> None:
    scene = ready()
    assert scene.says(stanza + MESSAGE) == error(condition)
    assert scene.got == []
    assert scene.notes[-1] == ("server-stream-error", {"condition": condition, "peer": "a.example"})


def test_a_stanza_too_big() -> None:
    scene = ready()
    body = "x" * 10_000
    assert scene.says(MESSAGE.replace("hi", body)) == error("policy-violation", "stanza too big")


def test_an_addressee_that_is_no_address() -> None:
    scene = ready()
    assert scene.says("<iq type='get' id='7' from='alice@a.example/x' to='bob@b.example/&#x7;'><q/></iq>") != ""
    scene = ready()
    assert scene.says("<iq type='get' id='7' from='alice@a.example/x' to='@b.example'><q xmlns='q'/></iq>") == ""
    (answer,) = scene.got
    assert (answer.to, answer.from_, answer.type, answer.id) == (
        JID.parse("alice@a.example/x"),
        JID.parse("b.example"),
        "error",
        "7",
    )
    assert b"<jid-malformed " in answer.to_bytes()
    assert scene.says("<message type='error' from='alice@a.example/x' to='@b.example'/>") == ""
    assert len(scene.got) == 1


@pytest.mark.parametrize("sender", ["victim@c.example", "bob@b.example/x", "conference.b.example"])
def test_nobody_is_told_of_an_addressee_that_is_none_in_anothers_name(sender: str) -> None:
    scene = ready()
    assert scene.says(f"<iq type='get' id='7' from='{sender}' to='@b.example'><q/></iq>") == error("invalid-from")
    assert scene.got == []


def test_whoever_does_not_authenticate_is_closed() -> None:
    scene = Scene(secure=True)
    scene.says(opening())
    scene.passes(scene.common.settings.unauthenticated_seconds)
    assert scene.link.take() == error("connection-timeout")
    assert scene.link.closed


def test_bytes_before_authentication_are_limited() -> None:
    scene = Scene(secure=True)
    scene.says(opening())
    for _ in range(70):
        scene.link.says(" " * 1000)
    assert scene.link.take() == error("policy-violation", "too much before authentication")


def test_spaces_after_authentication_are_not() -> None:
    scene = ready()
    for _ in range(70):
        scene.link.says(" " * 1000)
    assert not scene.link.closed


def test_a_stream_on_which_nothing_comes_is_closed() -> None:
    scene = ready()
    scene.passes(100)
    scene.says(" ")
    scene.passes(IDLE_SECONDS - 1)
    assert not scene.link.closed
    scene.passes(1)
    assert scene.link.take() == error("connection-timeout")


def test_shut_down() -> None:
    scene = ready()
    scene.incoming.shut_down()
    assert scene.link.take() == error("system-shutdown")
    silent = Scene()
    silent.incoming.shut_down()
    assert (silent.link.take(), silent.link.closed) == ("", True)


def test_the_peers_stream_error_ends_it() -> None:
    for scene in (ready(), Scene(secure=True)):
        if not scene.stream.known:
            scene.says(opening())
        scene.says("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
        assert scene.link.closed


def test_our_own_mistake_is_reported_and_costs_that_stream() -> None:
    scene = ready()
    scene.inward.bug = bug = RuntimeError("bug")
    assert scene.says(MESSAGE) == error("internal-server-error")
    assert scene.faults == [bug]


def test_nothing_personal_is_logged() -> None:
    scene = Scene(secure=True, policy=Policy()).authenticated()
    scene.says(MESSAGE + MESSAGE.replace("a.example", "c.example"))
    tag = scene.common.peers.tag("a.example")
    assert tag != "a.example"
    assert scene.notes == [
        ("server-stream", {"state": "accepted", "peer": tag}),
        ("server-stream-error", {"condition": "invalid-from", "peer": tag}),
    ]


def test_a_certificate_that_is_not_valid_is_noted() -> None:
    scene = Scene(secure=True, names=(), fault="expired")
    scene.says(opening())
    assert scene.states() == ["certificate-expired"]


def test_a_refused_domain_is_told_so() -> None:
    scene = Scene(secure=True, policy=Policy(allow=("*.friends.example",)))
    assert scene.says(opening()) == ANSWER + error("policy-violation")


def test_our_stanzas_go_out_on_it_once_the_peer_has_spoken() -> None:
    scene = both(Scene(secure=True))
    assert scene.outward.told == []
    assert scene.says(ENABLE) == ENABLED
    assert scene.outward.told == ["adopt a.example b.example"]
    assert scene.stream.traffic.sends
    quiet = both(Scene(secure=True))
    quiet.passes(FIRST_WORD_SECONDS)
    assert quiet.outward.told == ["adopt a.example b.example"]
    talking = both(Scene(secure=True))
    talking.says(MESSAGE)
    assert talking.outward.told == ["adopt a.example b.example"]
    talking.link.breaks()
    assert talking.outward.told[1:] == ["parted"]


def test_not_without_having_agreed_to_it() -> None:
    scene = ready()
    scene.says(ENABLE + MESSAGE)
    scene.passes(10)
    assert scene.outward.told == []
    assert not scene.stream.traffic.sends


def test_both_directions_after_dialback() -> None:
    scene = unknown(policy=Policy(authentication="dialback"))
    limits = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>20000</max-bytes></limits>"
    scene.says(f"<bidi xmlns='urn:xmpp:bidi'>{limits}</bidi>")
    scene.says(key())
    assert scene.outward.told == []
    scene.outward.answers[0]("valid")
    assert scene.outward.told == ["adopt a.example b.example"]
    assert scene.stream.traffic.max_bytes == 20_000


def test_who_shows_no_certificate_of_the_domain_does_not_get_our_stanzas() -> None:
    scene = unknown()
    scene.says(BIDI + key())
    scene.outward.answers[0]("valid")
    scene.passes(FIRST_WORD_SECONDS)
    scene.says(MESSAGE)
    assert len(scene.got) == 1
    assert scene.outward.told == []
    assert not scene.stream.traffic.sends
    partly = both(Scene(secure=True))
    partly.says(ENABLE)
    partly.says(f"<result xmlns='{DB}' from='c.example' to='b.example'>key</result>")
    partly.outward.answers[0]("valid")
    assert partly.stream.traffic.pairs == {("a.example", "b.example"), ("c.example", "b.example")}
    assert {told for told in partly.outward.told if told.startswith("adopt")} == {"adopt a.example b.example"}


def test_stanzas_are_acknowledged() -> None:
    scene = ready()
    assert scene.says(ENABLE) == ENABLED
    assert scene.says(MESSAGE + MESSAGE + "<r xmlns='urn:xmpp:sm:3'/>") == "<a xmlns='urn:xmpp:sm:3' h='2'/>"
    assert scene.says(ENABLE + resume(0)) == UNEXPECTED * 2
    assert scene.says(MESSAGE + CLOSING) == f"<a xmlns='urn:xmpp:sm:3' h='3'/>{CLOSING}"
