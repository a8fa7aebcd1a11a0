from __future__ import annotations

import pytest
from s2s_dialled import (
    ANSWER,
    AUTH,
    CLOSING,
    DIALBACK,
    EXTERNAL,
    HEADER,
    PROCEED,
    SUCCESS,
    TLS,
    failed,
    offering,
)
from s2s_world import Surroundings

from quietwire.server.s2s import Failure
from quietwire.server.s2s_open import NEGOTIATION_SECONDS
from quietwire.server.s2s_out import OutgoingServerStream
from quietwire.server.s2s_policy import Policy
from quietwire.server.s2s_traffic import ANSWER_SECONDS, QUIET_SECONDS, Traffic
from quietwire.testing.links import FakeLink


class Diary:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str | Failure] = []

    def ready(self, stream: OutgoingServerStream, resumed: bool) -> None:
        assert stream.ready
        self.told.append("resumed" if resumed else "ready")

    def confirmed(self, count: int) -> None:
        self.told.append(f"confirmed {count}")

    def ended(self, stream: OutgoingServerStream, failure: Failure) -> None:
        assert stream.ended
        self.told.append(failure)

    def lost(self, stream: OutgoingServerStream) -> None:
        self.told.append("lost")

    def failure(self) -> Failure:
        """The one failure that was told."""
        (failure,) = [item for item in self.told if isinstance(item, Failure)]
        return failure


class Scene(Surroundings):
    def __init__(
        self,
        *,
        secure: bool = False,
        names: tuple[str, ...] = ("b.example",),
        fault: str = "",
        policy: Policy | None = None,
        resume: Traffic | None = None,
    ) -> None:
        super().__init__("a.example", policy)
        self.owner = Diary()
        self.link = FakeLink(secure=secure, peer_domains=names, peer_fault=fault)
        self.link.stream = self.stream = OutgoingServerStream(
            self.link, "a.example", "b.example", self.owner, self.common, resume
        )

    def to_tls(self) -> Scene:
        assert self.link.take() == HEADER
        self.link.says(ANSWER + TLS)
        self.link.take()
        self.link.says(PROCEED)
        self.link.secures()
        return self

    def to_sasl(self) -> Scene:
        self.to_tls()
        assert self.link.take() == HEADER
        self.link.says(ANSWER + EXTERNAL)
        assert self.link.take() == AUTH
        return self

    def to_ready(self) -> Scene:
        self.to_sasl()
        self.link.says(SUCCESS)
        assert self.link.take() == HEADER
        self.link.says(ANSWER + "<stream:features/>")
        assert self.owner.told == ["ready"]
        return self


def test_the_whole_negotiation_then_stanzas() -> None:
    scene = Scene()
    link = scene.link
    assert link.take() == HEADER
    link.says(ANSWER + TLS)
    assert link.take() == "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    assert not link.tls_wanted
    link.says(PROCEED)
    assert link.tls_wanted
    link.secures()
    assert link.take() == HEADER
    link.says(ANSWER + EXTERNAL)
    assert link.take() == AUTH
    link.says(SUCCESS)
    assert link.take() == HEADER
    assert scene.owner.told == []
    link.says(ANSWER + "<stream:features/>")
    assert scene.owner.told == ["ready"]
    scene.stream.traffic.put(scene.owner, b"<message/>")
    assert link.take() == "<message/>"
    link.flushes()
    assert scene.owner.told == ["ready", "confirmed 1"]
    scene.stream.close()
    assert (link.take(), link.closed, link.aborted) == (CLOSING, True, False)
    link.breaks()
    assert scene.owner.told == ["ready", "confirmed 1", failed("closed"), "lost"]


def test_every_cut_of_what_the_peer_says_gives_the_same() -> None:
    steps = [(ANSWER + TLS + PROCEED), (ANSWER + EXTERNAL), SUCCESS, (ANSWER + "<stream:features/>")]
    for size in (1, 2, 7):
        scene = Scene()
        for index, step in enumerate(steps):
            for at in range(0, len(step), size):
                scene.link.says(step[at : at + size])
            if index == 0:
                scene.link.secures()
        assert scene.owner.told == ["ready"]


def test_direct_tls_starts_with_the_certificate() -> None:
    scene = Scene(secure=True)
    assert scene.link.take() == HEADER
    scene.link.says(ANSWER + EXTERNAL)
    assert scene.link.take() == AUTH


def test_an_empty_challenge_is_answered() -> None:
    scene = Scene().to_sasl()
    scene.link.says("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
    assert scene.link.take() == "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>"


def test_a_wildcard_stands_for_the_domain() -> None:
    assert Scene(names=("*.example",)).to_sasl().owner.told == []


def test_what_comes_in_clear_after_proceed_is_not_believed() -> None:
    scene = Scene()
    scene.link.says(ANSWER + TLS + PROCEED + ANSWER + "<stream:features/>")
    scene.link.says(ANSWER + "<stream:features/>")
    assert scene.owner.told == []
    scene.link.secures()
    assert scene.owner.told == []


@pytest.mark.parametrize(
    "features",
    [
        "<stream:features/>",
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"
        "</mechanisms></stream:features>",
    ],
)
def test_no_external(features: str) -> None:
    scene = Scene().to_tls()
    scene.link.says(ANSWER + features)
    assert scene.owner.told == [failed("no-external", permanent=True)]
    assert scene.link.take() == HEADER + CLOSING


@pytest.mark.parametrize(
    ("condition", "permanent"),
    [
        ("<not-authorized/>", True),
        ("<invalid-authzid/><text>x</text>", True),
        ("<temporary-auth-failure/>", False),
        ("", True),
    ],
)
def test_sasl_failure(condition: str, permanent: bool) -> None:
    scene = Scene().to_sasl()
    scene.link.says(f"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{condition}</failure>")
    assert scene.owner.told == [failed("sasl-refused", permanent=permanent)]


def test_a_stream_error_later_is_no_judgement_for_ever() -> None:
    scene = Scene().to_ready()
    scene.link.says("<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
    assert scene.owner.failure() == failed("stream-error")


@pytest.mark.parametrize(
    ("words", "answer", "state"),
    [
        (ANSWER.replace("jabber:server'", "jabber:client'", 1) + TLS, "invalid-namespace", "peer-invalid-namespace"),
        (ANSWER.replace(" version='1.0'>", ">") + TLS, "unsupported-version", "peer-unsupported-version"),
        (ANSWER + "<!-- hello -->", "restricted-xml", "peer-restricted-xml"),
        (ANSWER + "<message to='alice@a.example' from='bob@b.example'/>", "not-authorized", "peer-not-authorized"),
        (ANSWER + PROCEED, "unsupported-stanza-type", "peer-unsupported-stanza-type"),
        ("<a><b></a>", "bad-format", "peer-bad-format"),
    ],
)
def test_a_peer_that_breaks_a_rule(words: str, answer: str, state: str) -> None:
    scene = Scene()
    scene.link.says(words)
    error = f"<stream:error><{answer} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    assert scene.link.take() == HEADER + error
    assert scene.owner.told == [failed(state)]


def test_stanzas_may_not_come_in_on_our_stream() -> None:
    scene = Scene().to_ready()
    scene.link.says("<iq type='get' id='1' from='b.example' to='a.example'/>")
    assert scene.owner.failure() == failed("peer-not-authorized")


def test_other_nonzas_on_a_ready_stream_are_passed_over() -> None:
    scene = Scene().to_ready()
    scene.link.says("<note xmlns='urn:xmpp:never'/>")
    assert scene.owner.told == ["ready"]


def test_the_peer_closes() -> None:
    scene = Scene().to_ready()
    scene.link.says(CLOSING)
    assert scene.link.take() == CLOSING
    assert scene.link.closed
    scene.link.breaks()
    assert scene.owner.told == ["ready", failed("closed-by-peer"), "lost"]


def test_the_connection_is_lost() -> None:
    scene = Scene().to_ready()
    scene.link.breaks()
    assert scene.owner.told == ["ready", failed("connection-lost"), "lost"]


def test_negotiation_takes_too_long() -> None:
    scene = Scene().to_sasl()
    scene.passes(NEGOTIATION_SECONDS)
    assert scene.owner.told == [failed("negotiation-timeout")]
    assert scene.link.take() == CLOSING


def test_a_ready_stream_has_no_deadline() -> None:
    scene = Scene().to_ready()
    assert scene.timers.next_at() is None


def test_abort_says_nothing() -> None:
    scene = Scene().to_ready()
    scene.stream.abort(failed("stalled"))
    assert (scene.link.take(), scene.link.aborted) == ("", True)
    scene.stream.abort(failed("again"))
    scene.stream.close()
    scene.link.breaks()
    assert scene.owner.told == ["ready", failed("stalled"), "lost"]


# -- dialback ---------------------------------------------------------------------------------------------------------

SASL_FAILURE = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"


def answer(outcome: str, from_: str = "b.example", to: str = "a.example") -> str:
    return f"<db:result from='{from_}' to='{to}' type='{outcome}'/>"


def dialback_error(condition: str) -> str:
    error = f"<error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    return answer("error").replace("/>", f">{error}</db:result>", 1)


def with_key(scene: Scene) -> Scene:
    scene.to_tls()
    assert scene.link.take() == HEADER
    scene.link.says(ANSWER + offering(DIALBACK))
    key = scene.common.keys.make("b.example", "a.example", "x")
    assert scene.link.take() == f"<db:result from='a.example' to='b.example'>{key}</db:result>"
    return scene


def test_a_key_where_external_is_not_offered() -> None:
    scene = with_key(Scene())
    scene.link.says(answer("valid"))
    assert scene.owner.told == ["ready"]


def test_a_key_where_external_has_failed() -> None:
    scene = Scene().to_tls()
    scene.link.says(ANSWER + EXTERNAL.replace("</stream:features>", f"{DIALBACK}</stream:features>"))
    assert scene.link.take() == HEADER + AUTH
    scene.link.says(SASL_FAILURE)
    assert scene.link.take().startswith("<db:result ")
    scene.link.says(answer("valid"))
    assert scene.owner.told == ["ready"]


@pytest.mark.parametrize(
    ("said", "permanent"),
    [
        (answer("invalid"), True),
        (dialback_error("not-authorized"), True),
        (dialback_error("remote-server-not-found"), True),
        (dialback_error("remote-server-timeout"), False),
        (dialback_error("resource-constraint"), False),
    ],
)
def test_a_key_that_is_refused(said: str, permanent: bool) -> None:
    scene = with_key(Scene())
    scene.link.says(said)
    assert scene.owner.told == [failed("dialback-refused", permanent=permanent)]


@pytest.mark.parametrize("addresses", [("c.example", "a.example"), ("b.example", "c.example"), ("", "a.example")])
def test_an_answer_about_somebody_else(addresses: tuple[str, str]) -> None:
    scene = with_key(Scene())
    scene.link.says(answer("valid", *addresses))
    assert scene.owner.told == [failed("peer-invalid-from")]


def test_answers_that_nobody_asked_for() -> None:
    for said, state in ((answer("valid"), "peer-invalid-id"),):
        scene = Scene().to_ready()
        scene.link.says(said)
        assert scene.owner.failure() == failed(state)
    scene = Scene().to_sasl()
    scene.link.says(answer("valid"))
    assert scene.owner.told == [failed("peer-unsupported-stanza-type")]


@pytest.mark.parametrize("fault", ["expired", "not-trusted", "missing"])
def test_what_is_wrong_with_their_certificate_is_told(fault: str) -> None:
    scene = Scene(secure=True, names=(), fault=fault)
    assert scene.owner.told == [failed(f"certificate-{fault}", permanent=True)]
    assert scene.link.take() == ""


def test_where_dialback_is_enough_any_certificate_is() -> None:
    scene = with_key(Scene(names=(), fault="not-trusted", policy=Policy(authentication="dialback")))
    scene.link.says(answer("valid"))
    assert scene.owner.told == ["ready"]


# -- both directions --------------------------------------------------------------------------------------------------

BIDI = "<bidi xmlns='urn:xmpp:features:bidi'/>"
INBOUND = "<message id='1' from='bob@b.example' to='alice@a.example'/>"


def test_their_stanzas_may_come_in_where_both_agreed() -> None:
    scene = Scene(secure=True)
    scene.link.says(ANSWER + EXTERNAL.replace("</stream:features>", f"{BIDI}</stream:features>"))
    said = scene.link.take()
    assert "<bidi xmlns='urn:xmpp:bidi'><limits " in said
    assert said.endswith(AUTH)
    scene.link.says(SUCCESS)
    scene.link.says(ANSWER + "<stream:features/>" + INBOUND)
    assert scene.inward.ids() == ["1"]
    scene.link.says(INBOUND.replace("b.example", "c.example"))
    assert scene.owner.failure() == failed("peer-invalid-from")


def test_not_from_a_server_whose_certificate_says_nothing() -> None:
    scene = Scene(secure=True, names=(), fault="not-trusted", policy=Policy(authentication="dialback"))
    scene.link.says(ANSWER + offering(BIDI, DIALBACK))
    assert "bidi" not in scene.link.take()
    scene.link.says(answer("valid") + INBOUND)
    assert scene.owner.failure() == failed("peer-not-authorized")


# -- acknowledgements and limits --------------------------------------------------------------------------------------

SM = "<sm xmlns='urn:xmpp:sm:3'/>"
ENABLE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
ENABLED = "<enabled xmlns='urn:xmpp:sm:3' id='i&amp;d' resume='true' max='60'/>"


def to_features(scene: Scene, *features: str) -> Scene:
    scene.link.says(ANSWER + EXTERNAL)
    scene.link.says(SUCCESS)
    scene.link.take()
    scene.link.says(ANSWER + offering(*features))
    return scene


def managed() -> Scene:
    scene = to_features(Scene(secure=True), SM)
    assert scene.link.take() == ENABLE
    assert scene.owner.told == []
    scene.link.says(ENABLED)
    assert scene.owner.told == ["ready"]
    return scene


def test_stanzas_are_acknowledged() -> None:
    scene = managed()
    scene.stream.traffic.put(scene.owner, b"<message/>")
    assert scene.link.take() == "<message/><r xmlns='urn:xmpp:sm:3'/>"
    scene.link.flushes()
    assert scene.owner.told == ["ready"]
    scene.link.says("<a xmlns='urn:xmpp:sm:3' h='1'/>")
    assert scene.owner.told == ["ready", "confirmed 1"]
    scene.link.says("<a xmlns='urn:xmpp:sm:3' h='2'/>")
    assert "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='2' send-count='1'/>" in scene.link.take()


def test_a_peer_that_would_not_after_all() -> None:
    scene = to_features(Scene(secure=True), SM)
    scene.link.says("<failed xmlns='urn:xmpp:sm:3'/>")
    assert scene.owner.told == ["ready"]
    assert not scene.stream.traffic.managed


def lost() -> Scene:
    """A stream with three stanzas under way whose connection is gone."""
    scene = managed()
    for _ in range(3):
        scene.stream.traffic.put(scene.owner, b"<message/>")
    scene.link.breaks()
    scene.owner.told.clear()
    return scene


def test_a_lost_stream_is_resumed() -> None:
    old = lost()
    scene = to_features(Scene(secure=True, resume=old.stream.traffic), SM)
    assert scene.link.take() == "<resume xmlns='urn:xmpp:sm:3' previd='i&amp;d' h='0'/>"
    scene.link.says("<resumed xmlns='urn:xmpp:sm:3' previd='i&amp;d' h='2'/>")
    assert scene.owner.told == ["resumed"]
    assert old.owner.told == ["confirmed 2"]
    assert scene.stream.traffic is old.stream.traffic
    assert scene.stream.traffic.live


def test_a_peer_that_has_forgotten_it_says_what_it_had() -> None:
    old = lost()
    scene = to_features(Scene(secure=True, resume=old.stream.traffic), SM)
    scene.link.take()
    scene.link.says("<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found xmlns='x'/></failed>")
    assert old.owner.told == ["confirmed 1"]
    assert scene.link.take() == ENABLE
    scene.link.says("<enabled xmlns='urn:xmpp:sm:3'/>")
    assert scene.owner.told == ["ready"]
    assert scene.stream.traffic is not old.stream.traffic


def test_a_peer_that_claims_more_than_it_was_sent() -> None:
    scene = to_features(Scene(secure=True, resume=lost().stream.traffic), SM)
    scene.link.says("<resumed xmlns='urn:xmpp:sm:3' previd='i&amp;d' h='4'/>")
    assert scene.owner.told == [failed("peer-undefined-condition")]


@pytest.mark.parametrize(
    ("told", "limit"),
    [("20000", 20_000), ("5", 10_000), ("x", 0), ("", 0), ("-1", 0), ("9" * 20, 0)],
)
def test_the_peers_limits(told: str, limit: int) -> None:
    limits = f"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{told}</max-bytes></limits>"
    assert to_features(Scene(secure=True), limits).stream.traffic.max_bytes == limit


def test_a_silent_peer_is_given_up() -> None:
    scene = managed()
    scene.passes(QUIET_SECONDS)
    assert scene.link.take() == "<r xmlns='urn:xmpp:sm:3'/>"
    scene.passes(ANSWER_SECONDS)
    assert scene.owner.failure() == failed("silent")
    assert scene.link.aborted
