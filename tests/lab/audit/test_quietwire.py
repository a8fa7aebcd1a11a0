from __future__ import annotations

from pathlib import Path

import pytest
from vault import ANNA, BEN, KEY, MONTH, Vault

from quietwire.lab.audit import quietwire
from quietwire.lab.audit.facts import Facts
from quietwire.seal.server_key import RawKey
from quietwire.seal.wraps import SealError


def test_without_the_key_there_are_numbers_only_but_for_what_lies_in_the_clear(tmp_path: Path) -> None:
    rows = quietwire.rows_of(Vault(tmp_path).path)
    facts = Facts()
    left = quietwire.observe(rows, facts, None, (), "db")
    assert {category for category, count in facts.counts().items() if count} == {"contacts"}
    assert facts.of("contacts")[0].who == ANNA.decode()
    assert (left.accounts, left.rooms) == (2, 1)
    assert left.clear == {"old_roster": 1}
    assert left.counts["sealed"] == {8: 2}
    assert left.sizes["sealed"] == {253: 16}
    assert left.months == {"2026-11": 2}
    assert left.guessed == []


def test_with_the_key_what_is_under_it_and_names_that_were_guessed(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    rows = quietwire.rows_of(vault.path)
    facts = Facts()
    guesses = [BEN.decode(), "eve@x.example"]
    left = quietwire.observe(rows, facts, quietwire.keys_of(rows, KEY), guesses, "db")
    assert left.guessed == ["ben@x.example: account, push, item, sealed"]
    accounts = {fact.what for fact in facts.of("accounts")}
    assert BEN.decode() in accounts
    assert len(accounts) == 2
    assert ANNA.decode() not in accounts
    assert facts.of("push")[0].who == BEN.decode()
    assert facts.of("devices")[0].who == BEN.decode()
    assert [(fact.what, fact.more) for fact in facts.of("members")] == [(BEN.decode(), "2 Benny")]
    first, second = facts.of("messages")
    assert (first.who, first.what) == (BEN.decode(), "den@m.example")
    assert first.more == "2026-11-21T11:10:39+00:00 Moles!"
    assert second.more == "Voles!"
    assert any(b"Moles!" in content for _, content in facts.opened)


def test_what_an_owner_has_under_the_servers_key(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    found = quietwire.rows_of(vault.path)
    assert quietwire.opened(found, vault.keys, "account", BEN.decode()) == [(b"credentials", b"verifiers")]
    assert quietwire.opened(found, vault.keys, "account", "eve@x.example") == []


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    rows = quietwire.rows_of(Vault(tmp_path).path)
    with pytest.raises(SealError):
        quietwire.keys_of(rows, RawKey(bytes(32)))
    with pytest.raises(SealError, match="no key block"):
        quietwire.keys_of([row for row in rows if row.table != "server"], KEY)


def test_rows_in_the_order_in_which_they_were_put_on_a_page(tmp_path: Path) -> None:
    rows = [row for row in quietwire.rows_of(Vault(tmp_path).path) if row.table == "push"]
    assert [(row.order, row.sealed) for row in rows] == [(0, True)]


def test_months_of_keys() -> None:
    assert quietwire.month(b"S" + MONTH + bytes(16)) == "2026-11"
    assert quietwire.month(b"S" + bytes(15)) == ""
    assert quietwire.month(bytes(19)) == ""


@pytest.mark.parametrize(("owner", "named"), [(ANNA, True), (b"x.example", True), (b"\xff" * 16, False), (b"", False)])
def test_names_and_hashes(owner: bytes, named: bool) -> None:
    assert quietwire.named(owner) == named
