"""Sessions whose connection ends or changes: nothing is lost, nothing is done twice, nobody else notices."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "sasl"))

import pytest
from scram_client import ScramClient

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.later import Later
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element
from quietwire.server.module import Context, IqGet, Module
from quietwire.server.modules import discover
from quietwire.testing.playbook import PASSWORD, Client, Playbook, closed, nothing

SM = f"xmlns='{ns.SM}'"
HELLO = "<message to='bob@a.example' type='chat' id='1'><body>hello</body></message>"


def house(**settings: Any) -> Playbook:
    return Playbook("a.example", ("alice", "bob"), **settings)


def messages(client: Client) -> list[str]:
    """The bodies of the messages that came."""
    got = [each for each in client.take() if isinstance(each, Element) and each.tag == "{jabber:client}message"]
    return [each.findtext("{jabber:client}body") or "" for each in got]


def enable(client: Client) -> Client:
    """Stream management with resumption, whose id is bound to `{id}`."""
    client >> f"<enable {SM} resume='true'/>"
    return client << f"<enabled {SM} id='{{id}}' resume='true' max='{{*}}'/>"


def test_a_message_that_comes_while_the_stream_closes_waits_for_the_next_login() -> None:
    play = house()
    alice, bob = play.client("alice/phone"), play.client("bob/desk", "<presence/>")
    bob.stream.close()  # the connection lingers: the peer's end of TLS has not come yet
    alice.link.says(HELLO)
    if not bob.link.gone:
        bob.stream.written()
    play.settle()
    assert messages(play.client("bob/desk") >> "<presence/>") == ["hello"]


def test_what_came_before_stream_management_is_not_counted() -> None:
    play = house()
    alice = play.client("alice/phone", "<presence/>")
    alice >> HELLO
    enable(alice)
    alice >> HELLO >> f"<r {SM}/>"
    alice << f"<a {SM} h='1'/>"


def test_who_never_asks_owes_no_memory() -> None:
    play = house()
    alice = play.client("alice/phone")
    enable(alice)
    for _ in range(20):
        alice >> HELLO
    incoming = alice.stream.bound.incoming  # type: ignore[union-attr]
    assert len(incoming._owed) <= 1
    plain = play.client("bob/desk")
    for _ in range(20):
        plain >> "<message to='alice@a.example' type='chat'><body>x</body></message>"
    assert len(plain.stream.bound.incoming._owed) <= 1  # type: ignore[union-attr]


def test_a_roster_push_that_nobody_acknowledged_ends_with_its_session() -> None:
    play = house(resume_seconds=10.0)
    phone = play.client("alice/phone") >> f"<iq type='get' id='r'><query xmlns='{ns.ROSTER}'/></iq>"
    phone.take()
    enable(phone)
    desk = play.client("alice/desk")
    desk >> f"<iq type='set' id='s'><query xmlns='{ns.ROSTER}'><item jid='carol@b.example'/></query></iq>"
    phone.cut()
    desk >> "</stream:stream>"
    play.pass_time(11)
    assert play.server.accounts.loaded == {}
    assert play.server.streams == 0


def test_a_kept_message_ends_where_it_ends() -> None:
    """Its end tag may hold white space."""
    play = house()
    play.client("alice/phone") >> "<message to='bob@a.example' type='chat'><body>hello</body></message >"
    assert messages(play.client("bob/desk") >> "<presence/>") == ["hello"]


def test_more_than_a_session_may_owe_is_delivered_in_portions() -> None:
    play = house()
    alice = play.client("alice/phone")
    for number in range(40):
        alice >> f"<message to='bob@a.example' type='chat'><body>{number} {'x' * 200_000}</body></message>"
    bob = play.client("bob/desk")
    enable(bob)
    got: list[str] = []
    bob >> "<presence/>"
    for _ in range(40):
        got += [body.split()[0] for body in messages(bob)]
        bob >> f"<a {SM} h='{len(got) + 1}'/>"
        play.pass_time(0.2)
    assert got == [str(number) for number in range(40)]


def test_one_who_is_connected_but_unavailable_has_a_limit_too() -> None:
    play = house()
    alice, bob = play.client("alice/phone"), play.client("bob/desk")
    for _ in range(2_000):
        alice.link.says(HELLO)
    play.settle()
    alice.take()
    alice >> HELLO
    [refused] = alice.take()
    assert isinstance(refused, Element)
    assert refused.get("type") == "error"
    bob << nothing


class Asleep:
    """A module whose handler suspends until the test says so."""

    def __init__(self) -> None:
        self.later: Later[None] = Later()
        self.module = Module("asleep", None, (), (IqGet("{asleep}q", self._on_get),), (), "")

    async def _on_get(self, context: Context, iq: Iq) -> Iq:
        await self.later
        return iq.result()


def test_a_request_that_is_under_way_when_the_stream_is_resumed_counts_once() -> None:
    asleep = Asleep()
    play = house(modules=(*discover(), asleep.module))
    alice = play.client("alice/phone")
    enable(alice)
    alice >> "<iq type='get' id='q'><q xmlns='asleep'/></iq>"
    alice.cut()
    again = play.connect().authenticate("alice")
    again >> f"<resume {SM} previd='{play.known['id']}' h='0'/>"
    again << f"<resumed {SM} previd='{{id}}' h='1'/>"
    asleep.later.resolve(None)
    again << "<iq type='result' id='q' to='alice@a.example/phone'/>"
    again << f"<r {SM}/>"
    again >> f"<r {SM}/>"
    again << f"<a {SM} h='1'/>"


def test_a_stream_that_was_closed_in_order_is_not_resumed() -> None:
    play = house()
    alice = play.client("alice/phone")
    enable(alice)
    alice.stream.close()
    assert play.server.resumable(play.known["id"], alice.stream.account) is None  # type: ignore[arg-type]


def test_a_version_of_many_digits_is_no_fault() -> None:
    play = house()
    client = play.connect()
    client >> (
        f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' to='a.example' version='{'9' * 5000}.0'>"
    )
    assert ("stream-error", {"condition": "internal-server-error"}) not in play.notes


def test_what_is_said_during_the_delivery_of_old_messages_comes_after_them_and_to_ones_own_devices() -> None:
    play = house()
    phone = play.client("alice/phone")
    desk = play.client("alice/desk") >> "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
    for _ in range(10):
        phone >> f"<message to='bob@a.example' type='chat'><body>old {'x' * 200_000}</body></message>"
    play.quiet()
    bob = play.client("bob/desk")
    bob.reads = False
    bob >> "<presence/>"
    phone >> HELLO
    copies = [each for each in desk.take() if isinstance(each, Element)]
    assert [copy[0].tag for copy in copies] == ["{urn:xmpp:carbons:2}sent"]
    bob.reads = True
    got = messages(bob)
    play.pass_time(1)
    got += messages(bob)
    assert [body.split()[0] for body in got] == ["old"] * 10 + ["hello"]


def test_a_message_that_a_device_has_as_a_copy_does_not_come_again() -> None:
    play = house(resume_seconds=10.0)
    alice, phone, desk = play.client("alice/phone"), play.client("bob/phone", "<presence/>"), play.client("bob/desk")
    desk >> "<presence/>" >> "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
    phone.take()
    enable(phone)
    phone.reads = False
    desk >> f"<enable {SM}/>"
    desk.take()
    alice >> "<message to='bob@a.example/phone' type='chat'><body>hello</body></message>"
    desk >> f"<a {SM} h='1'/>"
    phone.cut()
    play.pass_time(11)
    got = [each for each in desk.take() if isinstance(each, Element) and each.tag == "{jabber:client}message"]
    assert [message[0].tag for message in got] == ["{urn:xmpp:carbons:2}received"]


def test_what_is_durable_is_acknowledged_before_the_server_stops() -> None:
    play = house()
    alice = play.client("alice/phone")
    enable(alice)
    alice >> HELLO >> HELLO
    play.stop()
    alice << f"<a {SM} h='2'/>"


def test_what_one_read_holds_waits_behind_a_request_that_is_under_way() -> None:
    asleep = Asleep()
    play = house(modules=(*discover(), asleep.module))
    alice = play.client("alice/phone")
    said = "<iq type='get' id='q'><q xmlns='asleep'/></iq>" + "<message to='bob@a.example' type='chat'/>" * 1_000
    alice >> said
    alice << nothing
    asleep.later.resolve(None)
    alice << "<iq type='result' id='q' to='alice@a.example/phone'/>"


def test_a_queue_that_overflows_ends_its_session_once() -> None:
    play = house()
    alice, bob = play.client("alice/phone"), play.client("bob/desk", "<presence/>")
    enable(bob)
    bob.take()
    bob.cut()
    for number in range(30):
        alice >> f"<message to='bob@a.example' type='chat'><body>{number} {'x' * 200_000}</body></message>"
    assert [event for event, _ in play.notes].count("session-queue-full") == 1
    play.pass_time(1)
    assert "bob@a.example" not in map(str, play.server.accounts.loaded)
    again = play.client("bob/desk") >> "<presence/>"
    got = messages(again)
    for _ in range(20):
        play.pass_time(0.2)
        got += messages(again)
    assert [body.split()[0] for body in got] == [str(number) for number in range(30)]


def test_a_new_password_ends_what_the_old_one_opened() -> None:
    play = Playbook(accounts=["alice", "bob"])
    phone, desk, bob = play.client("alice/phone"), play.client("alice/desk"), play.client("bob/desk")
    away = play.client("alice/away")
    away >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    away.take()
    away.cut()
    admin = play.server.admin
    keep = parse_jid("alice@a.example/desk")
    play.run(admin.set_password("alice", "other", keep))
    play.settle()
    phone << "<stream:error _='...'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    phone << closed
    for client in (desk, bob):
        client << nothing
    assert list(play.server.accounts.loaded[parse_jid("alice@a.example")].sessions) == ["desk"]
    play.run(admin.set_password("alice", "third"))
    play.settle()
    desk << "<stream:error _='...'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    desk << closed
    assert parse_jid("alice@a.example") not in play.server.accounts.loaded


def test_a_new_password_ends_logins_that_were_begun_with_the_old_one() -> None:
    play = Playbook(accounts=["alice", "bob"])
    unbound, other = play.connect().authenticate("alice"), play.connect().authenticate("bob")
    half = play.connect().header()
    peer = ScramClient("SCRAM-SHA-256", "alice", PASSWORD, "clientnonce")
    half >> f"<auth xmlns='{ns.SASL}' mechanism='SCRAM-SHA-256'>{b64encode(peer.first()).decode()}</auth>"
    (challenge,) = half.take()
    assert isinstance(challenge, Element)
    final = b64encode(peer.final(b64decode(challenge.text or ""))).decode()
    play.run(play.server.admin.set_password("alice", "other"))
    play.settle()
    unbound << "<stream:error _='...'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    unbound << closed
    other << nothing
    half >> f"<response xmlns='{ns.SASL}'>{final}</response>"
    half << f"<failure xmlns='{ns.SASL}'><not-authorized/></failure>"


def test_one_session_is_ended() -> None:
    play = Playbook(accounts=["alice"])
    phone, desk = play.client("alice/phone"), play.client("alice/desk")
    play.server.router.end_sessions(parse_jid("alice@a.example/phone"), condition="not-authorized")
    phone << "<stream:error _='...'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    phone << closed
    desk << nothing
    play.server.router.end_sessions(parse_jid("bob@a.example"))


@pytest.mark.parametrize("name", ["bob", "nobody"])
def test_a_request_to_an_account_that_is_away_is_acknowledged_when_it_is_durable(name: str) -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice = play.client("alice/phone")
    alice >> "<enable xmlns='urn:xmpp:sm:3'/>"
    alice.take()
    bound = next(iter(play.server._bounds.values()))
    for number in range(1, 3):  # the second one changes nothing, in neither roster
        alice.link.says(f"<presence to='{name}@a.example' type='subscribe'/>")
        assert (bound.incoming.handled, bound.incoming.safe()) == (number, number - 1)
        play.settle()
        assert bound.incoming.safe() == number
    assert len(play.storage.owners("arrival").result()) == (name == "bob")


@pytest.mark.parametrize("unlocked_before", [True, False])
def test_what_was_acknowledged_to_who_is_away_outlives_a_kill(unlocked_before: bool) -> None:
    """Also for an account to which nobody has ever logged in, and which has no key of its own."""
    play = Playbook(accounts=["alice", "bob"])
    if unlocked_before:
        play.client("bob/desk").cut()
    alice = play.client("alice/phone", "<presence/>")
    alice >> "<presence to='bob@a.example' type='subscribe'/>"
    alice.take()
    again = Playbook(storage=play.storage.crash())
    bob = again.client("bob/desk")
    bob >> "<presence/>"
    told = [each.get("type") for each in bob.take() if isinstance(each, Element)]
    assert told.count("subscribe") == 1
    third = Playbook(storage=again.storage.crash())
    assert third.storage.owners("arrival").result() == []
    bob = third.client("bob/desk")
    bob >> "<presence/>"
    assert [each.get("type") for each in bob.take() if isinstance(each, Element)].count("subscribe") == 1


def test_a_request_that_comes_during_a_login_is_in_the_roster_of_who_logs_in() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice = play.client("alice/phone", "<presence/>")
    waits: Later[None] = Later()

    async def loading(account: object) -> None:
        await waits

    play.server.router.loading = loading  # type: ignore[method-assign]
    bob = play.connect().authenticate("bob")
    bob >> f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'><resource>desk</resource></bind></iq>"
    alice >> "<presence to='bob@a.example' type='subscribe'/>"
    waits.resolve(None)
    play.settle()
    bob.take()
    bob >> "<presence/>"
    kinds = [
        each.get("type") for each in bob.take() if isinstance(each, Element) and each.get("from") == "alice@a.example"
    ]
    assert kinds == ["subscribe"]
