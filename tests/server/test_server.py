from __future__ import annotations

from quietwire.testing.playbook import Client, Playbook, closed, nothing

ENABLE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"


def hello(sender: Client, to: str, text: str = "hi") -> None:
    sender >> f"<message to='{to}' type='chat'><body>{text}</body></message>"


def with_0198(play: Playbook, address: str) -> Client:
    client = play.client(address)
    client >> ENABLE
    client << "<enabled xmlns='urn:xmpp:sm:3' id='{*}' _='...'/>"
    client >> "<presence/>"
    client.take()
    return client


def test_a_kill_loses_nothing_that_was_acknowledged() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice = with_0198(play, "alice/phone")
    hello(alice, "bob@a.example")
    alice >> "<r xmlns='urn:xmpp:sm:3'/>"
    alice << "<a xmlns='urn:xmpp:sm:3' h='2'/>"
    again = Playbook(storage=play.storage.crash())
    bob = again.client("bob/desk")
    bob >> "<presence/>"
    bob << "<presence _='...'/>"
    bob << "<message _='...'><body>hi</body><delay xmlns='urn:xmpp:delay' _='...'/></message>"


def test_what_a_device_has_confirmed_is_gone_from_the_spool() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone"), with_0198(play, "bob/desk")
    hello(alice, "bob@a.example")
    assert play.server.spool.usage(b"bob@a.example")[0] == 1
    bob >> "<a xmlns='urn:xmpp:sm:3' h='2'/>"
    assert play.server.spool.usage(b"bob@a.example")[0] == 0


def test_a_message_moves_to_another_device_when_a_session_is_given_up() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone"), with_0198(play, "bob/desk")
    bob.cut()
    hello(alice, "bob@a.example/desk", "where?")
    other = play.client("bob/tablet", "<presence/>")
    other << nothing
    play.pass_time(301)
    got = [each for each in other.take() if each is not closed]
    assert [each.findtext("{jabber:client}body") for each in got if each.tag.endswith("message")] == ["where?"]  # type: ignore[union-attr]
    play.client("bob/third", "<presence/>") << nothing


def test_a_request_to_a_session_that_is_given_up_is_answered() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone"), with_0198(play, "bob/desk")
    bob.cut()
    alice >> "<iq type='get' id='v' to='bob@a.example/desk'><query xmlns='jabber:iq:version'/></iq>"
    alice << nothing
    play.pass_time(301)
    alice << (
        "<iq type='error' id='v' from='bob@a.example/desk' to='alice@a.example/phone'><error type='cancel'>"
        "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )


def test_a_queue_that_nobody_acknowledges_ends_the_session() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone"), with_0198(play, "bob/desk")
    for _ in range(20):
        hello(alice, "bob@a.example/desk", "x" * 240_000)
        bob.inbox.clear()
    assert bob.link.gone
    assert ("session-queue-full", {}) in play.notes
    assert play.server.spool.usage(b"bob@a.example")[0] == 20
    alice << nothing


def test_shutdown_leaves_everything_in_the_spool() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone"), with_0198(play, "bob/desk")
    parked = with_0198(play, "bob/parked")
    parked.cut()
    hello(alice, "bob@a.example")
    play.stop()
    assert (alice.link.gone, bob.link.gone, play.server.streams) == (True, True, 0)
    again = Playbook(storage=play.storage.crash())
    back = again.client("bob/desk")
    back >> "<presence/>"
    back << "<presence _='...'/>"
    back << "<message _='...'><body>hi</body></message>"
    back << nothing


def test_a_deleted_account_loses_its_sessions() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone", "<presence/>"), play.client("bob/desk", "<presence/>")
    play.run(play.server.admin.delete("alice"))
    alice << "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    alice << closed
    hello(bob, "alice@a.example")
    bob << nothing
    assert play.server.spool.usage(b"alice@a.example") == (0, 0)


def test_accounts_made_while_the_server_runs() -> None:
    play = Playbook(accounts=["alice"])
    play.run(play.server.admin.add("carol", "pass"))
    play.client("carol/phone")
    play.run(play.server.admin.set_password("carol", "other"))
    again = play.connect()
    again.authenticate("carol", "other")
