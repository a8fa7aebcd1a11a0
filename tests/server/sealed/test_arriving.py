from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import Later, drive
from quietwire.server.account import Account
from quietwire.server.roster import Roster
from quietwire.server.sealed import arriving
from quietwire.server.sealed.arriving import DOMAIN, FOREIGN, LONGEST, PRESENCE, SENDER, TABLE, TOTAL, Arrivals
from quietwire.server.sealed.findings import Findings
from quietwire.server.sealed.seals import Sealed
from quietwire.store.memory import MemoryStorage
from quietwire.testing.assembly import Slow
from quietwire.testing.safe import PlainSafe

ALICE = parse_jid("alice@a.example")
BOB = parse_jid("bob@b.example")


class Porch:
    """Arrivals of one server, whose account gets contents applied as text."""

    def __init__(self, storage: MemoryStorage | None = None, generation: int = 1) -> None:
        numbers = count(generation << 32)
        # Keys are in no order.
        self.storage = storage or MemoryStorage(lambda size: (2**64 - next(numbers)).to_bytes(size, "big"))
        self.store = Slow(self.storage)
        self.safe = PlainSafe()
        self.notes: list[str] = []
        self.arrivals = Arrivals(
            self.store,
            self.safe,
            "a.example",
            lambda size: (2**64 - next(numbers)).to_bytes(size, "big"),
            Findings(lambda event, **facts: self.notes.append(f"{event} {facts}"), lambda owner: owner),
        )
        self.applied: list[str] = []
        self.arrivals.appliers[PRESENCE] = lambda account, content: self.apply(content.decode())
        self.run(self.arrivals.open(generation))

    def apply(self, content: str) -> None:
        self.applied.append(content)

    @staticmethod
    def run(work: Any) -> None:
        ended: list[BaseException | None] = []
        drive(work, lambda _, error: ended.append(error))
        if ended and ended[0] is not None:
            raise ended[0]

    def keep(self, content: str, sender: JID = BOB) -> bool:
        return self.arrivals.keep(ALICE, PRESENCE, sender, content.encode())

    def settle(self) -> list[str]:
        self.applied = []
        self.run(self.arrivals.settle(Account(ALICE, Roster())))
        return self.applied

    @property
    def kept(self) -> int:
        return len(self.storage.scan(TABLE, ALICE.text.encode()).result())


class Saving(Porch):
    """What is applied is stored."""

    def apply(self, content: str) -> None:
        self.storage.put("roster", b"alice", b"bob", content.encode())


def test_in_order_and_once() -> None:
    porch = Porch()
    for number in range(SENDER):
        assert porch.keep(str(number))
    assert porch.kept == SENDER
    assert porch.settle() == [str(number) for number in range(SENDER)]
    assert porch.kept == 0
    assert porch.settle() == []


def test_in_order_over_restarts_whatever_the_clock_says() -> None:
    porch = Porch()
    porch.keep("first")
    porch.storage.commit()
    again = Porch(porch.storage.crash(), generation=2)
    again.keep("second")
    assert again.settle() == ["first", "second"]


def test_a_crash_leaves_either_what_waits_or_what_came_of_it() -> None:
    porch = Porch()
    porch.keep("x")
    porch.storage.commit()
    Saving(porch.storage).settle()
    before = porch.storage.crash()
    assert len(before.scan(TABLE, ALICE.text.encode()).result()) == 1
    assert before.scan("roster", b"alice").result() == []
    Saving(before).settle()
    before.commit()
    after = before.crash()
    assert after.scan(TABLE, ALICE.text.encode()).result() == []
    assert len(after.scan("roster", b"alice").result()) == 1


def test_what_comes_while_it_is_read_and_what_comes_of_it_is_applied_too() -> None:
    porch = Porch()
    porch.keep("first")
    porch.store.held = True
    account: Later[None] = Later()
    drive(porch.arrivals.settle(Account(ALICE, Roster())), lambda _, error: account.resolve(None))
    porch.keep("second")

    def apply(content: str) -> None:
        porch.applied.append(content)
        if content == "second":
            porch.keep("third", parse_jid("carol@a.example"))

    porch.apply = apply  # type: ignore[method-assign]
    assert not account.settled
    porch.store.release()
    assert account.settled
    assert porch.applied == ["first", "second", "third"]
    assert porch.kept == 0


def test_who_has_nothing_that_waits_costs_no_read() -> None:
    porch = Porch()
    porch.storage.scan = lambda *_, **__: pytest.fail("a read")  # type: ignore[method-assign]
    assert porch.settle() == []


def test_the_same_again_is_not_kept_again() -> None:
    porch = Porch()
    assert [porch.keep(text) for text in ("a", "a", "b", "a")] == [True] * 4
    assert porch.settle() == ["a", "b", "a"]
    assert porch.keep("a")
    assert porch.settle() == ["a"]  # it was applied, and is news again


def people(domain: str) -> Callable[[int], JID]:
    return lambda number: parse_jid(f"u{number}@{domain}")


def test_limits() -> None:
    porch = Porch()
    assert not porch.keep("x" * (LONGEST + 1))
    assert [porch.keep(str(number)) for number in range(SENDER + 1)] == [True] * SENDER + [False]
    theirs = people("c.example")
    assert [porch.keep("x", theirs(number)) for number in range(DOMAIN + 1)] == [True] * DOMAIN + [False]
    left = FOREIGN - DOMAIN - SENDER
    others = [porch.keep("x", parse_jid(f"u@d{number}.example")) for number in range(left + 1)]
    assert others == [True] * left + [False]
    ours = people("a.example")
    assert [porch.keep("x", ours(n)) for n in range(TOTAL - FOREIGN + 1)] == [True] * (TOTAL - FOREIGN) + [False]
    assert porch.kept == TOTAL
    assert len(porch.settle()) == TOTAL
    assert porch.keep("x")


def test_what_waited_before_a_start_is_counted_without_being_opened() -> None:
    porch = Porch()
    for number in range(TOTAL - FOREIGN):
        porch.keep("x", people("a.example")(number))
    porch.storage.commit()
    again = Porch(porch.storage.crash(), generation=2)
    again.safe.locked.add(ALICE.text.encode())
    kept = [again.keep("y", people("a.example")(number)) for number in range(FOREIGN + 1)]
    assert kept == [True] * FOREIGN + [False]


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_not_kept_waits_for_a_commit_as_well(refused: bool) -> None:
    porch = Porch()
    porch.storage.commit()
    if refused:
        assert not porch.keep("x" * (LONGEST + 1))
    else:
        porch.arrivals.pretend(parse_jid("nobody@a.example"))
    assert porch.storage.latest is not None
    assert porch.storage.owners(TABLE).result() == []


def test_a_damaged_row_costs_the_others_nothing_and_is_reported() -> None:
    porch = Porch()
    porch.keep("x")
    porch.storage.put(TABLE, ALICE.text.encode(), b"k", b"damaged")
    porch.keep("y")
    assert porch.settle() == ["x", "y"]
    assert porch.notes == ["sealed-rows-isolated {'count': '1'}"]
    assert porch.kept == 1
    porch.keep("z")
    assert porch.settle() == ["z"]


def test_what_cannot_be_done_is_over() -> None:
    porch = Porch()

    def refuse(account: Account, content: bytes) -> None:
        raise StanzaError("resource-constraint")

    porch.arrivals.appliers[arriving.BEFRIEND] = refuse
    porch.arrivals.keep(ALICE, arriving.BEFRIEND, BOB, b"bob@b.example")
    porch.keep("x")
    assert porch.settle() == ["x"]
    assert porch.kept == 0


def test_what_nobody_understands_shuts_no_account() -> None:
    porch = Porch()

    def stumble(account: Account, content: bytes) -> None:
        raise ValueError("not what this version writes")

    porch.arrivals.appliers[arriving.BEFRIEND] = stumble
    porch.arrivals.keep(ALICE, arriving.BEFRIEND, BOB, b"bob@b.example")
    porch.arrivals.keep(ALICE, 99, BOB, b"of a later version")
    porch.keep("x")
    assert porch.settle() == ["x"]
    assert porch.kept == 2
    assert porch.notes == ["sealed-rows-isolated {'count': '2'}"]


def test_who_is_locked_meanwhile_loses_nothing() -> None:
    porch = Porch()

    def refuse(account: Account, content: bytes) -> None:
        raise Sealed

    porch.arrivals.appliers[arriving.BEFRIEND] = refuse
    porch.arrivals.keep(ALICE, arriving.BEFRIEND, BOB, b"bob@b.example")
    with pytest.raises(Sealed):
        porch.settle()
    assert porch.kept == 1


def test_an_erased_account_has_no_past() -> None:
    porch = Porch()
    for number in range(SENDER):
        porch.keep(str(number))
    porch.arrivals.forget(ALICE.text.encode())
    assert porch.keep("x")
