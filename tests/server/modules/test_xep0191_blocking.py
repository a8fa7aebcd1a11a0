"""What the dialogues `blocking*.play` do not show: every kind of stanza, accounts that are away, reports."""

from __future__ import annotations

import pytest

from quietwire.core.errors import ConfigError
from quietwire.core.jid import parse_jid
from quietwire.server.blocks import MAX_BLOCKED, MAX_SIZE, TABLE, VERSION
from quietwire.server.modules import xep0045_muc, xep0160_offline
from quietwire.server.modules.xep0191_blocking import MAX_REPORTS, MODULE, make_state
from quietwire.server.roster import Contact
from quietwire.testing.assembly import Assembly, Client, stanza
from quietwire.testing.playbook import Playbook, nothing

ALICE, BOB = "alice@a.example", "bob@a.example"
EVE = "eve@b.example"
REFUSED = (
    "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    "<blocked xmlns='urn:xmpp:blocking:errors'/></error>"
)


def block(client: Client, *addresses: str, tag: str = "block") -> list[str]:
    items = "".join(f"<item jid='{address}'/>" for address in addresses)
    client.write(f"<iq type='set' id='b'><{tag} xmlns='urn:xmpp:blocking'>{items}</{tag}></iq>")
    return client.take()


def house(*contacts: Contact, settings: dict[str, object] | None = None) -> Assembly:
    made = Assembly((MODULE, xep0160_offline.MODULE), settings={"blocking": settings or {}})
    made.add(ALICE, *contacts)
    made.add(BOB)
    return made


def both(address: str) -> Contact:
    return Contact(parse_jid(address), subscription="both")


def test_nothing_of_a_stranger_elsewhere_gets_through() -> None:
    home = house(both(EVE))
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    block(alice, EVE)
    home.take_remote()
    for text in (
        "<message to='alice@a.example' type='chat'><body>x</body></message>",
        "<message to='alice@a.example/phone' type='error'><error type='cancel'/></message>",
        "<presence to='alice@a.example'/>",
        "<presence to='alice@a.example' type='probe'/>",
        "<presence to='alice@a.example' type='subscribe'/>",
        "<presence to='alice@a.example' type='unsubscribed'/>",
        "<iq to='alice@a.example/phone' type='result' id='1'/>",
    ):
        home.receive(text, f"{EVE}/x")
    assert (alice.take(), home.take_remote()) == ([], [])
    contact = alice.session.account.roster.get(parse_jid(EVE))
    assert contact is not None
    assert contact.subscription == "both", "blocking is polite, and what comes meanwhile changes nothing"


def test_a_request_is_answered_as_if_there_was_no_account() -> None:
    home = house()
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    block(alice, EVE)
    answers = []
    for to in (ALICE, f"{ALICE}/phone", "nobody@a.example", "nobody@a.example/phone"):
        home.receive(f"<iq to='{to}' type='get' id='1'><blocklist xmlns='urn:xmpp:blocking'/></iq>", f"{EVE}/x")
        answers.append(home.take_remote()[0].replace(to, "X"))
    assert len(set(answers)) == 1
    assert "service-unavailable" in answers[0]
    assert alice.take() == []


def test_what_the_user_sends_comes_back_with_the_reason() -> None:
    home = house()
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    block(alice, EVE)
    home.take_remote()
    alice.write(f"<message to='{EVE}/x' id='1'><body>x</body></message>")
    alice.write(f"<iq to='{EVE}/x' type='set' id='2'><a xmlns='urn:example:a'/></iq>")
    alice.write(f"<presence to='{EVE}' type='subscribe' id='3'/>")
    assert [text.count(REFUSED) for text in alice.take()] == [1, 1, 1]
    alice.write(f"<message to='{EVE}' type='error'><error type='cancel'/></message>")
    alice.write(f"<iq to='{EVE}/x' type='result' id='4'/>")
    alice.write(f"<presence to='{EVE}' type='error'/>")
    assert (alice.take(), home.take_remote()) == ([], []), "an answer is never answered"


def test_a_list_counts_from_the_first_session_and_while_away() -> None:
    home = house(both(EVE))
    home.storage.store.put(TABLE, ALICE.encode(), EVE.encode(), VERSION)
    home.receive(f"<presence to='{ALICE}' type='unsubscribed'/>", EVE)
    home.receive(f"<message to='{ALICE}' type='chat'><body>hidden</body></message>", EVE)
    home.receive(f"<message to='{ALICE}' type='chat'><body>shown</body></message>", "carol@b.example/x")
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    bodies = [text for text in alice.take() if "<body>" in text]
    assert len(bodies) == 1
    assert "shown" in bodies[0]
    assert home.storage.spool.usage(ALICE.encode())[0] == 1, "what was blocked is gone from the spool"
    contact = alice.session.account.roster.get(parse_jid(EVE))
    assert contact is not None
    assert contact.subscription == "both"
    assert home.take_remote() == [], "neither presence nor a probe goes out to them"


def test_unavailable_presence_goes_to_contacts_and_to_rooms() -> None:
    home = house(both(EVE), both("carol@b.example"))
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    alice.write("<presence to='room@rooms.example/me'/>")
    home.take_remote()
    block(alice, EVE, "room@rooms.example")
    assert home.take_remote() == [
        f"<presence from='{ALICE}/phone' to='{EVE}' type='unavailable'/>",
        f"<presence from='{ALICE}/phone' to='room@rooms.example/me' type='unavailable'/>",
    ]
    block(alice, EVE)
    assert home.take_remote() == [], "it was told before"
    alice.leave()
    assert home.take_remote() == [f"<presence from='{ALICE}/phone' to='carol@b.example' type='unavailable'/>"]


def test_a_contact_that_does_not_see_the_user_is_told_nothing() -> None:
    home = house(Contact(parse_jid(EVE), subscription="to"))
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    home.take_remote()
    block(alice, EVE)
    assert home.take_remote() == []
    block(alice, EVE, tag="unblock")
    assert home.take_remote() == [f"<presence from='{ALICE}/phone' to='{EVE}' type='probe'/>"]


def test_one_device_of_a_contact() -> None:
    home = house(both(EVE))
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    home.take_remote()
    block(alice, f"{EVE}/loud")
    assert home.take_remote() == [f"<presence from='{ALICE}/phone' to='{EVE}/loud' type='unavailable'/>"]
    home.receive(f"<message to='{ALICE}' type='chat'><body>1</body></message>", f"{EVE}/loud")
    assert alice.take() == []
    home.receive(f"<message to='{ALICE}' type='chat'><body>2</body></message>", f"{EVE}/calm")
    assert len(alice.take()) == 1
    block(alice, f"{EVE}/loud", tag="unblock")
    assert home.take_remote() == [f"<presence from='{ALICE}/phone' to='{EVE}/loud'/>"]


def test_one_occupant_of_a_room() -> None:
    home = house()
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    block(alice, "room@rooms.example/eve")
    for nick in ("eve", "carol"):
        home.receive(
            f"<message to='{ALICE}/phone' type='groupchat'><body>x</body></message>", f"room@rooms.example/{nick}"
        )
    assert [text.partition("'")[2].partition("'")[0] for text in alice.take()] == ["room@rooms.example/carol"]


def test_what_fans_out_passes_by_who_has_blocked_its_sender() -> None:
    home = house()
    alice, bob = (home.log_in(f"{jid}/x", "<presence/>") for jid in (ALICE, BOB))
    block(alice, EVE)
    alice.take(), bob.take()
    news = parse_jid(EVE)
    absent = home.router.fan_out(
        stanza("<message type='headline'><a xmlns='urn:example:a'/></message>", from_=news),
        [alice.session.jid, bob.session.jid, parse_jid(f"{ALICE}/gone")],
    )
    assert [jid.text for jid in absent] == [f"{ALICE}/gone"], "who has blocked it is there nevertheless"
    assert (len(alice.take()), len(bob.take())) == (0, 1)


def test_the_own_server_and_the_own_devices_are_never_blocked() -> None:
    home = house()
    phone, tablet = home.log_in(f"{ALICE}/phone", "<presence/>"), home.log_in(f"{ALICE}/tablet", "<presence/>")
    assert "not-acceptable" in block(phone, ALICE)[-1]
    assert "type='result'" in block(phone, "a.example")[-1]
    tablet.take()
    phone.write(f"<message to='{ALICE}/tablet'><body>x</body></message>")
    assert len(tablet.take()) == 1
    assert "type='result'" in block(phone, tag="unblock")[-1], "the list can be changed"


def test_a_list_is_bounded_and_survives() -> None:
    home = house()
    alice = home.log_in(f"{ALICE}/phone")
    block(alice, *(f"x{number}.example" for number in range(MAX_BLOCKED)))
    assert "resource-constraint" in block(alice, "more.example")[-1]
    assert "type='result'" in block(alice, "x1.example")[-1], "what is there already needs no room"
    assert len(home.storage.store.scan(TABLE, ALICE.encode()).result()) == MAX_BLOCKED
    block(alice, tag="unblock")
    assert home.storage.store.scan(TABLE, ALICE.encode()).result() == []
    long = "x" * 1_000
    block(alice, *(f"{long}@y{number}.example" for number in range(MAX_SIZE // 1_015)))
    assert "resource-constraint" in block(alice, f"{long}@z.example")[-1]


@pytest.mark.parametrize("query", ["<blocklist xmlns='urn:xmpp:blocking'/>"])
def test_another_account_s_list_is_nobody_else_s(query: str) -> None:
    home = house()
    bob = home.log_in(f"{BOB}/desk")
    for to in (ALICE, "nobody@a.example"):
        bob.write(f"<iq type='get' to='{to}' id='1'>{query}</iq>")
    answers = [text.replace(ALICE, "X").replace("nobody@a.example", "X") for text in bob.take()]
    assert len(set(answers)) == 1
    assert "service-unavailable" in answers[0]


@pytest.mark.parametrize("items", ["<item/>", "<other jid='b.example'/>"])
def test_items_without_an_address(items: str) -> None:
    home = house()
    alice = home.log_in(f"{ALICE}/phone")
    alice.write(f"<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'>{items}</block></iq>")
    assert "bad-request" in alice.take()[0]


REPORT = (
    "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='eve@b.example'>"
    "<report xmlns='urn:xmpp:reporting:1' reason='{}'><text xml:lang='en'>Never &lt;again&gt;</text></report>"
    "</item></block></iq>"
)


def test_a_report_goes_to_the_operator_without_a_name() -> None:
    home = house(settings={"abuse_address": "abuse@ops.example"})
    alice = home.log_in(f"{ALICE}/phone")
    alice.write(REPORT.format("urn:xmpp:reporting:spam"))
    assert "type='result'" in alice.take()[0]
    assert home.take_remote() == [
        "<message from='a.example' to='abuse@ops.example'><body>spam: eve@b.example\nNever &lt;again&gt;</body>"
        "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/></message>"
    ]
    for _ in range(MAX_REPORTS + 5):
        alice.write(REPORT.format("urn:xmpp:reporting:abuse"))
    assert len(home.take_remote()) == MAX_REPORTS - 1


def test_a_report_that_says_nothing_still_blocks() -> None:
    for settings, reason in (({}, "urn:xmpp:reporting:spam"), ({"abuse_address": "abuse@ops.example"}, "whim")):
        home = house(settings=dict(settings))
        alice = home.log_in(f"{ALICE}/phone")
        alice.write(REPORT.format(reason))
        assert alice.session.account.blocks == {EVE}
        assert home.take_remote() == []


def test_an_operator_may_prefer_an_error_for_blocked_senders() -> None:
    play = Playbook(accounts=["alice", "bob"], tables={"blocking": {"refuse": True}})
    alice, bob = play.client("alice/phone", "<presence/>"), play.client("bob/desk", "<presence/>")
    alice >> "<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='bob@a.example'/></block></iq>"
    alice.take()
    bob >> "<message to='alice@a.example' type='chat'/>"
    bob << (
        "<message type='error' from='alice@a.example' to='bob@a.example/desk'><error type='cancel'>"
        "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
    alice << nothing


def test_a_wrong_address_for_reports_is_a_mistake_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="abuse_address"):
        make_state({"abuse_address": "@"})


@pytest.mark.parametrize("away", [False, True])
def test_a_closed_server_takes_messages_from_people_one_knows(away: bool) -> None:
    home = house(both(EVE), settings={"strangers": False})
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    if away:
        alice.leave()
    for sender in ("stranger@b.example/x", f"{EVE}/x", "b.example", "a.example", "room@rooms.example/bob"):
        home.receive(f"<message to='{ALICE}' type='chat'><body>x</body></message>", sender)
    if away:
        alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    got = [text.partition("'")[2].partition("'")[0] for text in alice.take() if text.startswith("<message")]
    assert got == [f"{EVE}/x", "b.example", "a.example"]


def test_on_a_closed_server_a_room_that_one_is_in_is_no_stranger() -> None:
    home = house(settings={"strangers": False})
    alice = home.log_in(f"{ALICE}/phone", "<presence/>")
    alice.write("<presence to='room@rooms.example/me'/>")
    said = f"<message to='{ALICE}/phone' type='groupchat'><body>x</body></message>"
    alice.take()
    home.receive(said, "room@rooms.example/bob")
    home.receive(said, "other@rooms.example/bob")
    assert len(alice.take()) == 1
    bob = home.log_in(f"{BOB}/desk")
    home.receive(f"<presence to='{ALICE}' type='subscribe'/>", "new@b.example")
    assert len(alice.take()) == 1, "requests for subscription come as ever"
    bob.write(f"<message to='{ALICE}' type='chat'><body>x</body></message>")
    assert (alice.take(), bob.take()) == ([], [])


def test_a_room_of_ours_and_one_of_its_occupants() -> None:
    home = Assembly((MODULE, xep0045_muc.MODULE), settings={"muc": {"members_only": False}})
    room, guests = "den@conference.a.example", []
    for name in (ALICE, BOB):
        home.add(name)
        guests.append(home.log_in(f"{name}/x", "<presence/>"))
    alice, bob = guests
    for guest, nick in ((alice, "al"), (bob, "bo")):
        guest.write(f"<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        if guest is alice:
            form = "<x xmlns='jabber:x:data' type='submit'/>"
            query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
            alice.write(f"<iq type='set' id='1' to='{room}'>{query}</iq>")
    alice.take(), bob.take()
    said = f"<message to='{room}' type='groupchat'><body>hi</body></message>"
    bob.write(said)
    assert (len(alice.take()), len(bob.take())) == (1, 1)
    block(alice, f"{room}/bo")
    bob.write(said)
    assert (len(alice.take()), len(bob.take())) == (0, 1), "one occupant is not heard any more"
    alice.write(said)
    assert (len(alice.take()), len(bob.take())) == (1, 1)
    block(alice, room)
    assert any(f"from='{room}/al'" in text and "unavailable" in text for text in bob.take()), "who blocks it has left"
    bob.write(said)
    assert alice.take() == []
    alice.write(said)
    [refused] = alice.take()
    assert REFUSED in refused
