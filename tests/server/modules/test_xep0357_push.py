"""Who is woken by what, what a push service is told, and when its registration ends."""

from __future__ import annotations

import re

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.blocks import TABLE as BLOCKS
from quietwire.server.blocks import VERSION as BLOCKED
from quietwire.server.modules import xep0160_offline, xep0191_blocking
from quietwire.server.modules.xep0357_push import (
    CONFIRM_SECONDS,
    LIMIT,
    MAX_FORM,
    MAX_NODE,
    MAX_REGISTRATIONS,
    MODULE,
    REFUSED,
    TABLE,
    State,
)
from quietwire.server.resting import rest, wake
from quietwire.testing.assembly import Assembly, Client
from quietwire.testing.playbook import Playbook, nothing

ALICE, BOB = "alice@a.example", "bob@a.example"
SECONDS = 15.0
PUSHED = (
    "<iq from='a.example' to='push.example' type='set' id='{id}'>"
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item>"
    "<notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>"
    "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:push:summary</value></field></x></notification>"
    "</item></publish>{options}</pubsub></iq>"
)
FORM = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
    "<value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
    "<field var='secret'><value>s3</value></field></x>"
)


class World:
    def __init__(self) -> None:
        self.house = Assembly((MODULE, xep0160_offline.MODULE, xep0191_blocking.MODULE))
        self.house.add(ALICE)
        self.house.add(BOB)

    def device(self, name: str = "phone", node: str = "n1", form: str = "") -> Client:
        client = self.house.log_in(f"{ALICE}/{name}", "<presence/>")
        client.take()
        enable(client, node, form)
        assert client.take() == [f"<iq to='{ALICE}/{name}' type='result' id='e'/>"]
        return client

    def say(self, text: str = "<body>hi</body>", sender: str = "carol@c.example/x", more: str = "type='chat'") -> None:
        self.house.receive(f"<message to='{ALICE}' {more}>{text}</message>", sender)

    def pushes(self) -> list[str]:
        """The nodes that were told; answers every notification with success."""
        nodes = []
        for text in self.house.take_remote():
            found = re.search(r"id='([0-9a-f]+)'.*<publish node='([^']*)'", text)
            if found:
                nodes.append(found[2])
                self.house.receive(f"<iq to='a.example' type='result' id='{found[1]}'/>", "push.example")
        return nodes

    def rows(self) -> int:
        return len(self.house.storage.store.scan(TABLE, ALICE.encode()).result())


def enable(client: Client, node: str, form: str = "") -> None:
    attributes = f"xmlns='urn:xmpp:push:0' jid='push.example' node='{node}'"
    client.write(f"<iq type='set' id='e'><enable {attributes}>{form}</enable></iq>")


def disable(client: Client, more: str = "") -> None:
    client.write(f"<iq type='set' id='d'><disable xmlns='urn:xmpp:push:0' jid='push.example' {more}/></iq>")


def test_a_device_that_is_gone_is_told_and_of_nothing_but_that() -> None:
    world = World()
    world.device(form=FORM).leave()
    world.house.take_remote()
    world.say()
    [text] = world.house.take_remote()
    found = re.search(r"id='([0-9a-f]+)'", text)
    assert found is not None
    options = f"<publish-options>{FORM}</publish-options>"
    assert text == PUSHED.format(id=found[1], node="n1", options=options)
    assert "carol" not in text
    assert "alice" not in text


def test_a_device_that_somebody_looks_at_is_not() -> None:
    world = World()
    world.device()
    world.say()
    world.house.pass_time(60)
    assert world.pushes() == []


def test_each_device_has_its_own_registration() -> None:
    world = World()
    world.device("tablet", "n2").leave()
    world.device("phone", "n1")
    world.say()
    assert world.pushes() == ["n2"], "the phone has the message already"


def test_notifications_come_at_most_once_in_the_time_set() -> None:
    world = World()
    world.device().leave()
    world.house.take_remote()
    for _ in range(5):
        world.say()
    assert world.pushes() == ["n1"]
    world.house.pass_time(SECONDS)
    assert world.pushes() == ["n1"], "one for the four that came since"
    world.house.pass_time(SECONDS)
    assert world.pushes() == []
    world.say()
    assert world.pushes() == ["n1"]


def test_who_came_meanwhile_needs_no_second_notification() -> None:
    world = World()
    world.device().leave()
    world.say()
    world.say()
    world.pushes()
    world.device()
    world.house.pass_time(SECONDS)
    assert world.pushes() == []


def test_a_session_without_a_connection_is_told_at_once() -> None:
    world = World()
    rest(world.device().session, connected=False)
    world.say()
    assert world.pushes() == ["n1"]


def test_an_inactive_device_may_confirm_before_its_service_is_asked() -> None:
    world = World()
    session = world.device().session
    rest(session)
    world.say()
    spool = world.house.storage.spool
    [entry] = spool.load(ALICE.encode()).result()
    assert world.pushes() == []
    spool.confirm(entry)
    world.house.pass_time(CONFIRM_SECONDS)
    assert world.pushes() == []
    world.say()
    world.house.pass_time(CONFIRM_SECONDS)
    assert world.pushes() == ["n1"], "its connection is dead perhaps"


def test_what_came_late_has_its_own_time_to_be_confirmed() -> None:
    world = World()
    rest(world.device().session)
    spool = world.house.storage.spool
    world.say()
    [first] = spool.load(ALICE.encode()).result()
    world.house.pass_time(CONFIRM_SECONDS - 1)
    world.say()
    spool.confirm(first)
    world.house.pass_time(1)
    assert world.pushes() == []
    world.house.pass_time(CONFIRM_SECONDS)
    assert world.pushes() == ["n1"]


def test_an_inactive_device_that_is_gone_when_its_time_is_over() -> None:
    world = World()
    phone = world.device()
    rest(phone.session)
    world.say()
    phone.leave()
    world.pushes()
    world.house.pass_time(CONFIRM_SECONDS)
    assert world.pushes() == ["n1"]


def test_an_inactive_device_that_is_looked_at_again() -> None:
    world = World()
    phone = world.device()
    rest(phone.session)
    world.say()
    wake(phone.session)
    world.house.pass_time(CONFIRM_SECONDS)
    assert world.pushes() == []


@pytest.mark.parametrize(
    ("payload", "more", "woken"),
    [
        ("<body>x</body>", "", True),
        ("<encrypted xmlns='urn:xmpp:omemo:2'/>", "type='chat'", True),
        ("<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", "type='chat'", True),
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", "type='chat'", False),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", "type='chat'", False),
        ("<body>x</body><no-store xmlns='urn:xmpp:hints'/>", "type='chat'", False),
        ("<body>x</body>", "type='headline'", False),
    ],
)
def test_only_what_is_for_people_and_kept_wakes(payload: str, more: str, woken: bool) -> None:
    world = World()
    world.device().leave()
    world.pushes()
    world.say(payload, more=more)
    assert world.pushes() == (["n1"] if woken else [])


def test_one_s_own_devices_wake_nobody() -> None:
    world = World()
    world.device()
    world.device("tablet", "n2").leave()
    world.say(sender=f"{ALICE}/phone")
    assert world.pushes() == []


def test_what_is_said_in_a_room_wakes_a_session_that_waits_for_resumption() -> None:
    world = World()
    phone = world.device()
    rest(phone.session, connected=False)
    said = f"<message to='{ALICE}/phone' type='groupchat'><body>hi</body></message>"
    world.house.receive(said, "room@rooms.example/carol")
    assert world.pushes() == ["n1"]
    wake(phone.session)
    world.house.pass_time(SECONDS)
    world.house.receive(said, "room@rooms.example/carol")
    assert world.pushes() == []


def test_a_blocked_sender_wakes_nobody_but_while_all_devices_are_away() -> None:
    world = World()
    world.house.storage.store.put(BLOCKS, ALICE.encode(), b"c.example", BLOCKED)
    phone, _ = world.device(), world.house.log_in(f"{ALICE}/other")
    phone.leave()
    world.pushes()
    world.say()
    assert world.pushes() == []
    world.say(sender="dave@d.example/x")
    assert world.pushes() == ["n1"]
    for client in world.house.accounts.loaded.copy().values():
        for session in list(client.sessions.values()):
            world.house.router.ending(session, "reset")
    world.house.pass_time(SECONDS)
    world.pushes()
    world.say()
    assert world.pushes() == ["n1"]  # nobody knows the list


def test_registrations_outlive_the_server() -> None:
    world = World()
    world.device().leave()
    world.house.take_remote()
    again = World()
    for key, value in world.house.storage.store.scan(TABLE, ALICE.encode()).result():
        again.house.storage.store.put(TABLE, ALICE.encode(), key, value)
    again.house.router.spawn(again.house.router.open())
    again.say()
    assert again.pushes() == ["n1"]
    tablet = again.house.log_in(f"{ALICE}/tablet", "<presence/>")
    again.house.pass_time(SECONDS)
    again.say()
    assert again.pushes() == ["n1"], "read with the account"
    disable(tablet)
    again.house.pass_time(SECONDS)
    again.say()
    assert again.pushes() == []


def test_a_device_can_be_taken_back_alone_or_with_its_service() -> None:
    world = World()
    phone = world.device()
    enable(phone, "n2")
    enable(phone, "n3")
    disable(phone, "node='n2'")
    assert world.rows() == 2
    disable(phone)
    assert world.rows() == 0
    disable(phone)
    assert phone.take()[-1] == f"<iq to='{ALICE}/phone' type='result' id='d'/>", "nothing to take back"
    phone.leave()
    world.house.take_remote()
    world.say()
    assert world.pushes() == []


def test_registrations_are_bounded_and_those_of_devices_that_are_gone_give_way() -> None:
    world = World()
    world.device("old", "gone").leave()
    phone = world.device("phone", "0")
    for number in range(1, MAX_REGISTRATIONS):
        enable(phone, str(number))
    phone.take()
    keys = [key for key, _ in world.house.storage.store.scan(TABLE, ALICE.encode()).result()]
    assert len(keys) == MAX_REGISTRATIONS
    assert b"push.example\0gone" not in keys
    enable(phone, "one more")
    assert "resource-constraint" in phone.take()[0]
    enable(phone, "0", FORM)
    assert "type='result'" in phone.take()[0], "the same service and node: the last request counts"


def refuse(world: World, error: str) -> None:
    world.say()
    for text in world.house.take_remote():
        found = re.search(r"to='push.example' type='set' id='([0-9a-f]+)'", text)
        if found:
            world.house.receive(f"<iq to='a.example' type='error' id='{found[1]}'>{error}</iq>", "push.example")
    world.house.pass_time(SECONDS)


STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (f"<error type='cancel' code='404'><item-not-found xmlns='{STANZAS}'/></error>", LIMIT // REFUSED),
        (f"<error type='wait'><resource-constraint xmlns='{STANZAS}'/></error>", LIMIT),
        (f"<error type='cancel'><remote-server-not-found xmlns='{STANZAS}'/></error>", LIMIT),
        ("", LIMIT),
    ],
)
def test_a_service_that_refuses_is_asked_no_more(error: str, times: int) -> None:
    world = World()
    world.device().leave()
    for _ in range(times - 1):
        refuse(world, error)
    assert world.rows() == 1
    refuse(world, error)
    assert world.rows() == 0
    world.house.take_remote()
    world.say()
    assert world.pushes() == []


def test_a_success_forgives_and_silence_is_a_failure() -> None:
    world = World()
    world.device().leave()
    gone = f"<error type='cancel'><gone xmlns='{STANZAS}'/></error>"
    refuse(world, gone)
    refuse(world, gone)
    world.say()
    assert world.pushes() == ["n1"]
    world.house.pass_time(SECONDS)
    refuse(world, gone)
    refuse(world, gone)
    assert world.rows() == 1
    for _ in range(REFUSED):
        world.say()
        world.house.pass_time(60)
    assert world.rows() == 0


@pytest.mark.parametrize(
    ("payload", "condition"),
    [
        ("<enable xmlns='urn:xmpp:push:0' node='n'/>", "bad-request"),
        ("<disable xmlns='urn:xmpp:push:0'/>", "bad-request"),
        ("<enable xmlns='urn:xmpp:push:0' jid='@'/>", "jid-malformed"),
        (f"<enable xmlns='urn:xmpp:push:0' jid='p.example' node='{'n' * (MAX_NODE + 1)}'/>", "bad-request"),
        (
            "<enable xmlns='urn:xmpp:push:0' jid='p.example'><x xmlns='jabber:x:data' type='submit'/></enable>",
            "bad-request",
        ),
        (
            "<enable xmlns='urn:xmpp:push:0' jid='p.example' node='n'>"
            + FORM.replace("s3", "s" * MAX_FORM)
            + "</enable>",
            "bad-request",
        ),
    ],
)
def test_what_is_no_registration_is_refused(payload: str, condition: str) -> None:
    world = World()
    phone = world.device()
    phone.write(f"<iq type='set' id='1'>{payload}</iq>")
    assert condition in phone.take()[0]
    assert world.rows() == 1


def test_nobody_registers_for_another_account() -> None:
    world = World()
    world.device()
    bob = world.house.log_in(f"{BOB}/desk")
    for to in (ALICE, "nobody@a.example", "a.example"):
        for kind in ("enable", "disable"):
            bob.write(f"<iq type='set' id='1' to='{to}'><{kind} xmlns='urn:xmpp:push:0' jid='p.example'/></iq>")
    answers = bob.take()
    assert len(answers) == 6
    assert all("service-unavailable" in answer for answer in answers)
    assert world.rows() == 1


def test_an_account_that_is_erased_leaves_nothing() -> None:
    world = World()
    world.device().leave()
    refuse(world, f"<error type='cancel'><gone xmlns='{STANZAS}'/></error>")
    world.say()
    world.house.router.erased(parse_jid(ALICE))
    world.house.take_remote()
    world.say()
    assert world.pushes() == []
    world.house.pass_time(60)  # nobody answered
    assert [base.state.failures for _, base in world.house.router._erased if isinstance(base.state, State)] == [{}]


REGISTER = "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='carol@a.example/app' node='n'/></iq>"
HI = "<message to='alice@a.example' type='chat'><body>hi</body></message>"


@pytest.mark.parametrize("resumable", [True, False])
def test_what_was_sent_into_a_dead_connection_wakes_the_device(resumable: bool) -> None:
    play = Playbook(accounts=["alice", "bob", "carol"])
    phone, desk, service = play.client("alice/phone", "<presence/>"), play.client("bob/desk"), play.client("carol/app")
    phone >> REGISTER
    if resumable:
        phone >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    phone.take()
    phone.reads = False
    desk >> HI
    service << nothing
    phone.cut()
    [request] = service.take()
    assert getattr(request, "tag", "") == "{jabber:client}iq"


def test_a_connection_that_ends_with_everything_confirmed_wakes_nobody() -> None:
    play = Playbook(accounts=["alice", "bob", "carol"])
    phone, desk, service = play.client("alice/phone", "<presence/>"), play.client("bob/desk"), play.client("carol/app")
    phone >> REGISTER
    phone >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    phone.take()
    desk >> HI
    phone >> "<a xmlns='urn:xmpp:sm:3' h='1'/>"
    phone.cut()
    service << nothing
    desk >> HI
    assert len(service.take()) == 1, "and what comes then does"
    play.stop()
    assert [each for each in service.take() if getattr(each, "tag", "") == "{jabber:client}iq"] == []
