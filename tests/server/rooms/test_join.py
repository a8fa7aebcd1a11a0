"""Entering, changing nickname and availability, leaving (XEP-0045 §7.2, §7.6, §7.7, §7.14)."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SEMI, Den, elements, jid, said

from quietwire.core import ns
from quietwire.core.xml import parse
from quietwire.server.rooms.occupants import MAX_NICK, MAX_SESSIONS
from quietwire.server.rooms.presences import MAX_PRESENCE


def test_who_makes_a_room_owns_it_and_is_alone_until_it_is_configured() -> None:
    den = Den()
    alice = den.enter("alice")
    assert said(alice) == ["al here owner/moderator jid=alice@a.example/x 100 110 201", "room subject ''"]
    assert said(den.enter("bob")) == ["presence error item-not-found"]
    den.configure(alice, **OPEN)
    assert said(alice) == ["result"]
    assert said(den.enter("bob")) == [
        "al here owner/moderator jid=alice@a.example/x",
        "bo here none/participant jid=bob@a.example/x 100 110",
        "room subject ''",
    ]
    assert said(alice) == ["bo here none/participant jid=bob@a.example/x"]


def test_the_order_of_events() -> None:
    den = Den()
    alice, _ = den.full("bob", **OPEN)
    den.say(alice, "first")
    alice.write(f"<message type='groupchat' to='{ROOM}'><subject>Cats</subject></message>")
    den.say(alice, "second")
    assert said(den.enter("carol")) == [
        "al here owner/moderator jid=alice@a.example/x",
        "bo here none/participant jid=bob@a.example/x",
        "ca here none/participant jid=carol@a.example/x 100 110",
        "al: first (old)",
        "al: second (old)",
        "al subject 'Cats' (old)",
    ]


def test_real_addresses_are_for_moderators_in_a_semi_anonymous_room() -> None:
    den = Den()
    alice, bob = den.full("bob", **SEMI)
    carol = den.enter("carol")
    assert said(alice) == ["ca here none/participant jid=carol@a.example/x"]
    assert said(bob) == ["ca here none/participant"]
    assert said(carol) == [
        "al here owner/moderator",
        "bo here none/participant",
        "ca here none/participant jid=carol@a.example/x 110",
        "room subject ''",
    ]


@pytest.mark.parametrize(
    ("fields", "inside", "condition"),
    [
        ({}, "", "registration-required"),
        ({**OPEN, "roomsecret": "cauldron"}, "", "not-authorized"),
        ({**OPEN, "roomsecret": "cauldron"}, "<password>kettle</password>", "not-authorized"),
    ],
)
def test_who_may_not_enter(fields: dict[str, str], inside: str, condition: str) -> None:
    den = Den()
    alice = den.make(**fields)
    assert said(den.enter("bob", inside=inside)) == [f"presence error {condition}"]
    assert said(alice) == []


def test_the_error_is_as_the_standard_shows_it() -> None:
    den = Den()
    den.make()
    bob = den.guest("bob")
    bob.write(f"<presence id='j' to='{ROOM}/bo'><x xmlns='{MUC}'/></presence>")
    assert bob.take() == [
        f"<presence from='{ROOM}/bo' to='bob@a.example/x' type='error' id='j'><x xmlns='{MUC}'/>"
        f"<error type='auth' by='{ROOM}'><registration-required xmlns='{ns.STANZAS}'/></error></presence>"
    ]


def test_members_banned_and_who_knows_the_password() -> None:
    den = Den()
    alice = den.make(roomsecret="cauldron")
    den.admin(alice, "affiliation='member' jid='bob@a.example'", "affiliation='outcast' jid='carol@a.example'")
    assert said(den.enter("bob")) == ["presence error not-authorized"]
    assert "bo here member/participant" in said(den.enter("bob", inside="<password>cauldron</password>"))[1]
    assert said(den.enter("carol", inside="<password>cauldron</password>")) == ["presence error forbidden"]


@pytest.mark.parametrize(
    ("to", "condition"),
    [
        (ROOM, "jid-malformed"),
        (f"{ROOM}/{'x' * (MAX_NICK + 1)}", "not-acceptable"),
        (f"{ROOM}/ ", "not-acceptable"),
        (f"{ROOM}/al", "conflict"),
        (f"{ROOM}/AL", "conflict"),
        ("conference.a.example", "service-unavailable"),
    ],
)
def test_nicknames(to: str, condition: str) -> None:
    den = Den()
    den.make(**OPEN)
    bob = den.guest("bob")
    bob.write(f"<presence to='{to}'><x xmlns='{MUC}'/></presence>")
    assert said(bob) == [f"presence error {condition}"]


def test_a_full_room_takes_admins() -> None:
    den = Den()
    alice = den.make(maxusers="2", **OPEN)
    den.admin(alice, "affiliation='admin' jid='dave@a.example'")
    den.enter("bob")
    carol = den.guest("carol")
    carol.write(f"<presence to='{ROOM}/ca'><x xmlns='{MUC}'/></presence>")
    assert "type='wait'" in carol.session.outlet.data[0].decode()  # type: ignore[attr-defined]
    assert said(carol) == ["presence error service-unavailable"]
    assert "da here admin/moderator" in said(den.enter("dave"))[2]


def test_a_reserved_nickname_is_kept_for_its_owner() -> None:
    den = Den()
    alice = den.make(**OPEN)
    den.admin(alice, "affiliation='member' jid='bob@a.example' nick='bo'")
    assert said(den.enter("carol", "Bo")) == ["presence error conflict"]
    assert said(den.enter("bob"))[1].startswith("bo here member")


def test_two_devices_of_an_account_are_one_occupant() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    desk = den.enter("bob/desk", "bo")
    assert said(desk) == [
        "al here owner/moderator jid=alice@a.example/x",
        "bo here none/participant jid=bob@a.example/desk 100 110",
        "room subject ''",
    ]
    assert said(bob) == ["bo here none/participant jid=bob@a.example/x 100 110"]
    assert said(alice) == ["bo here none/participant jid=bob@a.example/desk"]
    den.say(alice, "hello")
    assert said(bob) == said(desk) == ["al: hello"]
    desk.leave()
    assert said(alice) == ["al: hello", "bo here none/participant jid=bob@a.example/x"]
    bob.leave()
    assert said(alice) == ["bo gone none/none jid=bob@a.example/x"]


def test_an_account_that_comes_again_under_a_name_like_its_own_gets_its_own() -> None:
    den = Den()
    den.full("bob", **OPEN)
    desk = den.enter("bob/desk", "BO")
    assert said(desk)[1] == "bo here none/participant jid=bob@a.example/desk 100 110 210"


def test_limits_of_an_account() -> None:
    den = Den()
    den.make(**OPEN)
    for n in range(MAX_SESSIONS):
        den.enter(f"bob/{n}", "bo")
    assert said(den.enter("bob/more", "bo")) == ["presence error resource-constraint"]
    for n in range(4):
        den.enter(f"bob/o{n}", f"bo{n}")
    assert said(den.enter("bob/o5", "bo5")) == ["presence error resource-constraint"]


def test_a_client_that_lost_its_state_gets_all_of_it_again_and_nobody_notices() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(alice, "hello")
    den.quiet()
    den.enter("bob")
    assert said(bob) == [
        "al here owner/moderator jid=alice@a.example/x",
        "bo here none/participant jid=bob@a.example/x 100 110",
        "al: hello (old)",
        "room subject ''",
    ]
    assert said(alice) == []
    den.enter("bob", more="<show>away</show>")
    assert said(alice) == ["bo here none/participant jid=bob@a.example/x"]


def test_who_only_believes_to_be_in_the_room_is_told() -> None:
    den = Den()
    alice = den.make(**OPEN)
    bob = den.guest("bob")
    for to in (f"{ROOM}/bo", "nowhere@conference.a.example/bo"):
        bob.write(f"<presence to='{to}'/>")
        assert said(bob) == ["bo gone none/none 'You are not in the room.' 110 307 333"]
    assert said(alice) == []


def test_a_new_nickname() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.write(f"<presence to='{ROOM}/robert'><show>chat</show></presence>")
    assert said(bob) == [
        "bo gone none/participant jid=bob@a.example/x nick=robert 110 303",
        "robert here none/participant jid=bob@a.example/x 110",
    ]
    gone, here = elements(alice)
    assert gone.get("type") == "unavailable"
    assert here.findtext(f"{{{ns.CLIENT}}}show") == "chat"
    bob.write(f"<presence to='{ROOM}/AL'/>")
    assert said(bob) == ["presence error conflict"]
    bob.write(f"<presence to='{ROOM}/Robert'/>")
    assert said(bob)[-1] == "Robert here none/participant jid=bob@a.example/x 110"


def test_availability_is_passed_on_without_what_only_the_room_may_say() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.write(
        f"<presence to='{ROOM}/bo'><status>tea</status><x xmlns='{MUC}#user'><item role='moderator'/></x>"
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/><delay xmlns='urn:xmpp:delay' stamp='x'/></presence>"
    )
    [presence] = alice.take()
    assert "<status>tea</status>" in presence
    assert "forged" not in presence
    assert "urn:xmpp:delay" not in presence
    assert presence.count(f"{MUC}#user") == 1
    assert "role='moderator'" not in presence


def test_a_presence_that_is_too_long_is_refused() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.write(f"<presence to='{ROOM}/bo'><status>{'x' * MAX_PRESENCE}</status></presence>")
    assert said(bob) == ["presence error policy-violation"]
    assert said(alice) == []
    bob.write(f"<presence to='{ROOM}/bo' type='unavailable'><status>{'x' * MAX_PRESENCE}</status></presence>")
    assert "status>" not in alice.take()[0]


def test_leaving() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.write(f"<presence to='{ROOM}/bo' type='unavailable'><status>bye</status></presence>")
    assert said(bob) == ["bo gone none/none jid=bob@a.example/x 110"]
    [gone] = alice.take()
    assert "<status>bye</status>" in gone
    bob.write(f"<presence to='{ROOM}/bo' type='unavailable'/>")
    assert said(bob) == said(alice) == []
    alice.write(f"<presence to='{ROOM}/al' type='unavailable'/>")
    assert jid(ROOM) not in den.rooms.rooms


def test_who_leaves_gets_the_id_back_and_nobody_else_does() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.write(f"<presence id='bye' to='{ROOM}/bo' type='unavailable'/>")
    [own], [others] = bob.take(), alice.take()
    assert (" id='bye'" in own, " id='bye'" in others) == (True, False)


def test_the_end_of_a_session_is_noticed() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    bob.leave()
    assert said(alice) == ["bo gone none/none jid=bob@a.example/x"]


def test_visitors_are_not_announced() -> None:
    den = Den()
    alice = den.make(moderatedroom="1", **OPEN)
    bob = den.enter("bob")
    assert said(bob) == [
        "al here owner/moderator jid=alice@a.example/x",
        "bo here none/visitor jid=bob@a.example/x 100 110",
        "room subject ''",
    ]
    assert said(alice) == []
    assert "bo" not in str(said(den.enter("carol")))
    assert said(alice) == []
    den.admin(alice, "role='participant' nick='bo'")
    den.quiet()
    den.admin(alice, "role='visitor' nick='bo'")
    assert said(den.guest("carol")) == ["bo gone none/none jid=bob@a.example/x"]
    bob.leave()
    assert said(alice) == []


def test_registered_members_may_be_shown_while_they_are_away() -> None:
    den = Den()
    alice = den.make(presencebroadcast=["moderator", "participant", "none"], **SEMI)
    den.admin(alice, "affiliation='member' jid='bob@a.example' nick='Bob'")
    assert "Bob gone member/none nick=Bob" in said(den.enter("carol"))


def test_a_logged_room_warns() -> None:
    den = Den()
    den.make(enablelogging="1", **OPEN)
    assert said(den.enter("bob"))[1] == "bo here none/participant jid=bob@a.example/x 100 110 170"


@pytest.mark.parametrize(
    ("history", "count"),
    [("", 3), ("<history maxstanzas='1'/>", 1), ("<history maxchars='0'/>", 0), ("<history seconds='15'/>", 1)],
)
def test_history_as_it_is_asked_for(history: str, count: int) -> None:
    den = Den()
    alice = den.make(**OPEN)
    for text in ("one", "two", "three"):
        den.pass_time(10)
        den.say(alice, text)
    den.pass_time(10)
    assert str(said(den.enter("bob", inside=history))).count("(old)") == count


def test_history_names_its_senders_where_everybody_may_know_them() -> None:
    den = Den()
    alice = den.make(**OPEN)
    den.say(alice, "hello")
    old = den.enter("bob").take()[2]
    assert "<address type='ofrom' jid='alice@a.example'/>" in old
    assert f"<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2001-09-09T01:46:40Z'/>" in old
    den.configure(alice, whois="moderators")
    assert "alice@a.example" not in den.enter("carol").take()[3]
    den.say(alice, "psst")
    den.configure(alice, whois="anyone")
    olds = [text for text in den.enter("dave").take() if "psst" in text]
    assert "alice@a.example" not in olds[0]


GHOSTS = ["gone", "remote-server-not-found", "item-not-found", "recipient-unavailable"]


@pytest.mark.parametrize(
    ("kind", "condition"),
    [(kind, condition) for kind in ("presence", "message") for condition in GHOSTS]
    + [("presence", "service-unavailable"), ("presence", "not-acceptable"), ("presence", "no-condition")],
)
def test_ghosts_are_put_out(kind: str, condition: str) -> None:
    den = Den()
    alice = den.make(**OPEN)
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", "eve@b.example/x")
    den.quiet()
    error = f"<error type='cancel'><{condition} xmlns='{ns.STANZAS}'/></error>"
    den.receive(f"<{kind} to='{ROOM}/al' type='error'>{error}</{kind}>", "eve@b.example/x")
    assert said(alice) == ["eve gone none/none jid=eve@b.example/x 333"]


def test_other_errors_are_no_reason() -> None:
    den = Den()
    alice = den.make(**OPEN)
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", "eve@b.example/x")
    den.quiet()
    error = f"<error type='modify'><not-acceptable xmlns='{ns.STANZAS}'/></error>"
    den.receive(f"<message to='{ROOM}/al' type='error'>{error}</message>", "eve@b.example/x")
    den.receive(f"<presence to='{ROOM}/al' type='error'>{error}</presence>", "mallory@b.example/x")
    assert said(alice) == ["message error not-acceptable"], "she is told what she said was not taken, and no more"


def test_probes_are_answered_to_occupants_only() -> None:
    den = Den()
    _, bob = den.full("bob", **SEMI)
    carol = den.guest("carol")
    bob.write(f"<presence type='probe' to='{ROOM}/al'/>")
    assert said(bob) == ["al here owner/moderator"]
    bob.write(f"<presence type='probe' to='{ROOM}/bo'/>")
    assert said(bob) == ["bo here none/participant jid=bob@a.example/x"]
    bob.write(f"<presence type='probe' to='{ROOM}/nobody'/>")
    assert said(bob) == ["presence error item-not-found"]
    for to in (f"{ROOM}/al", f"{ROOM}/nobody", "nowhere@conference.a.example/al"):
        carol.write(f"<presence type='probe' to='{to}'/>")
        assert said(carol) == ["presence error not-acceptable"]


def test_other_presence_is_not_the_rooms() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.receive(f"<presence to='{ROOM}' type='subscribe'/>", "eve@b.example")
    den.receive("<presence to='nowhere@conference.a.example' type='unavailable'/>", "eve@b.example/x")
    den.receive(f"<presence to='{ROOM}/eve'><x xmlns='{MUC}'/></presence>", "eve@b.example")
    assert parse(den.take_remote()[-1].encode(), ns.CLIENT).get("type") == "error"
    assert said(alice) == said(bob) == []


def test_the_role_given_by_hand_stays_over_a_visit() -> None:
    den = Den()
    alice = den.make(moderatedroom="1", **OPEN)
    bob = den.enter("bob")
    den.admin(alice, "role='participant' nick='bo'")
    bob.write(f"<presence to='{ROOM}/bo' type='unavailable'/>")
    den.quiet()
    assert said(den.enter("bob"))[1] == "bo here none/participant jid=bob@a.example/x 100 110"


def test_presence_is_told_no_faster_than_messages() -> None:
    den = Den(burst=3, rate=1)
    alice, bob = den.full("bob", **OPEN)
    den.quiet()
    for text in ("a", "b", "c", "d"):
        bob.write(f"<presence to='{ROOM}/bo'><show>{text}</show></presence>")
    assert said(alice) == ["bo here none/participant jid=bob@a.example/x"] * 3
    assert said(bob)[-1] == "presence error policy-violation"
    den.pass_time(1)
    bob.write(f"<presence to='{ROOM}/bo'><x xmlns='{MUC}'/></presence>")
    assert "presence error policy-violation" not in said(bob)
    bob.write(f"<presence to='{ROOM}/bob'/>")
    assert said(bob) == ["presence error policy-violation"]
