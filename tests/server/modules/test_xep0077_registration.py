from __future__ import annotations

from typing import Any

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.server.modules.xep0077_registration import MODULE, State
from quietwire.server.sealed.store import PLACES
from quietwire.testing.playbook import Client, Mark, Playbook, closed, nothing

NS = "jabber:iq:register"
GOOD = "a good password"
HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.example' version='1.0'>"
)


def error(id: str, condition: str) -> str:
    return (
        f"<iq type='error' id='{id}' _='...'><error _='...'>"
        f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )


def register(name: str, password: str = GOOD) -> str:
    fields = f"<username>{name}</username><password>{password}</password>"
    return f"<iq type='set' id='s'><query xmlns='{NS}'>{fields}</query></iq>"


class World:
    def __init__(self, **settings: Any) -> None:
        self.play = Playbook(accounts=("alice", "bob"), tables={"registration": settings})

    def stranger(self) -> Client:
        return self.play.connect().header()

    def token(self, **facts: Any) -> str:
        values: dict[str, Any] = {"days": 7, "register": True, "contact": True, **facts}
        return self.play.server.invitations.make(parse_jid("alice@a.example"), **values)[0]

    def show(self, client: Client, token: str) -> Client:
        client >> f"<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>"
        return client


def test_it_is_offered_before_login() -> None:
    client = World().play.connect()
    client >> HEADER
    [features] = client.take()
    assert not isinstance(features, Mark)
    tags = [child.tag for child in features]
    assert "{urn:xmpp:ibr-token:0}register" in tags
    assert "{http://jabber.org/features/iq-register}register" in tags


def test_without_an_invitation_nobody_registers() -> None:
    stranger = World().stranger()
    stranger >> f"<iq type='get' id='g'><query xmlns='{NS}'/></iq>"
    stranger << error("g", "not-allowed")
    stranger >> register("guest")
    stranger << error("s", "not-allowed")


def test_with_one_a_guest_registers_and_logs_in_on_the_same_stream() -> None:
    world = World()
    stranger = world.show(world.stranger(), world.token(name="guest"))
    stranger << "<iq type='result' id='p'/>"
    stranger >> f"<iq type='get' id='g'><query xmlns='{NS}'/></iq>"
    fields = "<instructions>{*}</instructions><username>guest</username><password/>"
    stranger << f"<iq type='result' id='g'><query xmlns='{NS}'>{fields}</query></iq>"
    stranger >> register("other")
    stranger << error("s", "not-acceptable")
    stranger >> register("guest")
    stranger << "<iq type='result' id='s'/>"
    stranger >> register("again")
    stranger << error("s", "not-allowed")
    world.play.connect().authenticate("guest", GOOD).bind("phone")


def test_a_token_that_is_none() -> None:
    world = World()
    for token in ("unknown", world.token(register=False), ""):
        world.show(world.stranger(), token) << error("p", "item-not-found")
    used = world.token()
    first, second = world.show(world.stranger(), used), world.show(world.stranger(), used)
    for client in (first, second):
        client << "<iq type='result' id='p'/>"
    first >> register("first")
    first << "<iq type='result' id='s'/>"
    second >> register("second")
    second << error("s", "not-allowed")


def test_a_token_that_was_shown_in_time_is_good() -> None:
    world = World()
    stranger = world.show(world.stranger(), world.token(days=1))
    stranger << "<iq type='result' id='p'/>"
    world.play.now += 3 * 86_400
    stranger >> register("guest")
    stranger << "<iq type='result' id='s'/>"


def test_an_open_server_takes_so_many_an_hour() -> None:
    world = World(open=True, per_hour=2)
    for name in ("first", "second"):
        stranger = world.stranger()
        stranger >> register(name)
        stranger << "<iq type='result' id='s'/>"
    stranger = world.stranger()
    stranger >> register("third")
    stranger << error("s", "resource-constraint")


def test_the_hour_moves() -> None:
    state = State(True, 1)
    state.admit(10.0)
    with pytest.raises(StanzaError, match="resource-constraint"):
        state.admit(3_609.0)
    state.admit(3_610.0)


@pytest.mark.parametrize("query", ["", "<username>x</username>", "<password>a good password</password>", "<remove/>"])
def test_what_is_missing(query: str) -> None:
    stranger = World(open=True).stranger()
    stranger >> f"<iq type='set' id='s'><query xmlns='{NS}'>{query}</query></iq>"
    stranger << error("s", "bad-request")


def test_a_new_password_ends_the_other_sessions() -> None:
    world = World()
    phone, desk = world.play.client("alice/phone"), world.play.client("alice/desk")
    phone >> f"<iq type='get' id='g'><query xmlns='{NS}'/></iq>"
    fields = "<registered/><username>alice</username><password/>"
    phone << f"<iq type='result' id='g' _='...'><query xmlns='{NS}'>{fields}</query></iq>"
    phone >> register("alice").replace("id='s'", "id='s' to='a.example'")
    phone << "<iq type='result' id='s' _='...'/>"
    assert desk.take()[-1] is closed
    world.play.connect().authenticate("alice", GOOD)
    for text, condition in (
        (register("bob"), "not-allowed"),
        (register("alice", "short"), "not-acceptable"),
        (register("alice", "no \x7f control character"), "not-acceptable"),
    ):
        phone >> text
        phone << error("s", condition)


def test_an_account_that_is_removed_leaves_nothing_and_its_contacts_know() -> None:
    world = World()
    alice, bob = world.play.client("alice/phone", "<presence/>"), world.play.client("bob/phone", "<presence/>")
    for one, other in ((alice, "bob"), (bob, "alice")):
        one >> f"<presence to='{other}@a.example' type='subscribed'/>"
        one >> f"<presence to='{other}@a.example' type='subscribe'/>"
    bob >> "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
    world.play.quiet()
    alice >> f"<iq type='set' id='x'><query xmlns='{NS}'><remove/><username>alice</username></query></iq>"
    alice << error("x", "bad-request")
    alice >> f"<iq type='set' id='x'><query xmlns='{NS}'><remove/></query></iq>"
    *_, result, error_, end = alice.take()
    assert not isinstance(result, Mark)
    assert (result.get("type"), result.get("id"), end) == ("result", "x", closed)
    assert not isinstance(error_, Mark)
    assert [child.tag for child in error_] == ["{urn:ietf:params:xml:ns:xmpp-streams}not-authorized"]
    said = [(e.tag.rpartition("}")[2], e.get("type")) for e in bob.take() if not isinstance(e, Mark)]
    assert ("presence", "unavailable") in said
    assert ("presence", "unsubscribed") in said
    assert ("presence", "unsubscribe") in said
    driver, seals = world.play.storage.store, world.play.server.seals
    for table in set(PLACES) - {"spool"}:
        assert driver.scan(table, seals.owner(table, b"alice@a.example")).result() == []
    [contact] = world.play.server.store.scan("roster", b"bob@a.example").result()
    assert b'"subscription":"none"' in contact[1]
    bob << nothing


def test_one_connection_may_make_many_accounts_where_that_is_open() -> None:
    """Test suites do, for as long as they run; requests that make none are counted as ever."""
    world = World(open=True, per_hour=100)
    stranger = world.stranger()
    settings = world.play.server.settings
    for number in range(2 * settings.preauth_requests):
        stranger >> register(f"guest{number}")
        stranger << "<iq type='result' id='s'/>"
        world.play.pass_time(settings.registration_seconds - 1)
    for _ in range(settings.preauth_requests):
        stranger >> register("guest1")
        stranger << error("s", "conflict")
    stranger >> register("guest1")
    assert stranger.take()[-1] is closed


def test_nobody_asks_for_another_account() -> None:
    world = World()
    bob = world.play.client("bob/phone")
    for name in ("alice", "nobody"):
        for kind in ("get", "set"):
            bob >> f"<iq type='{kind}' id='x' to='{name}@a.example'><query xmlns='{NS}'><remove/></query></iq>"
            bob << error("x", "service-unavailable")
    assert [kept.table for kept in MODULE.keeps] == ["account"]
