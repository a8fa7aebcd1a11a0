"""Tokens: two slots a client, an end in time, and no second use of a count."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import drive
from quietwire.core.sasl import SaslFailure, initiator, responder
from quietwire.server import tokens
from quietwire.server.sealed.keyring import Keyring
from quietwire.server.timers import Timers
from quietwire.server.tokens import Login, Token, Tokens

ALICE = parse_jid("alice@a.example")
BOB = parse_jid("bob@a.example")
ENDP, NONE = "HT-SHA-256-ENDP", "HT-SHA-256-NONE"
CHANNEL = {"tls-server-end-point": b"certificate"}


class World:
    def __init__(self, lifetime: float = 1000.0) -> None:
        numbers = count(1)
        self.now = 0.0
        self.skew = 0.0
        self.timers = Timers(lambda: self.now)
        self.keyring = Keyring(lambda work: drive(work, lambda _, error: None) and None)  # type: ignore[arg-type]
        self.logins = [self.keyring.unlock(owner.text.encode(), bytearray(range(32))) for owner in (ALICE, BOB)]
        self.tokens = Tokens(
            lambda: self.now + self.skew,
            lambda size: next(numbers).to_bytes(size, "big"),
            lifetime,
            lambda account: self.keyring.share(account.text.encode()),
            self.timers,
        )

    def log_out(self) -> None:
        """Every session ends."""
        for lease in self.logins:
            lease.release()

    @property
    def unlocked(self) -> list[str]:
        return [owner.decode().partition("@")[0] for owner in self.keyring]

    def pass_time(self, until: float) -> None:
        while (at := self.timers.next_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self.timers.fire(self.now)
        self.now = until

    def try_with(
        self, token: Token, account: JID | None = ALICE, client: str = "phone", mechanism: str = NONE,
        count: str | None = None, *, binding: bytes = b"", **more: Any,
    ) -> Login:  # fmt: skip
        message = b"alice\0" + initiator(token.secret, binding)
        more = {"invalidate": False, **more}
        return self.tokens.check(account, client, mechanism, message, CHANNEL, count, **more)


def refused(attempt: Callable[[], object]) -> str:
    with pytest.raises(SaslFailure) as failure:
        attempt()
    return failure.value.condition


def test_a_token_logs_in_again_and_again_and_the_server_proves_itself() -> None:
    world = World()
    token = world.tokens.issue(ALICE, "phone", NONE)
    for _ in range(3):
        login = world.try_with(token)
        assert (login.account, login.replacement) == (ALICE, None)
        assert login.answer == responder(token.secret, b"")
    assert token.secret.decode() not in repr(token)


def test_it_is_the_clients_the_accounts_and_the_mechanisms() -> None:
    world = World()
    token = world.tokens.issue(ALICE, "phone", ENDP)
    assert world.try_with(token, mechanism=ENDP, binding=b"certificate").account == ALICE
    for attempt in (
        lambda: world.try_with(token, mechanism=ENDP, binding=b"other"),
        lambda: world.try_with(token, mechanism=NONE),
        lambda: world.try_with(token, client="desk", mechanism=ENDP, binding=b"certificate"),
        lambda: world.try_with(token, account=BOB, mechanism=ENDP, binding=b"certificate"),
        lambda: world.try_with(token, account=None, mechanism=ENDP, binding=b"certificate"),
        lambda: world.try_with(Token(b"guess", NONE, 1e9)),
    ):
        assert refused(attempt) == "not-authorized"


def test_it_ends_in_time_and_only_who_had_it_learns_that() -> None:
    world = World(lifetime=1000)
    token = world.tokens.issue(ALICE, "phone", NONE)
    world.now = 1000
    assert refused(lambda: world.try_with(token)) == "credentials-expired"
    assert refused(lambda: world.try_with(Token(b"guess", NONE, 1e9))) == "not-authorized"
    assert world.tokens.clients(ALICE) == []
    world.tokens.sweep()
    assert refused(lambda: world.try_with(token)) == "not-authorized"


def test_an_old_token_is_replaced_and_holds_until_the_new_one_is_used() -> None:
    world = World(lifetime=1000)
    old = world.tokens.issue(ALICE, "phone", NONE)
    world.now = 501
    first = world.try_with(old).replacement
    assert first is not None
    second = world.try_with(old).replacement  # the answer was lost
    assert second is not None
    assert refused(lambda: world.try_with(first)) == "not-authorized"
    assert world.try_with(second).replacement is None
    assert refused(lambda: world.try_with(old)) == "not-authorized"
    assert world.try_with(second)


def test_a_count_is_used_once() -> None:
    world = World()
    token = world.tokens.issue(ALICE, "phone", NONE)
    assert world.try_with(token, count="0")
    assert refused(lambda: world.try_with(token, count="0")) == "not-authorized"
    assert world.try_with(token, count="7")
    assert refused(lambda: world.try_with(token, count="3")) == "not-authorized"
    assert world.try_with(token)
    for bad in ("", "-1", "x", "٣", "12345678901"):
        assert refused(lambda bad=bad: world.try_with(token, count=bad)) == "malformed-request"  # type: ignore[misc]


def test_a_client_that_logs_out_has_none_left_but_one_it_asks_for() -> None:
    world = World(lifetime=1000)
    token = world.tokens.issue(ALICE, "phone", NONE)
    world.now = 900
    assert world.try_with(token, invalidate=True).replacement is None
    assert refused(lambda: world.try_with(token)) == "not-authorized"
    token = world.tokens.issue(ALICE, "phone", NONE)
    other = world.try_with(token, invalidate=True, wanted=ENDP).replacement
    assert other is not None
    assert other.mechanism == ENDP
    assert refused(lambda: world.try_with(token)) == "not-authorized"


def test_revoked_and_forgotten() -> None:
    world = World()
    phone, desk = (world.tokens.issue(ALICE, client, NONE) for client in ("phone", "desk"))
    bob = world.tokens.issue(BOB, "phone", NONE)
    assert sorted(world.tokens.clients(ALICE)) == ["desk", "phone"]
    assert world.tokens.revoke(ALICE, "phone")
    assert not world.tokens.revoke(ALICE, "phone")
    assert refused(lambda: world.try_with(phone)) == "not-authorized"
    assert world.try_with(desk, client="desk")
    world.tokens.forget(ALICE)
    assert refused(lambda: world.try_with(desk, client="desk")) == "not-authorized"
    assert world.try_with(bob, account=BOB)
    world.tokens.forget(ALICE)


def test_ever_new_clients_push_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CLIENTS_PER_ACCOUNT", 3)
    monkeypatch.setattr(tokens, "CLIENTS_AT_MOST", 4)
    world = World()
    for client in ("1", "2", "3", "1", "4"):
        world.tokens.issue(ALICE, client, NONE)
    assert sorted(world.tokens.clients(ALICE)) == ["1", "3", "4"]
    world.tokens.issue(BOB, "5", NONE)
    world.tokens.issue(BOB, "6", NONE)
    assert sorted(world.tokens.clients(ALICE) + world.tokens.clients(BOB)) == ["1", "4", "5", "6"]


def test_switched_off() -> None:
    assert World(lifetime=0).tokens.mechanisms(CHANNEL) == ()
    assert World().tokens.mechanisms(CHANNEL) == (ENDP, NONE)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_stay_as_long_as_one_client_has_a_token() -> None:
    world = World()
    for client in ("phone", "desk"):
        world.tokens.issue(ALICE, client, NONE)
    world.log_out()
    assert world.unlocked == ["alice"]
    world.tokens.revoke(ALICE, "phone")
    assert world.unlocked == ["alice"]
    world.tokens.revoke(ALICE, "desk")
    assert world.unlocked == []


def test_they_go_with_the_password() -> None:
    world = World()
    world.tokens.issue(ALICE, "phone", NONE)
    world.log_out()
    world.tokens.forget(ALICE)
    assert world.unlocked == []


def test_they_go_when_the_last_token_ends_without_anybody_asking() -> None:
    world = World(lifetime=86_400)
    world.tokens.issue(ALICE, "phone", NONE)
    world.now = 100
    world.tokens.issue(ALICE, "desk", NONE)
    world.tokens.issue(BOB, "desk", NONE)
    world.log_out()
    world.pass_time(86_399)
    assert world.unlocked == ["alice", "bob"]
    world.pass_time(86_499)
    assert world.unlocked == ["alice", "bob"]
    world.pass_time(86_502)
    assert world.unlocked == []
    assert world.timers.next_at() is None
    world.tokens.issue(ALICE, "phone", NONE)
    assert world.timers.next_at() is not None


def test_a_token_that_is_replaced_in_time_keeps_them() -> None:
    world = World(lifetime=1000)
    token = world.tokens.issue(ALICE, "phone", NONE)
    world.pass_time(900)
    assert world.try_with(token).replacement is not None
    world.log_out()
    world.pass_time(1800)
    assert world.unlocked == ["alice"]
    world.pass_time(1902)
    assert world.unlocked == []


def test_a_clock_that_is_set_forward_is_noticed_soon() -> None:
    world = World(lifetime=86_400)
    world.tokens.issue(ALICE, "phone", NONE)
    world.log_out()
    world.skew = 90_000
    world.pass_time(601)
    assert world.unlocked == []


def test_they_go_with_a_client_that_is_pushed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CLIENTS_AT_MOST", 1)
    world = World()
    world.tokens.issue(ALICE, "phone", NONE)
    world.tokens.issue(BOB, "phone", NONE)
    world.log_out()
    assert world.unlocked == ["bob"]


def test_a_token_of_an_account_that_is_locked_holds_nothing() -> None:
    world = World()
    world.log_out()
    token = world.tokens.issue(ALICE, "phone", NONE)
    assert world.try_with(token).account == ALICE
    assert world.unlocked == []
    assert world.tokens.revoke(ALICE, "phone")
