from __future__ import annotations

import base64
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest
from s2s_world import Surroundings

from quietwire.core.jid import JID
from quietwire.core.later import Ticket
from quietwire.core.stanza import Stanza
from quietwire.server.s2s import IDLE_SECONDS
from quietwire.server.s2s_in import FIRST_WORD_SECONDS, QUESTIONS, RESUME_SECONDS, Incoming
from quietwire.server.s2s_policy import Policy
from quietwire.server.s2s_traffic import Traffic
from quietwire.testing.links import FakeLink

XML = "<?xml version='1.0'?>"
ANSWER = (
    XML + "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    " xmlns:db='jabber:server:dialback' id='000000000000000000000000' from='b.example' to='a.example'"
    " version='1.0' xml:lang='en'>"
)
NAMELESS = ANSWER.replace(" to='a.example'", "")
TLS = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
LIMITS = (
    "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback><limits xmlns='urn:xmpp:stream-limits:0'>"
    "<max-bytes>10000</max-bytes><idle-seconds>3600</idle-seconds></limits></stream:features>"
)
WITHOUT = f"<stream:features>{LIMITS}"
BOTH_WAYS = f"<stream:features><bidi xmlns='urn:xmpp:features:bidi'/>{LIMITS}"
EXTERNAL = BOTH_WAYS.replace(
    "<bidi",
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms><bidi",
)
AFTER = f"<stream:features><sm xmlns='urn:xmpp:sm:3'/>{LIMITS}"
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SUCCESS = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
CLOSING = "</stream:stream>"
MESSAGE = "<message from='alice@a.example/x' to='bob@b.example'><body>hi</body></message>"


def opening(
    *, to: str = "b.example", from_: str = "a.example", xmlns: str = "jabber:server", version: str = "1.0"
) -> str:
    said = {"to": to, "from": from_, "xmlns": xmlns, "version": version}
    return (
        XML
        + "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'"
        + "".join(f" {key}='{value}'" for key, value in said.items() if value)
        + ">"
    )


def auth(authzid: str = "=", mechanism: str = "EXTERNAL") -> str:
    text = authzid if authzid in ("=", "") else base64.b64encode(authzid.encode()).decode()
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>"


def error(condition: str, text: str = "") -> str:
    inside = f"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{text}</text>" if text else ""
    return f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>{inside}</stream:error>{CLOSING}"


def failure(condition: str) -> str:
    return f"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>"


class Outward:
    """Implements `s2s_in.Outward`: keeps what it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self.answers: list[Callable[[str], None]] = []
        self.cancelled = 0
        self.told: list[str] = []

    def verify(
        self, ours: str, theirs: str, stream_id: str, key: str, answered: Callable[[str], None]
    ) -> Callable[[], None]:
        self.asked.append((ours, theirs, stream_id, key))
        self.answers.append(answered)

        def cancel() -> None:
            self.cancelled += 1

        return cancel

    def adopt(self, traffic: Traffic, theirs: str, ours: str) -> None:
        self.told.append(f"adopt {theirs} {ours}")

    def parted(self, traffic: Traffic, *, resumable: bool) -> None:
        self.told.append("parted, resumable" if resumable else "parted")

    def returned(self, traffic: Traffic) -> None:
        self.told.append("returned")


class Scene(Surroundings):
    """b.example, and a connection from a.example."""

    def __init__(
        self,
        *,
        secure: bool = False,
        names: tuple[str, ...] = ("a.example",),
        fault: str = "",
        policy: Policy | None = None,
    ) -> None:
        super().__init__("b.example", policy, stanza_bytes=10_000)
        self.outward = Outward()
        self.incoming = Incoming(self.common, self.outward)
        self.link = FakeLink(secure=secure, peer_domains=names, peer_fault=fault)
        self.link.stream = self.stream = self.incoming.accept(self.link)

    @property
    def got(self) -> list[Stanza]:
        return self.inward.got

    def connects(self, names: tuple[str, ...] = ("a.example",)) -> Scene:
        """The same server, one more connection."""
        other = copy(self)
        other.link = FakeLink(secure=True, peer_domains=names)
        other.link.stream = other.stream = self.incoming.accept(other.link)
        return other

    def says(self, words: str) -> str:
        self.link.says(words)
        return self.link.take()

    def authenticated(self) -> Scene:
        assert self.says(opening()) == ANSWER + EXTERNAL
        assert self.says(auth()) == SUCCESS
        assert self.says(opening()) == ANSWER + AFTER
        return self


def ready(*names: str) -> Scene:
    return Scene(secure=True, names=names or ("a.example",)).authenticated()


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
    scene.passes(30)
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
    scene.passes(30)
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


# -- dialback ---------------------------------------------------------------------------------------------------------

STREAM_ID = "000000000000000000000000"


def key(from_: str = "a.example", to: str = "b.example", text: str = "key") -> str:
    return f"<db:result from='{from_}' to='{to}'>{text}</db:result>"


def result(outcome: str, from_: str = "a.example", to: str = "b.example") -> str:
    return f"<db:result from='{to}' to='{from_}' type='{outcome}'/>"


def refused(condition: str, kind: str, from_: str = "a.example", to: str = "b.example") -> str:
    error = f"<error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    return f"<db:result from='{to}' to='{from_}' type='error'>{error}</db:result>"


def by_prefix(words: str) -> str:
    return words.replace("<stream:stream", "<stream:stream xmlns:db='jabber:server:dialback'")


def unknown(**settings: Any) -> Scene:
    """A peer without a certificate that says anything."""
    scene = Scene(secure=True, names=(), **settings)
    believing = scene.common.policy.authentication == "dialback"
    assert scene.says(by_prefix(opening())) == ANSWER + (BOTH_WAYS if believing else WITHOUT)
    return scene


def test_a_key_is_asked_about_and_then_believed() -> None:
    scene = unknown()
    assert scene.says(key()) == ""
    assert scene.outward.asked == [("b.example", "a.example", STREAM_ID, "key")]
    assert not scene.stream.known
    scene.says(key())
    assert len(scene.outward.asked) == 1  # once is enough
    scene.outward.answers[0]("valid")
    assert scene.link.take() == result("valid")
    assert scene.says(MESSAGE) == ""
    assert len(scene.got) == 1


def test_a_key_that_is_not_theirs_costs_the_stream() -> None:
    scene = unknown()
    scene.says(key())
    scene.outward.answers[0]("invalid")
    assert scene.link.take() == result("invalid") + CLOSING
    assert scene.link.closed


def test_stanzas_do_not_wait_for_the_answer() -> None:
    scene = unknown()
    assert scene.says(key() + MESSAGE) == error("not-authorized")
    assert (scene.got, scene.outward.cancelled) == ([], 1)
    scene.outward.answers[0]("valid")
    assert scene.link.take() == ""


def test_a_certificate_saves_the_question() -> None:
    scene = Scene(secure=True, names=("a.example", "*.a.example"))
    scene.says(by_prefix(opening()))
    assert scene.says(key() + key("rooms.a.example", "conference.b.example")) == result("valid") + result(
        "valid", "rooms.a.example", "conference.b.example"
    )
    assert scene.outward.asked == []
    scene.says(MESSAGE.replace("alice@a.example/x", "x@rooms.a.example").replace("b.example", "conference.b.example"))
    assert len(scene.got) == 1


def test_more_pairs_on_a_stream_that_is_authenticated() -> None:
    scene = Scene(secure=True).authenticated()
    other = "<message from='x@c.example' to='bob@b.example'/>"
    said = key("c.example").replace("db:result", "result").replace("<result", "<result xmlns='jabber:server:dialback'")
    assert scene.says(said) == ""
    scene.outward.answers[0]("valid")
    assert scene.link.take() == result("valid", "c.example")
    assert scene.says(MESSAGE + other) == ""
    assert len(scene.got) == 2
    scene.says(said.replace("c.example", "d.example"))
    scene.outward.answers[1]("invalid")
    assert scene.link.take() == refused("forbidden", "auth", "d.example")
    assert scene.says(MESSAGE) == ""
    assert not scene.link.closed


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (key(to="c.example"), refused("item-not-found", "cancel", to="c.example")),
        (key("b.example"), refused("not-acceptable", "modify", "b.example")),
        (key("evil.example"), refused("policy-violation", "modify", "evil.example")),
        (key("alice@a.example"), error("improper-addressing")),
        (key(to=""), error("improper-addressing")),
        (key().replace("<db:result", "<db:result type='valid'"), error("invalid-id")),
        (
            "<db:verify from='a.example' to='b.example' id='1' type='valid'/>",
            error("invalid-id"),
        ),
    ],
)
def test_keys_that_are_not_asked_about(said: str, answer: str) -> None:
    scene = unknown(policy=Policy(refuse=("evil.example",), name_domains=True))
    assert scene.says(said) == answer
    assert scene.outward.asked == []
    assert not scene.stream.known


def test_questions_of_one_stream_are_bounded() -> None:
    scene = unknown()
    for number in range(QUESTIONS):
        assert scene.says(key(f"d{number}.example")) == ""
    assert scene.says(key("one-more.example")) == refused("resource-constraint", "wait", "one-more.example")
    scene.link.breaks()
    assert scene.outward.cancelled == QUESTIONS


def test_we_vouch_for_our_own_keys_and_for_no_others() -> None:
    scene = unknown()
    ours = scene.common.keys.make("a.example", "b.example", "5")

    def asked(text: str, to: str = "b.example", id: str = "5") -> str:
        return scene.says(f"<db:verify from='a.example' to='{to}' id='{id}'>{text}</db:verify>")

    assert asked(ours) == "<db:verify from='b.example' to='a.example' id='5' type='valid'/>"
    assert asked(f" {ours} ").endswith("type='valid'/>")
    assert asked(ours, id="6") == "<db:verify from='b.example' to='a.example' id='6' type='invalid'/>"
    assert asked(ours, "conference.b.example").endswith("type='invalid'/>")
    assert "<item-not-found " in asked(ours, "c.example")
    assert not scene.stream.known


def test_a_certificate_that_is_not_valid_is_noted() -> None:
    scene = Scene(secure=True, names=(), fault="expired")
    scene.says(opening())
    assert scene.states() == ["certificate-expired"]


# -- whom we talk to --------------------------------------------------------------------------------------------------


def test_a_refused_domain_is_told_so() -> None:
    scene = Scene(secure=True, policy=Policy(allow=("*.friends.example",)))
    assert scene.says(opening()) == ANSWER + error("policy-violation")


def test_domains_below_ours_can_be_called() -> None:
    scene = Scene(secure=True)
    answered = scene.says(opening(to="conference.b.example"))
    assert "from='conference.b.example'" in answered
    assert scene.says(auth()) == SUCCESS
    assert scene.says(opening()).endswith(error("invalid-from"))  # the pair is that of the first header


def test_connections_of_one_domain_are_limited() -> None:
    scene = Scene(secure=True, policy=Policy(connections_per_domain=2)).authenticated()
    scene.connects().authenticated()
    third = scene.connects()
    third.says(opening())
    assert third.says(auth()) == error("resource-constraint", "too many connections")
    scene.link.breaks()
    scene.connects().authenticated()


# -- both directions, acknowledgements --------------------------------------------------------------------------------

BIDI = "<bidi xmlns='urn:xmpp:bidi'/>"
DB = "jabber:server:dialback"
ENABLE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
ENABLED = "<enabled xmlns='urn:xmpp:sm:3' id='00000000000000000000000000000000' resume='true' max='180'/>"


def resume(h: int, previd: str = "0" * 32) -> str:
    return f"<resume xmlns='urn:xmpp:sm:3' previd='{previd}' h='{h}'/>"


NO_SUCH = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
UNEXPECTED = NO_SUCH.replace("item-not-found", "unexpected-request")


def both(scene: Scene) -> Scene:
    scene.says(opening())
    assert scene.says(BIDI + auth()) == SUCCESS
    scene.says(opening())
    return scene


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


def test_a_lost_stream_is_resumed() -> None:
    scene = ready()
    scene.says(ENABLE + MESSAGE)
    first = scene.stream.traffic
    scene.link.breaks()
    assert scene.outward.told == ["parted, resumable"]
    again = scene.connects().authenticated()
    assert again.says(resume(0)) == f"<resumed xmlns='urn:xmpp:sm:3' previd='{'0' * 32}' h='1'/>"
    assert again.stream.traffic is first
    assert again.outward.told == ["parted, resumable", "parted", "returned"]
    assert again.says(MESSAGE + "<r xmlns='urn:xmpp:sm:3'/>") == "<a xmlns='urn:xmpp:sm:3' h='2'/>"
    assert first.peer is not None
    assert first.peer.streams == 1


def test_a_stream_that_is_not_known_to_be_lost_is_resumed_too() -> None:
    scene = ready()
    scene.says(ENABLE + MESSAGE)
    again = scene.connects().authenticated()
    assert "h='1'" in again.says(resume(0))
    assert scene.link.aborted
    scene.link.breaks()
    assert again.says(MESSAGE) == ""
    assert len(scene.got) == 2


def test_it_is_resumed_when_what_came_is_durable() -> None:
    scene = ready()
    scene.inward.durable = Ticket()
    scene.says(ENABLE + MESSAGE)
    scene.link.breaks()
    again = scene.connects().authenticated()
    assert again.says(resume(0)) == ""
    scene.inward.durable.settle()
    assert "h='1'" in again.link.take()


def test_who_leaves_while_it_is_resumed_may_come_again() -> None:
    scene = ready()
    scene.inward.durable = Ticket()
    scene.says(ENABLE + MESSAGE)
    scene.link.breaks()
    hasty = scene.connects().authenticated()
    hasty.says(resume(0))
    hasty.link.breaks()
    scene.inward.durable.settle()
    again = scene.connects().authenticated()
    assert "<resumed " in again.says(resume(0))


def test_streams_that_cannot_be_resumed() -> None:
    scene = ready()
    scene.says(ENABLE)
    scene.link.breaks()
    other = scene.connects(("c.example",))
    other.says(opening(from_="c.example"))
    other.says(auth())
    other.says(opening(from_="c.example"))
    assert other.says(resume(0)) == NO_SUCH  # another domain's
    again = scene.connects().authenticated()
    assert again.says(resume(0, "unknown")) == NO_SUCH
    assert again.says(resume(0).replace("h='0'", "h='-'")) == NO_SUCH
    scene.passes(RESUME_SECONDS)
    assert again.says(resume(0)) == NO_SUCH
    assert again.says(ENABLE) == ENABLED
    closed = scene.connects().authenticated()
    again.says(CLOSING)
    assert closed.says(resume(0)) == NO_SUCH  # closed in order


def test_a_peer_that_claims_too_much_while_resuming_leaves_nothing_behind() -> None:
    scene = ready()
    scene.says(ENABLE)
    old = scene.stream.traffic
    scene.link.breaks()
    again = scene.connects().authenticated()
    assert "<handled-count-too-high " in again.says(resume(5))
    assert old.peer is None
    assert again.outward.told[:2] == ["parted, resumable", "parted"]
    another = scene.connects().authenticated()
    assert another.says(resume(0)) == NO_SUCH


def test_nothing_can_be_resumed_under_no_name() -> None:
    scene = ready()
    assert scene.says(resume(0, "")) == NO_SUCH
    assert scene.says(MESSAGE) == ""
    assert len(scene.got) == 1


def test_shutting_down_forgets_what_waits() -> None:
    scene = ready()
    scene.says(ENABLE)
    scene.link.breaks()
    scene.incoming.shut_down()
    assert scene.outward.told == ["parted, resumable", "parted"]
    assert scene.stream.traffic.peer is None
