from __future__ import annotations

from typing import Any

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.server.registration import MAX_PASSWORD, Registrar
from quietwire.testing.playbook import Playbook

ALICE = parse_jid("alice@a.example")
GOOD = "a good password"


class Office:
    def __init__(self) -> None:
        self.play = Playbook(accounts=("alice",))
        server = self.play.server
        self.invitations = server.invitations
        self.registrar = Registrar(
            self.play.domain, server.router, server.store, server.admin, self.invitations, server.arrivals
        )

    def invite(self, **facts: Any) -> str:
        values: dict[str, Any] = {"days": 7, "register": True, "contact": True, **facts}
        return self.invitations.make(ALICE, **values)[0]

    def register(self, name: str, token: str = "", password: str = GOOD) -> str:
        """The new account, or the condition of the error."""
        try:
            return str(self.play.run(self.registrar.register(name, password, token)))
        except StanzaError as error:
            return error.condition


def test_a_guest_gets_an_account_and_a_contact_once() -> None:
    office = Office()
    alice = office.play.client("alice/phone", "<presence/>")
    alice >> "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
    alice.take()
    token = office.invite()
    assert office.register("Guest", token) == "guest@a.example"
    push = "<item jid='guest@a.example' subscription='both'/>"
    alice << f"<iq type='set' id='{{*}}' _='...'><query xmlns='jabber:iq:roster' _='...'>{push}</query></iq>"
    assert office.register("other", token) == "not-allowed"
    guest = office.play.connect().authenticate("guest", GOOD).bind("phone")
    guest >> "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
    item = "<item jid='alice@a.example' subscription='both'/>"
    guest << f"<iq type='result' id='r' _='...'><query xmlns='jabber:iq:roster' _='...'>{item}</query></iq>"


def test_an_invitation_may_be_for_one_name_and_for_no_contact() -> None:
    office = Office()
    token = office.invite(name="carol", contact=False)
    assert office.register("carol") == "conflict"  # promised
    assert office.register("carol", office.invite()) == "conflict"
    assert office.register("dave", token) == "not-acceptable"
    assert office.register("carol", token) == "carol@a.example"
    assert office.play.storage.store.scan("roster", b"carol@a.example").result() == []


def test_a_name_with_power_is_for_who_is_invited_to_it() -> None:
    office = Office()
    office.play.server.router.admins = frozenset((parse_jid("boss@a.example"),))
    for name in ("boss", "admin", "Support"):
        assert office.register(name) == "conflict"
        assert office.register(name, office.invite()) == "conflict"
        assert office.register(name, office.invite(name=name)) == f"{name.lower()}@a.example"


def test_what_fails_uses_no_invitation_up() -> None:
    office = Office()
    token = office.invite()
    assert office.register("alice", token) == "conflict"
    assert office.register("guest", token, "short") == "not-acceptable"
    assert office.register("guest", token, "x" * (MAX_PASSWORD + 1)) == "not-acceptable"
    assert office.register("guest", token, "no \x7f control character") == "not-acceptable"
    for name in ("a b@c", "", "x" * 2_000, "guest@b.example"):
        assert office.register(name, token) == "jid-malformed"
    assert office.register("guest", token) == "guest@a.example"


def test_an_invitation_for_contacts_makes_no_account() -> None:
    office = Office()
    token = office.invite(register=False)
    assert office.register("guest", token) == "not-allowed"
    assert office.invitations.find(token) is not None
    assert office.register("guest", "unknown") == "not-allowed"


def test_an_inviter_who_is_gone_or_was_none_is_no_contact() -> None:
    office = Office()
    token, _ = office.invitations.make(office.play.domain, days=1, register=True, contact=True)
    assert office.register("guest", token) == "guest@a.example"
    late = office.invite()
    office.play.run(office.play.server.admin.delete("alice"))
    assert office.register("other", late) in ("not-allowed", "other@a.example")
    assert office.play.storage.store.scan("roster", b"other@a.example").result() == []


@pytest.mark.parametrize("name", ["guest"])
def test_nobody_needs_a_token_where_the_caller_says_so(name: str) -> None:
    assert Office().register(name) == "guest@a.example"
