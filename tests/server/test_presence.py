"""Presence of local clients and for local accounts (RFC 6121 §3, §4, §8.5)."""

from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Presence
from quietwire.core.xml import build
from quietwire.server.account import Account
from quietwire.server.blocks import VERSION, Blocks
from quietwire.server.presence import MAX_DIRECTED, PRIORITY, parse_priority
from quietwire.server.roster import Contact, Roster
from quietwire.server.sealed.arriving import ADMIT, BEFRIEND
from quietwire.server.strangers import DOMAIN_BURST, DOMAIN_RATE, OWN_BURST
from quietwire.server.timers import Timers
from quietwire.testing.services import House

ALICE = parse_jid("alice@a.example")
BOB = parse_jid("bob@b.example")
CAROL = parse_jid("carol@a.example")
REQUEST = b"<presence from='dave@d.example' to='alice@a.example' type='subscribe'/>"


def p(from_: str, to: str, type: str = "", payload: str = "") -> str:
    kind = f" type='{type}'" if type else ""
    start = f"<presence from='{from_}' to='{to}'{kind}"
    return f"{start}>{payload}</presence>" if payload else f"{start}/>"


def priority(text: str, *more: str) -> Presence:
    return Presence.make(children=[build(PRIORITY, text=value) for value in (text, *more)])


def remote_contacts() -> list[Contact]:
    return [
        Contact(parse_jid("none@b.example")),
        Contact(parse_jid("to@b.example"), subscription="to"),
        Contact(parse_jid("from@b.example"), subscription="from"),
        Contact(parse_jid("both@b.example"), subscription="both"),
    ]


def a_house(*contacts: Contact) -> House:
    house = House()
    house.add("alice@a.example", *contacts)
    return house


# -- broadcast --


def test_initial_presence_goes_to_those_who_see_the_user_and_probes_to_those_the_user_sees() -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone")
    phone.presence()
    assert sorted(house.take_remote()) == sorted(
        [
            p("alice@a.example/phone", "from@b.example"),
            p("alice@a.example/phone", "both@b.example"),
            p("alice@a.example/phone", "to@b.example", "probe"),
            p("alice@a.example/phone", "both@b.example", "probe"),
        ]
    )
    assert phone.take() == [p("alice@a.example/phone", "alice@a.example")]  # one sees oneself (§4.2.2)
    assert house.hooked == [("out", "alice@a.example", "")]


def test_an_update_is_broadcast_and_probes_nobody() -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone", available=True)
    phone.presence(stanza=Presence.make(children=[build("{jabber:client}show", text="away")]))
    assert sorted(house.take_remote()) == sorted(
        [p("alice@a.example/phone", f"{name}@b.example", payload="<show>away</show>") for name in ("from", "both")]
    )
    assert phone.session.presence is not None
    assert phone.session.presence.from_ == phone.session.jid


def test_a_forged_from_is_not_believed() -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone", available=True)
    phone.presence(stanza=Presence({"from": "eve@e.example"}, from_=parse_jid("eve@e.example")))
    assert {stanza.from_ for stanza in house.remote} == {phone.session.jid}
    assert "eve" not in "".join(house.take_remote())


def test_sessions_of_one_account_see_each_other() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone", available=True)
    house.log_in("alice@a.example/silent")
    desk = house.log_in("alice@a.example/desk")
    desk.presence()
    assert phone.take() == [p("alice@a.example/desk", "alice@a.example")]
    assert desk.take() == [
        p("alice@a.example/desk", "alice@a.example"),
        p("alice@a.example/phone", "alice@a.example/desk"),
    ]


def test_sessions_that_get_the_same_share_its_bytes() -> None:
    house = a_house()
    clients = [house.log_in(f"alice@a.example/{i}", available=True) for i in range(3)]
    for client in clients:
        client.take()
    house.receive("", "bob@b.example/x", "alice@a.example")
    assert len({id(client.inbox.data[0]) for client in clients}) == 1


def test_unavailable_goes_to_contacts_and_own_sessions_and_ends_availability() -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone", available=True)
    desk = house.log_in("alice@a.example/desk", available=True)
    phone.take()
    house.hooked.clear()
    phone.presence(type="unavailable")
    assert sorted(house.take_remote()) == sorted(
        p("alice@a.example/phone", f"{name}@b.example", "unavailable") for name in ("from", "both")
    )
    assert desk.take() == [p("alice@a.example/phone", "alice@a.example", "unavailable")]
    assert phone.take() == [p("alice@a.example/phone", "alice@a.example", "unavailable")]
    assert phone.session.presence is None
    assert house.hooked == [("out", "alice@a.example", "unavailable")]
    phone.presence(type="unavailable")
    assert house.take_remote() == desk.take() == phone.take() == []


def test_a_session_that_ends_says_unavailable_once() -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone", available=True)
    desk = house.log_in("alice@a.example/desk", available=True)
    phone.leave()
    assert len(house.take_remote()) == 2
    assert desk.take() == [p("alice@a.example/phone", "alice@a.example", "unavailable")]
    desk.presence(type="unavailable")
    house.take_remote()
    desk.leave()
    assert house.take_remote() == []


# -- local contacts --


def two(alice: str = "both", carol: str = "both") -> House:
    house = House()
    house.add("alice@a.example", Contact(CAROL, subscription=alice))  # type: ignore[arg-type]
    house.add("carol@a.example", Contact(ALICE, subscription=carol))  # type: ignore[arg-type]
    return house


def test_a_local_contact_is_told_and_answers_without_a_probe() -> None:
    house = two()
    carol = house.log_in("carol@a.example/c", available=True)
    house.log_in("carol@a.example/hidden")
    house.hooked.clear()
    alice = house.log_in("alice@a.example/a")
    alice.presence()
    assert carol.take() == [p("alice@a.example/a", "carol@a.example")]
    assert alice.take() == [
        p("alice@a.example/a", "alice@a.example"),
        p("carol@a.example/c", "alice@a.example/a"),
    ]
    assert house.hooked == [("in", "carol@a.example", ""), ("out", "alice@a.example", "")]


def test_a_local_contact_whose_roster_says_no_does_not_answer() -> None:
    house = two("to", "none")
    house.log_in("carol@a.example/c", available=True)
    alice = house.log_in("alice@a.example/a")
    alice.presence()
    assert alice.take() == [p("alice@a.example/a", "alice@a.example")]


def test_local_contacts_that_are_away_cost_no_read() -> None:
    house, read = two(), []
    alice = house.log_in("alice@a.example/a")
    house.store.scan = lambda *_, **__: read.append(1)  # type: ignore[method-assign,assignment]
    alice.presence()
    assert read == []


# -- requests --


def test_requests_wait_for_an_answer_and_are_handed_out_at_each_initial_presence() -> None:
    house = a_house(Contact(parse_jid("dave@d.example"), pending_in=REQUEST, listed=False))
    for name in ("phone", "desk"):
        client = house.log_in(f"alice@a.example/{name}")
        client.presence()
        assert client.take().count(REQUEST.decode()) == 1
        client.presence()
        assert REQUEST.decode() not in client.take()


def test_the_first_session_repeats_the_users_own_requests_to_other_servers() -> None:
    house = a_house(Contact(BOB, ask=True), Contact(CAROL, ask=True))
    house.log_in("alice@a.example/1").presence()
    assert house.take_remote() == [p("alice@a.example", "bob@b.example", "subscribe")]
    house.log_in("alice@a.example/2").presence()
    assert house.take_remote() == []


def test_subscription_stanzas_go_bare_to_bare() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone")
    phone.presence("bob@b.example/x", "subscribe")
    assert house.take_remote() == [p("alice@a.example", "bob@b.example", "subscribe")]
    house.receive("subscribed", "bob@b.example/x", "alice@a.example/phone")
    assert house.stored(ALICE).get(BOB) == Contact(BOB, subscription="to")


@pytest.mark.parametrize("type", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
def test_nobody_subscribes_to_oneself(type: str) -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone", available=True)
    phone.presence("alice@a.example", type)
    house.receive(type, "alice@a.example", "alice@a.example")
    assert phone.take() == []
    assert len(house.stored(ALICE)) == 0


# -- what clients may not send --


@pytest.mark.parametrize(
    ("to", "type", "condition"),
    [
        ("", "subscribe", "bad-request"),
        ("", "unsubscribed", "bad-request"),
        ("", "invisible", "bad-request"),
        ("bob@b.example", "available", "bad-request"),
        ("", "probe", "bad-request"),
    ],
)
def test_refused(to: str, type: str, condition: str) -> None:
    house = a_house()
    with pytest.raises(StanzaError) as refused:
        house.log_in("alice@a.example/phone").presence(to, type)
    assert refused.value.condition == condition
    assert house.take_remote() == []


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-128", -128), ("127", 127), ("+5", 5), (" 7\n", 7), ("007", 7)]
)
def test_priority(text: str, value: int) -> None:
    assert parse_priority(priority(text)) == value


def test_no_priority_is_zero() -> None:
    assert parse_priority(Presence.make()) == 0


@pytest.mark.parametrize("text", ["128", "-129", "", "x", "1.0", "1_0", "٣", "1 2", "9999999999"])
def test_bad_priorities_change_nothing(text: str) -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone")
    with pytest.raises(StanzaError) as refused:
        phone.presence(stanza=priority(text))
    assert refused.value.condition == "bad-request"
    assert phone.session.presence is None
    assert house.take_remote() == phone.take() == []


def test_two_priorities_or_one_with_children_are_refused() -> None:
    with pytest.raises(StanzaError):
        parse_priority(priority("1", "2"))
    with pytest.raises(StanzaError):
        parse_priority(Presence.make(children=[build(PRIORITY, None, build("{x}y"), text="1")]))


def test_a_priority_lasts_until_the_session_is_unavailable() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone")
    phone.presence(stanza=priority("-1"))
    phone.presence(stanza=priority("5"))
    assert phone.session.priority == 5
    phone.presence(type="unavailable")
    assert phone.session.priority == 0


# -- directed presence --


def test_directed_presence_keeps_its_address_and_is_followed_by_unavailable_at_the_end() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone")
    phone.presence("room@rooms.example/nick")
    assert house.take_remote() == [p("alice@a.example/phone", "room@rooms.example/nick")]
    assert phone.session.presence is None  # it is not initial presence (§4.6.3)
    phone.leave()
    assert house.take_remote() == [p("alice@a.example/phone", "room@rooms.example/nick", "unavailable")]


def test_directed_unavailable_ends_it() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone", available=True)
    phone.presence("room@rooms.example/nick")
    phone.presence("room@rooms.example/nick", "unavailable")
    house.take_remote()
    phone.leave()
    assert house.take_remote() == []


@pytest.mark.parametrize("available", [True, False])
def test_a_contact_that_sees_the_user_is_told_of_the_end_once(available: bool) -> None:
    house = a_house(Contact(BOB, subscription="from"))
    phone = house.log_in("alice@a.example/phone", available=available)
    phone.presence("bob@b.example")
    house.take_remote()
    phone.presence(type="unavailable")
    assert house.take_remote() == [p("alice@a.example/phone", "bob@b.example", "unavailable")]


def test_directed_presence_is_bounded() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone")
    for i in range(MAX_DIRECTED):
        phone.presence(f"room@rooms.example/{i}")
    phone.presence("room@rooms.example/0")
    with pytest.raises(StanzaError) as refused:
        phone.presence("room@rooms.example/one-more")
    assert refused.value.condition == "policy-violation"
    phone.presence("bob@b.example", "unavailable")  # always allowed


def test_a_room_that_refuses_is_shown_to_the_session_and_needs_no_farewell() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone")
    desk = house.log_in("alice@a.example/desk", available=True)
    phone.presence("room@rooms.example/nick")
    house.take_remote()
    house.receive("error", "room@rooms.example/nick", "alice@a.example/phone")
    assert phone.take() == [p("room@rooms.example/nick", "alice@a.example/phone", "error")]
    assert desk.take() == []
    phone.leave()
    assert house.take_remote() == []


@pytest.mark.parametrize("to", ["alice@a.example", "alice@a.example/gone", "nobody@a.example", "a.example"])
def test_errors_for_nobody_are_dropped(to: str) -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone", available=True)
    house.receive("error", "both@b.example", to)
    assert phone.take() == house.take_remote() == []


def test_a_clients_own_error_goes_to_its_addressee_only() -> None:
    house = a_house(*remote_contacts())
    phone = house.log_in("alice@a.example/phone", available=True)
    phone.presence("bob@b.example/x", "error")
    assert house.take_remote() == [p("alice@a.example/phone", "bob@b.example/x", "error")]
    phone.presence(type="error")
    assert house.take_remote() == []
    assert phone.session.directed == set()


# -- from others --


def test_presence_for_the_bare_address_goes_to_available_sessions() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone", available=True)
    silent = house.log_in("alice@a.example/silent")
    house.hooked.clear()
    house.receive("", "bob@b.example/x", "alice@a.example")
    house.receive("unavailable", "bob@b.example/x", "alice@a.example")
    assert phone.take() == [
        p("bob@b.example/x", "alice@a.example"),
        p("bob@b.example/x", "alice@a.example", "unavailable"),
    ]
    assert silent.take() == []
    assert house.hooked == [("in", "alice@a.example", ""), ("in", "alice@a.example", "unavailable")]


def test_presence_for_a_full_address_goes_to_that_session_whether_available_or_not() -> None:
    house = a_house()
    phone = house.log_in("alice@a.example/phone", available=True)
    silent = house.log_in("alice@a.example/silent")
    house.receive("", "room@rooms.example/nick", "alice@a.example/silent")
    house.receive("", "room@rooms.example/nick", "alice@a.example/gone")
    assert silent.take() == [p("room@rooms.example/nick", "alice@a.example/silent")]
    assert phone.take() == []


@pytest.mark.parametrize("type", ["", "unavailable", "probe", "subscribe", "invisible"])
@pytest.mark.parametrize("to", ["nobody@a.example", "nobody@a.example/x", "away@a.example", "a.example"])
def test_nobody_tells_which_accounts_exist(type: str, to: str) -> None:
    house = a_house()
    house.add("away@a.example")
    house.receive(type, "bob@b.example", to)
    assert house.take_remote() == []


@pytest.mark.parametrize("subscription", ["from", "both"])
def test_a_probe_of_a_subscriber_is_answered_for_each_available_session(subscription: str) -> None:
    house = a_house(Contact(BOB, subscription=subscription))  # type: ignore[arg-type]
    for name in ("phone", "desk"):
        house.log_in(f"alice@a.example/{name}", available=True)
    house.log_in("alice@a.example/silent")
    house.receive("probe", "bob@b.example/x", "alice@a.example")
    assert house.take_remote() == [
        p("alice@a.example/phone", "bob@b.example/x"),
        p("alice@a.example/desk", "bob@b.example/x"),
    ]
    house.receive("probe", "bob@b.example/x", "alice@a.example/desk")
    assert house.take_remote() == [p("alice@a.example/desk", "bob@b.example/x")]


@pytest.mark.parametrize("contact", [[], [Contact(BOB)], [Contact(BOB, subscription="to")]])
def test_a_probe_of_anybody_else_gets_silence(contact: list[Contact]) -> None:
    house = a_house(*contact)
    phone = house.log_in("alice@a.example/phone", available=True)
    house.take_remote(), phone.take()
    house.receive("probe", "bob@b.example", "alice@a.example")
    assert house.take_remote() == phone.take() == []


# -- accounts that are away --


def test_a_request_to_an_account_that_is_away_is_stored_until_it_comes_back() -> None:
    house = a_house()
    house.receive("subscribe", "dave@d.example", "alice@a.example")
    assert house.take_remote() == []
    phone = house.log_in("alice@a.example/phone")
    phone.presence()
    assert REQUEST.decode() in phone.take()


def test_an_answer_to_an_account_that_is_away_waits_for_it() -> None:
    house = a_house(Contact(BOB, ask=True))
    house.receive("subscribed", "bob@b.example", "alice@a.example")
    assert house.stored(ALICE).get(BOB) == Contact(BOB, ask=True)
    house.log_in("alice@a.example/phone")
    assert house.loaded[ALICE].roster.get(BOB) == house.stored(ALICE).get(BOB) == Contact(BOB, subscription="to")


def test_a_subscriber_that_asks_an_away_account_again_is_answered_when_its_owner_comes() -> None:
    house = a_house(Contact(BOB, subscription="from"))
    house.receive("subscribe", "bob@b.example", "alice@a.example")
    assert house.take_remote() == []
    house.log_in("alice@a.example/phone")
    assert house.take_remote() == [p("alice@a.example", "bob@b.example", "subscribed")]


def test_stanzas_that_waited_are_applied_in_order() -> None:
    house = a_house(Contact(BOB, ask=True))
    for kind in ("subscribed", "subscribe", "unsubscribe", "unsubscribed", "subscribe"):
        house.receive(kind, "bob@b.example", "alice@a.example")
    assert house.stored(ALICE).get(BOB) == Contact(BOB, ask=True)
    house.log_in("alice@a.example/phone")
    contact = house.stored(ALICE).get(BOB)
    assert contact is not None
    assert (contact.subscription, contact.ask, contact.pending_in is None) == ("none", False, False)


def test_who_is_blocked_finds_nobody_when_the_owner_comes() -> None:
    house = a_house()
    house.receive("subscribe", "bob@b.example", "alice@a.example")
    account = Account(ALICE, Roster(), Blocks(ALICE, [(b"b.example", VERSION)]))
    house.spawn(house.arrivals.settle(account))
    assert len(account.roster) == 0


def test_who_becomes_a_contact_while_away_is_one_when_the_owner_comes() -> None:
    house = a_house()
    for kind in (BEFRIEND, ADMIT):
        assert house.arrivals.keep(ALICE, kind, BOB, BOB.text.encode() if kind == BEFRIEND else CAROL.text.encode())
    house.log_in("alice@a.example/phone")
    roster = house.stored(ALICE)
    assert roster.get(BOB) == Contact(BOB, subscription="both")
    assert roster.get(CAROL) == Contact(CAROL, ask=True, approved=True)


@pytest.mark.parametrize("to", ["alice", "carol", "nobody"])
def test_an_acknowledgement_waits_for_a_commit_whoever_is_addressed(to: str) -> None:
    house = a_house()
    house.add("carol@a.example")
    house.log_in("carol@a.example/x")
    for _ in range(2):  # also of what changes nothing
        house.store.commit()
        assert house.store.latest is None
        house.receive("subscribed", "bob@b.example", f"{to}@a.example")
        assert house.store.latest is not None


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_presence_for_who_is_away_reaches_modules_and_nobody_else(name: str) -> None:
    house = a_house(Contact(BOB, subscription="both"))
    for kind in ("", "unavailable", "probe", "error"):
        house.receive(kind, "bob@b.example/x", f"{name}@a.example")
        house.receive(kind, "bob@b.example/x", f"{name}@a.example/phone")
    assert house.hooked == [("in", f"{name}@a.example", ""), ("in", f"{name}@a.example", "unavailable")]
    assert house.take_remote() == []


# -- strangers' pace --


def test_strangers_elsewhere_wait_their_turn_and_contacts_do_not() -> None:
    now = [0.0]
    timers = Timers(lambda: now[0])
    house = a_house(Contact(parse_jid("dave@b.example")))
    house.presence = house.route(timers=timers)
    phone = house.log_in("alice@a.example/phone", available=True)
    for number in range(int(DOMAIN_BURST) + 1):
        house.receive("subscribe", f"u{number}@b.example", "alice@a.example")
    assert len(phone.take()) == DOMAIN_BURST
    house.receive("subscribe", "dave@b.example", "alice@a.example")
    assert len(phone.take()) == 1
    now[0] += 1 / DOMAIN_RATE
    timers.fire(now[0])
    assert len(phone.take()) == 1


def test_a_local_user_who_asks_everybody_is_told() -> None:
    house = a_house()
    house.presence = house.route(timers=Timers(lambda: 0.0))
    phone = house.log_in("alice@a.example/phone")
    for number in range(int(OWN_BURST)):
        phone.presence(f"u{number}@b.example", "subscribe")
    with pytest.raises(StanzaError) as refused:
        phone.presence("one.more@b.example", "subscribe")
    assert refused.value.condition == "resource-constraint"


def test_a_client_may_probe_rooms_and_learns_nothing_of_others() -> None:
    house = a_house()
    house.add("carol@a.example", Contact(parse_jid("bob@b.example"), subscription="from"))
    house.log_in("carol@a.example/desk", available=True)
    phone = house.log_in("alice@a.example/phone")
    phone.presence("den@rooms.b.example/bob", "probe")
    assert house.take_remote() == [p("alice@a.example/phone", "den@rooms.b.example/bob", "probe")]
    for to in ("carol@a.example", "carol@a.example/desk", "nobody@a.example"):
        phone.presence(to, "probe")
    assert (phone.take(), house.take_remote()) == ([], [])
