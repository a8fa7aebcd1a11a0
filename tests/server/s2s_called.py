"""Another server that calls b.example, and what both say."""

from __future__ import annotations

import base64
from collections.abc import Callable
from copy import copy
from typing import Any

from s2s_world import Surroundings

from quietwire.core.stanza import Stanza
from quietwire.server.s2s_in import Incoming
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
