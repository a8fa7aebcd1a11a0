"""What streams to other servers begin with, whatever they are for."""

from __future__ import annotations

import pytest
from s2s_dialled import ANSWER, CLOSING, EXTERNAL, HEADER, PROCEED, TLS, failed, offering
from s2s_world import Surroundings

from quietwire.core.errors import StreamError
from quietwire.core.stanza import Child
from quietwire.server.links import Link
from quietwire.server.s2s import Common, Failure
from quietwire.server.s2s_open import NEGOTIATION_SECONDS, Opener
from quietwire.server.s2s_policy import Policy
from quietwire.testing.links import FakeLink


class Caller(Opener):
    """Wants nothing, and writes down what it is told."""

    __slots__ = ("bug", "told")

    def __init__(self, link: Link, common: Common) -> None:
        self.told: list[str | Failure] = []
        self.bug = False
        super().__init__(link, "a.example", "b.example", common)

    def _features(self, features: Child) -> None:
        assert not self.bug
        self.told.append("features")

    def _hear(self, child: Child) -> None:
        raise StreamError("unsupported-stanza-type")

    def _over(self, failure: Failure) -> None:
        self.told.append(failure)


class Scene(Surroundings):
    def __init__(
        self,
        *,
        secure: bool = False,
        names: tuple[str, ...] = ("b.example",),
        fault: str = "",
        policy: Policy | None = None,
    ) -> None:
        super().__init__("a.example", policy)
        self.link = FakeLink(secure=secure, peer_domains=names, peer_fault=fault)
        self.link.stream = self.stream = Caller(self.link, self.common)

    @property
    def told(self) -> list[str | Failure]:
        return self.stream.told


def to_tls(scene: Scene) -> Scene:
    assert scene.link.take() == HEADER
    scene.link.says(ANSWER + TLS)
    assert scene.link.take() == "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    scene.link.says(PROCEED)
    scene.link.secures()
    return scene


def test_features_under_tls_are_the_beginning_of_something_else() -> None:
    scene = to_tls(Scene())
    assert scene.link.take() == HEADER
    scene.link.says(ANSWER + offering())
    assert (scene.told, scene.stream.certified) == (["features"], True)
    direct = Scene(secure=True)
    assert direct.link.take() == HEADER
    direct.link.says(ANSWER + offering())
    assert direct.told == ["features"]
    direct.stream.close()
    assert (direct.link.take(), direct.link.closed) == (CLOSING, True)
    assert direct.told == ["features", failed("closed")]


def test_any_certificate_will_do_where_dns_is_believed() -> None:
    scene = to_tls(Scene(names=(), fault="expired", policy=Policy(authentication="dialback")))
    assert scene.link.take() == HEADER
    assert not scene.stream.certified


def test_nothing_is_waited_for_for_ever() -> None:
    scene = Scene()
    scene.passes(NEGOTIATION_SECONDS)
    assert scene.told == [failed("negotiation-timeout")]
    assert scene.link.take() == HEADER + CLOSING


def test_a_bug_is_reported_and_costs_that_stream() -> None:
    scene = Scene(secure=True)
    scene.stream.bug = True
    scene.link.says(ANSWER + offering())
    assert [type(fault) for fault in scene.faults] == [AssertionError]
    assert "<internal-server-error " in scene.link.take()
    assert scene.told == [failed("peer-internal-server-error")]


@pytest.mark.parametrize("names", [(), ("c.example",), ("*.b.example",)])
def test_the_certificate_of_another(names: tuple[str, ...]) -> None:
    started = to_tls(Scene(names=names))
    assert started.link.take() == ""
    direct = Scene(secure=True, names=names)
    assert direct.link.take() == ""
    for scene in (started, direct):
        assert scene.told == [failed("certificate-of-another", permanent=True)]
        assert scene.link.closed


def test_no_tls_offered() -> None:
    scene = Scene()
    scene.link.says(ANSWER + EXTERNAL)
    assert scene.link.take() == HEADER + CLOSING
    assert scene.told == [failed("no-tls", permanent=True)]


def test_tls_refused() -> None:
    scene = Scene()
    scene.link.says(ANSWER + TLS)
    scene.link.says("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")
    assert scene.told == [failed("tls-refused")]
    assert scene.link.closed


def test_the_handshake_fails() -> None:
    scene = Scene()
    scene.link.says(ANSWER + TLS + PROCEED)
    scene.link.breaks()
    assert scene.told == [failed("tls-failed")]


@pytest.mark.parametrize(
    ("condition", "failure"),
    [
        ("host-unknown", Failure("remote-server-not-found", "host-unknown", permanent=True)),
        ("host-gone", Failure("remote-server-not-found", "host-unknown", permanent=True)),
        ("not-authorized", failed("stream-error", permanent=True)),
        ("system-shutdown", failed("stream-error")),
        ("resource-constraint", failed("stream-error")),
    ],
)
def test_stream_errors_before_the_stream_is_ready(condition: str, failure: Failure) -> None:
    scene = Scene()
    error = f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    scene.link.says(ANSWER + error)
    assert scene.told == [failure]
    assert scene.link.take() == HEADER + CLOSING
