from __future__ import annotations

import pytest
from s2s_world import Surroundings

from quietwire.core.errors import StreamError
from quietwire.core.framing import StreamParser
from quietwire.core.later import Ticket
from quietwire.core.stanza import Child, Message, Stanza
from quietwire.server import s2s_traffic
from quietwire.server.s2s import header
from quietwire.server.s2s_policy import Policy
from quietwire.server.s2s_traffic import ANSWER_SECONDS, QUIET_SECONDS, Traffic, for_clients
from quietwire.shaping.bucket import Rates
from quietwire.testing.links import FakeLink

R, PING = "<r xmlns='urn:xmpp:sm:3'/>", "<ping xmlns='urn:xmpp:ping'/>"


def child(text: str) -> Child:
    parser = StreamParser()
    parser.feed(header(from_="b.example", to="a.example"))
    (found,) = parser.feed(text.encode())
    assert isinstance(found, Child)
    return found


def request(id: str, from_: str = "bob@b.example/x", to: str = "a.example") -> str:
    return f"<iq type='get' id='{id}' from='{from_}' to='{to}'>{PING}</iq>"


def message(id: str, from_: str = "bob@b.example/x", to: str = "alice@a.example") -> str:
    return f"<message id='{id}' from='{from_}' to='{to}'/>"


class Scene(Surroundings):
    """a.example, and what b.example sends."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__("a.example", policy)
        self.link = FakeLink(secure=True)
        self.failed: list[str] = []
        self.died = 0
        self.traffic = Traffic(self.common, self.link, lambda error: self.failed.append(error.condition), self._die)
        self.traffic.pairs.add(("b.example", "a.example"))

    def _die(self) -> None:
        self.died += 1

    def hear(self, *words: str) -> None:
        for word in words:
            assert self.traffic.hear(child(word))

    def managed(self) -> Scene:
        self.traffic.manage()
        return self


class Sender:
    def __init__(self) -> None:
        self.count = 0

    def confirmed(self, count: int) -> None:
        self.count += count


# -- in ---------------------------------------------------------------------------------------------------------------


def test_each_pair_of_domains_must_be_authenticated() -> None:
    scene = Scene()
    scene.traffic.pairs.add(("c.example", "conference.a.example"))
    scene.hear(message("1"), message("2", "carol@c.example", "room@conference.a.example"))
    assert scene.inward.ids() == ["1", "2"]
    for from_, to in (("bob@b.example", "room@conference.a.example"), ("carol@c.example", "alice@a.example")):
        with pytest.raises(StreamError, match="invalid-from"):
            scene.hear(message("3", from_, to))
    with pytest.raises(StreamError, match="improper-addressing"):
        scene.hear(message("3", to="alice@d.example"))
    assert scene.inward.ids() == []


def test_later_stanzas_of_a_pair_of_addresses_wait_for_a_suspended_handler() -> None:
    scene = Scene()
    scene.inward.suspends = True
    scene.hear(request("1"), request("2"), message("3", to="a.example"), request("4", "bob@b.example/y"))
    scene.hear(message("5", "carol@b.example", "a.example"), message("6"))
    assert scene.inward.ids() == ["1", "5", "6"]  # 4 is of the same account as 1
    scene.inward.finishes.pop(0)()
    assert scene.inward.ids() == ["2"]
    scene.inward.finishes.pop(0)()
    assert scene.inward.ids() == ["3", "4"]
    scene.inward.finishes.pop(0)()
    scene.inward.suspends = False
    scene.hear(request("7"))
    assert scene.inward.ids() == ["7"]
    assert not scene.traffic._busy


def test_what_is_suspended_is_acknowledged_when_it_is_done_with() -> None:
    scene = Scene().managed()
    scene.inward.suspends = True
    scene.hear(message("0"), request("1"), request("2"), message("3"), R)
    scene.passes(1)
    assert scene.link.take() == "<a xmlns='urn:xmpp:sm:3' h='1'/>"
    scene.inward.suspends = False
    durable = scene.inward.durable = Ticket()
    scene.inward.finishes.pop()()
    scene.hear(R)
    scene.passes(1)
    assert scene.link.take() == "<a xmlns='urn:xmpp:sm:3' h='1'/>"
    durable.settle()
    assert scene.link.take() == "<a xmlns='urn:xmpp:sm:3' h='4'/>"


def test_what_waits_is_bounded_and_the_reader_pauses_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s2s_traffic, "INBOX_PAUSE", 4)
    scene = Scene()
    scene.inward.suspends = True
    scene.hear(*(request(str(number)) for number in range(3)))
    assert not scene.link.paused
    scene.hear(request("3"))
    assert scene.link.paused
    scene.inward.finishes.pop()()
    assert scene.link.paused
    scene.inward.finishes.pop()()
    assert not scene.link.paused
    with pytest.raises(StreamError, match="policy-violation"):
        scene.hear(*(request("x") for _ in range(scene.common.settings.inbox_stanzas + 1)))


def test_a_bug_in_what_waited_costs_the_stream() -> None:
    scene = Scene()
    scene.inward.suspends = True
    scene.hear(request("1"), request("2"))
    scene.inward.bug = RuntimeError("bug")
    scene.inward.finishes.pop()()
    assert scene.failed == ["internal-server-error"]
    assert scene.faults == [scene.inward.bug]


def test_suspended_handlers_of_many_addresses_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s2s_traffic, "INBOX_PAUSE", 4)
    scene = Scene()
    scene.inward.suspends = True
    scene.hear(*(request("1", f"u{number}@b.example") for number in range(4)))
    assert scene.link.paused
    for finish in scene.inward.finishes[:2]:
        finish()
    assert not scene.link.paused


def test_a_queue_that_grows_and_shrinks_does_not_undo_the_pause_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s2s_traffic, "INBOX_PAUSE", 8)
    scene = Scene(Policy(rates=Rates(bytes=1000.0, burst_seconds=1.0)))
    scene.traffic.peer = scene.common.peers.enter("b.example")
    scene.inward.suspends = True
    scene.hear(*(request(str(number)) for number in range(6)))
    scene.traffic.weigh(2000, 1)
    assert scene.link.paused
    while scene.inward.finishes:
        scene.inward.finishes.pop()()
    assert scene.link.paused
    scene.passes(1.1)
    assert not scene.link.paused
    scene.traffic.weigh(2000, 1)
    assert scene.link.paused
    scene.passes(3)
    assert not scene.link.paused


def test_a_domain_over_its_rate_is_read_more_slowly_on_all_its_streams() -> None:
    scene = Scene(Policy(rates=Rates(bytes=1000.0, burst_seconds=1.0)))
    other = FakeLink(secure=True)
    second = Traffic(scene.common, other, lambda error: None, lambda: None)
    scene.traffic.peer = scene.common.peers.enter("b.example")
    second.peer = scene.common.peers.enter("b.example")
    scene.traffic.weigh(1000, 1)
    assert not scene.link.paused
    second.weigh(1000, 1)
    assert (scene.link.paused, other.paused) == (False, True)
    scene.traffic.weigh(500, 1)
    assert scene.link.paused
    scene.passes(1.1)
    assert (scene.link.paused, other.paused) == (True, False)
    scene.passes(0.5)
    assert not scene.link.paused


@pytest.mark.parametrize(
    ("said", "inner"),
    [
        ("<body xmlns='jabber:server'>hi</body>", b"<body>hi</body>"),
        ("<s:body xmlns:s='jabber:server'>hi</s:body>", b"<body>hi</body>"),
        (
            "<x xmlns='urn:x'><message xmlns='jabber:server' id='&lt;'><body/></message></x><body>ho</body>",
            b"<x xmlns='urn:x'><message xmlns='jabber:client' id='&lt;'><body/></message></x><body>ho</body>",
        ),
        ("<body>jabber:server</body>", b"<body>jabber:server</body>"),
        ("<body>hi</body><x xmlns='urn:x'><y/></x>", b"<body>hi</body><x xmlns='urn:x'><y/></x>"),
    ],
)
def test_clients_see_nothing_of_the_servers_namespace(said: str, inner: bytes) -> None:
    scene = Scene()
    scene.hear(f"<message from='bob@b.example' to='alice@a.example' xml:lang='de' type='chat'>{said}</message>")
    (got,) = scene.inward.got
    assert got.inner == inner
    assert got.to_bytes().startswith(b"<message from='bob@b.example' to='alice@a.example' xml:lang='de' type='chat'>")
    assert got.names[-1] in ("{jabber:client}body", "{urn:x}x")


def test_a_prefix_declared_on_the_stanza_goes_too() -> None:
    said = child("<message xmlns:s='jabber:server' from='bob@b.example' to='a@a.example'><s:body>hi</s:body></message>")
    assert isinstance(said, Stanza)
    assert for_clients(said).inner == b"<body>hi</body>"
    scene = Scene()
    scene.traffic.hear(said)
    assert isinstance(scene.inward.got[0], Message)
    assert b"jabber:server" not in scene.inward.got[0].to_bytes()


# -- out --------------------------------------------------------------------------------------------------------------


def test_without_acknowledgements_what_is_written_is_confirmed() -> None:
    scene, sender, other = Scene(), Sender(), Sender()
    for who in (sender, sender, other, sender):
        scene.traffic.put(who, b"<message/>")
    assert sender.count == 0
    scene.traffic.written()
    assert (sender.count, other.count) == (3, 1)


def test_with_them_what_is_acknowledged() -> None:
    scene, sender, other = Scene().managed(), Sender(), Sender()
    for who in (sender, sender, other, sender):
        scene.traffic.put(who, b"<message/>")
    assert scene.link.take() == "<message/>" + R + "<message/>" * 3
    scene.traffic.written()
    assert sender.count == 0
    scene.hear("<a xmlns='urn:xmpp:sm:3' h='1'/>")
    assert (sender.count, other.count, scene.link.take()) == (1, 0, R)
    scene.hear("<a xmlns='urn:xmpp:sm:3' h='4'/>")
    assert (sender.count, other.count, scene.link.take()) == (3, 1, "")


@pytest.mark.parametrize("answer", ["<a xmlns='urn:xmpp:sm:3' h='2'/>", "<a xmlns='urn:xmpp:sm:3'/>"])
def test_acknowledgements_that_cannot_be(answer: str) -> None:
    scene = Scene().managed()
    scene.traffic.put(Sender(), b"<message/>")
    with pytest.raises(StreamError):
        scene.hear(answer)
    with pytest.raises(StreamError):
        Scene().hear("<a xmlns='urn:xmpp:sm:3' h='0'/>")
    with pytest.raises(StreamError):
        Scene().hear(R)


def test_a_resumed_stream_counts_on() -> None:
    scene, sender = Scene().managed(), Sender()
    for number in range(3):
        scene.traffic.put(sender, b"<message id='%d'/>" % number)
    scene.hear(message("1"))
    scene.traffic.detach()
    assert not scene.traffic.live
    scene.traffic.confirm(1)
    link = FakeLink(secure=True)
    scene.traffic.attach(link, lambda error: None, lambda: None)
    scene.traffic.put(sender, b"<message id='1'/>")
    scene.traffic.put(sender, b"<message id='2'/>")
    scene.hear("<a xmlns='urn:xmpp:sm:3' h='3'/>", message("2"), R)
    assert sender.count == 3
    assert link.take() == f"<message id='1'/>{R}<message id='2'/><a xmlns='urn:xmpp:sm:3' h='2'/>"


# -- signs of life ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("managed", [False, True])
def test_a_silent_peer_is_asked_and_then_given_up(managed: bool) -> None:
    scene = Scene()
    scene.traffic.sends = True
    if managed:
        scene.managed()
    scene.traffic.watch()
    scene.passes(QUIET_SECONDS - 1)
    scene.traffic.weigh(1, 0)
    scene.passes(QUIET_SECONDS - 1)
    assert scene.link.take() == ""
    scene.passes(1)
    asked = scene.link.take()
    assert asked == R if managed else PING in asked
    scene.passes(ANSWER_SECONDS - 1)
    scene.traffic.weigh(1, 0)
    scene.passes(1)
    assert scene.died == 0
    scene.passes(QUIET_SECONDS + ANSWER_SECONDS)
    assert scene.died == 1


def test_who_can_give_none_is_not_asked() -> None:
    scene = Scene()
    scene.traffic.watch()  # nothing of ours goes out on it
    scene.traffic.pairs.clear()
    scene.traffic.sends = True
    scene.traffic.watch()  # nothing comes in on it
    scene.passes(10 * QUIET_SECONDS)
    assert (scene.link.take(), scene.died) == ("", 0)


def test_closing_gives_the_place_back() -> None:
    scene = Scene()
    peer = scene.traffic.peer = scene.common.peers.enter("b.example")
    assert peer is not None
    assert peer.streams == 1
    scene.traffic.close()
    scene.traffic.close()
    assert peer.streams == 0
