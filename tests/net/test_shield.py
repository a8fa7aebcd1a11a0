"""The two sides of a helper: who may say what before both are secure, who waits for whom, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from fake_loop import FakeLoop, Outside, shell_on

from quietwire.core import ns
from quietwire.core.relay import DOWN
from quietwire.net.shield import DRAIN_MOST, DRAIN_SECONDS, QUEUE, READY_SECONDS, Near, Shield, Terms, drain
from quietwire.net.stream import Connection
from quietwire.server.links import Link, Stream
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.presets import PHONE
from quietwire.testing.links import FakeLink

HEADER = f"<stream:stream to='a.example' xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' version='1.0'>"
BACK = f"<stream:stream from='a.example' xmlns='jabber:client' xmlns:stream='{ns.STREAMS}' version='1.0'>"
STARTTLS = f"<starttls xmlns='{ns.TLS}'/>"
OFFER = f"<stream:features><starttls xmlns='{ns.TLS}'/></stream:features>"
MECHANISMS = (
    f"<stream:features><mechanisms xmlns='{ns.SASL}'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
)


class SlowLink(FakeLink):
    """What was put waits until the test takes it away."""

    waiting = 0

    def backlog(self) -> int:
        return self.waiting


class Road:
    """A way to a server that a test answers for."""

    def __init__(self) -> None:
        self.accept: Callable[[Link], Stream] | None = None
        self.failed: Callable[[str], None] | None = None
        self.line = ""
        self.given_up = False

    def dial(self, accept: Callable[[Link], Stream], failed: Callable[[str], None]) -> Callable[[], None]:
        self.accept, self.failed = accept, failed

        def give_up() -> None:
            self.given_up = True

        return give_up

    def verdict(self, link: Link) -> str:
        return self.line

    def bindings(self) -> Mapping[str, bytes]:
        return {}


class World:
    def __init__(self, *, direct: bool = False, domain: str = "a.example") -> None:
        self.loop = FakeLoop()
        self.road = Road()
        self.said: list[str] = []
        terms = Terms(domain, logs_in=True, spaces=False, near_queue=1000, far_queue=1000)
        self.shield = Shield(self.loop, self.road, terms, lambda n: b"\7" * n, self.said.append)  # type: ignore[arg-type]
        self.near = SlowLink(secure=direct)
        self.stream: Near = self.shield.accept(self.near)
        self.near.stream = self.stream
        self.far = SlowLink()

    def dialled(self, *, secure: bool = False) -> None:
        """The server answers."""
        assert self.road.accept is not None
        self.far = SlowLink(secure=secure)
        self.far.stream = self.road.accept(self.far)
        self.loop.sleep(0)

    def joined(self) -> World:
        self.near.says(HEADER)
        self.near.says(STARTTLS)
        self.near.secures()
        self.near.take()
        self.near.says(HEADER)
        self.dialled()
        self.far.says(BACK + OFFER)
        self.far.says(f"<proceed xmlns='{ns.TLS}'/>")
        self.far.take()
        self.far.secures()
        return self

    def logged_in(self) -> World:
        self.joined()
        self.far.says(BACK + MECHANISMS)
        self.near.says(f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGEAYg==</auth>")
        self.far.says(f"<success xmlns='{ns.SASL}'/>")
        self.near.says(HEADER)
        self.far.says(BACK + "<stream:features/>")
        self.near.take()
        self.far.take()
        return self


def test_starttls_and_nothing_else_before_it() -> None:
    world = World()
    world.near.says(HEADER)
    said = world.near.take()
    assert "from='a.example'" in said
    assert "<required/>" in said
    world.near.says(STARTTLS)
    assert "<proceed" in world.near.take()
    assert world.near.tls_wanted
    assert world.road.accept is None, "nobody is dialled for a stranger"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (HEADER + f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGEAYg==</auth>", "policy-violation"),
        (HEADER.replace("a.example", "b.example"), "host-unknown"),
        (HEADER + "<!-- -->", "restricted-xml"),
        ("<hello>", "bad-format"),
    ],
)
def test_what_else_is_said_before_tls_is_a_stream_error(text: str, condition: str) -> None:
    world = World()
    world.near.says(text)
    said = world.near.take()
    assert said.count("<stream:stream") == 1
    assert condition in said
    assert world.near.closed
    world.near.says("<presence/>")
    assert not world.near.take()


@pytest.mark.parametrize("direct", [False, True])
def test_nothing_goes_to_the_server_before_it_has_been_judged(direct: bool) -> None:
    world = World(direct=True)
    world.near.says(HEADER)
    assert world.near.paused
    world.dialled(secure=direct)
    if not direct:
        assert "to='a.example'" in world.far.take()
        world.far.says(BACK + OFFER)
        assert world.far.take() == STARTTLS
        world.far.says(f"<proceed xmlns='{ns.TLS}'/>")
        world.far.secures()
    assert world.far.take().startswith("<stream:stream")
    assert not world.near.paused
    world.far.says(BACK + MECHANISMS)
    assert "PLAIN" in world.near.take()


def test_a_server_that_is_another_is_refused_and_the_user_is_told() -> None:
    world = World(direct=True)
    world.road.line = "another key: refused"
    world.near.says(HEADER)
    world.dialled(secure=True)
    said = world.near.take()
    assert "remote-connection-failed" in said
    assert "another key: refused" in said
    assert world.said == ["another key: refused"]
    assert not world.far.take()
    assert world.near.closed
    assert world.far.closed


def test_a_server_without_tls_or_out_of_reach() -> None:
    world = World(direct=True)
    world.near.says(HEADER)
    world.dialled()
    world.far.says(BACK + "<stream:features/>")
    assert "no TLS" in world.said[0]
    other = World(direct=True)
    other.near.says(HEADER)
    assert other.road.failed is not None
    other.road.failed("it does not answer")
    assert "it does not answer" in other.near.take()
    gone = World(direct=True)
    gone.near.says(HEADER)
    gone.dialled(secure=False)
    gone.far.breaks()
    assert gone.said == ["a.example has closed the connection: try again later"]


def test_a_client_that_leaves_or_waits_too_long_gives_up_the_dial() -> None:
    world = World(direct=True)
    world.near.says(HEADER)
    world.near.breaks()
    assert world.road.given_up
    assert not world.shield.open()
    late = World()
    late.loop.sleep(READY_SECONDS + 1)
    assert late.near.aborted


def test_too_much_while_the_server_is_dialled() -> None:
    world = World(direct=True)
    world.near.says(HEADER)
    world.near.says(" " * 70_000)
    assert "policy-violation" in world.near.take()


def test_both_ways_and_the_window_of_a_login() -> None:
    world = World().logged_in()
    assert world.stream.known
    assert (world.near.welcomes, world.far.welcomes) == (1, 1)
    world.near.says("<message to='b@a.example'><body>hello</body></message>")
    assert world.far.take() == "<message to='b@a.example'><body>hello</body></message>"
    world.far.says("<r xmlns='urn:xmpp:sm:3'/>")
    assert world.near.take() == "<r xmlns='urn:xmpp:sm:3'></r>"


@pytest.mark.parametrize("up", [True, False])
def test_a_full_queue_pushes_back_and_lets_go(up: bool) -> None:
    world = World().logged_in()
    source, sink = (world.near, world.far) if up else (world.far, world.near)
    sink.waiting = 1001
    source.says("<presence/>")
    assert source.paused
    sink.waiting = 600
    world.loop.sleep(1)
    assert source.paused
    sink.waiting = 500
    world.loop.sleep(1)
    assert not source.paused


def test_a_lost_client_is_lost_to_the_server_when_its_last_words_have_left() -> None:
    world = World().logged_in()
    world.near.says("<message/>")
    world.far.waiting = 10
    world.near.breaks()
    world.loop.sleep(5)
    assert not world.far.closed
    world.far.waiting = 0
    world.loop.sleep(1)
    assert world.far.closed
    assert world.far.take() == "<message/>", "no closing tag: the session can be resumed"
    world.far.says("<message/>")
    assert not world.near.take()


def test_a_lost_server_is_lost_to_the_client_when_its_last_words_have_left() -> None:
    world = World().logged_in()
    world.far.says("<message/>")
    world.far.breaks()
    world.loop.sleep(1)
    assert world.near.take() == "<message/>"
    assert world.near.closed
    world.near.breaks()
    assert not world.shield.open()


def test_an_orderly_end_passes() -> None:
    world = World().logged_in()
    world.near.says("</stream:stream>")
    assert world.far.take() == "</stream:stream>"
    world.far.says("</stream:stream>")
    world.far.breaks()
    world.loop.sleep(1)
    assert world.near.take() == "</stream:stream>"
    assert world.near.closed


@pytest.mark.parametrize("by", ["client", "server"])
def test_who_breaks_the_rules_ends_both(by: str) -> None:
    world = World().logged_in()
    (world.near if by == "client" else world.far).says("<a></b>")
    assert ("not-well-formed" if by == "client" else "undefined-condition") in world.near.take()
    assert world.far.take() == "</stream:stream>"
    world.loop.sleep(1)
    assert world.near.closed
    assert world.far.closed


def test_the_helper_stops() -> None:
    world = World().logged_in()
    assert world.shield.open() == 1
    world.shield.shut_down()
    assert "system-shutdown" in world.near.take()
    world.near.breaks()
    assert world.shield.open() == 1, "its last words to the server may not have left"
    world.loop.sleep(1)
    world.far.breaks()
    assert world.shield.open() == 0


def test_a_helper_for_whatever_domain_is_behind_it() -> None:
    world = World(domain="")
    world.near.says(HEADER.replace("a.example", "b.example"))
    assert "from='b.example'" in world.near.take()


@pytest.mark.parametrize(
    ("policy", "waiting", "least"),
    [
        (Policy(Profile.PADDED), 1, DRAIN_SECONDS),
        (Policy(Profile.STEADY), 1, DRAIN_SECONDS),
        (replace(PHONE, profile=Profile.STEADY), PHONE.queue, PHONE.queue / PHONE.cell * PHONE.tick),
        (replace(PHONE, profile=Profile.STEADY, tick=300.0), PHONE.queue, DRAIN_MOST),
    ],
    ids=["padded", "steady", "a phone's full queue", "for ever"],
)
def test_what_never_leaves_is_cut_in_the_end_and_what_leaves_is_not(policy: Policy, waiting: int, least: float) -> None:
    loop, link = FakeLoop(), SlowLink()
    link.policy, link.waiting = policy, waiting
    drain(loop, link)  # type: ignore[arg-type]
    loop.sleep(least - 1)
    assert not link.closed
    loop.sleep(least / 2 + 2)
    assert link.closed


def test_the_longest_child_of_a_server_finds_room_behind_a_full_queue() -> None:
    world, outside = World(direct=True), Outside()
    shell = shell_on(world.loop)
    link = Connection(shell, world.shield.accept, policy=Policy(Profile.STEADY), server_side=False)
    link.connection_made(outside)
    link.put(b"x" * world.shield.terms.near_queue)
    link.put(b"x" * DOWN.stanza_bytes)
    world.loop.sleep(0)
    assert not outside.aborted
    link.put(b"x" * (QUEUE + 1))
    world.loop.sleep(0)
    assert outside.aborted
    link.connection_lost(None)
    shell.close()
