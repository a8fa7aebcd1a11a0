"""What the dialogues `client_state*.play` do not show."""

from __future__ import annotations

from quietwire.server.modules.xep0352_csi import MODULE, feature
from quietwire.server.resting import rests
from quietwire.testing.playbook import Playbook, nothing


def test_the_feature_is_offered_after_login_and_nobody_else_sees_it() -> None:
    assert feature(()).tag == "{urn:xmpp:csi:0}csi"
    assert (MODULE.features, MODULE.account_features, MODULE.keeps) == ((), (), ())


def test_a_session_begins_active_and_says_so_again_without_an_answer() -> None:
    play = Playbook(accounts=["alice"])
    alice = play.client("alice/phone")
    [session] = play.server.accounts.loaded[next(iter(play.server.accounts.loaded))].sessions.values()
    assert not rests(session)
    for state, resting in (("active", False), ("inactive", True), ("inactive", True), ("active", False)):
        alice >> f"<{state} xmlns='urn:xmpp:csi:0'/>"
        assert rests(session) is resting
    alice << nothing


def test_a_session_without_a_connection_rests_and_a_message_reaches_its_queue() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice, bob = play.client("alice/phone", "<presence/>"), play.client("bob/desk", "<presence/>")
    alice >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    alice.cut()
    [session] = (s for a in play.server.accounts.loaded.values() for s in a.sessions.values() if a.jid.local == "alice")
    assert rests(session)
    bob >> "<message to='alice@a.example' type='chat'><body>hi</body></message>"
    play.pass_time(1_000)
    again = play.client("alice/phone", "")
    again >> "<presence/>"
    assert any(getattr(each, "tag", "") == "{jabber:client}message" for each in again.take())
