from __future__ import annotations

import pytest

from quietwire.core.later import Later, Ticket, all_of, drive, settled


def test_a_value_that_is_there() -> None:
    told: list[str] = []
    later = Later.of(3)
    later.when_settled(lambda: told.append("now"))
    assert (later.result(), told) == (3, ["now"])


def test_waiters_are_told_in_order_and_once() -> None:
    later: Later[int] = Later()
    told: list[int] = []
    for number in range(3):
        later.when_settled(lambda number=number: told.append(number))  # type: ignore[misc]
    with pytest.raises(RuntimeError, match="not there yet"):
        later.result()
    later.resolve(1)
    assert told == [0, 1, 2]
    with pytest.raises(RuntimeError, match="twice"):
        later.resolve(2)


def test_failure() -> None:
    later: Later[int] = Later()
    later.fail(KeyError("x"))
    with pytest.raises(KeyError):
        later.result()


def test_tickets_settle_once_and_may_be_told_again() -> None:
    ticket, told = Ticket(), []
    ticket.when_settled(lambda: told.append(1))
    ticket.settle()
    ticket.settle()
    ticket.when_settled(lambda: told.append(2))
    assert (ticket.settled, told) == (True, [1, 2])


async def _sum(*laters: Later[int]) -> int:
    return sum([await later for later in laters])


def test_drive_to_the_end_at_once() -> None:
    outcome: list[object] = []
    assert drive(_sum(Later.of(1), Later.of(2)), lambda *both: outcome.append(both))
    assert outcome == [(3, None)]


def test_drive_goes_on_by_itself() -> None:
    first, second, outcome = Later[int](), Later[int](), []
    assert not drive(_sum(first, second), lambda *both: outcome.append(both))
    second.resolve(2)
    assert outcome == []
    first.resolve(1)
    assert outcome == [(3, None)]


def test_errors_reach_the_coroutine_and_then_done() -> None:
    later, outcome = Later[int](), []

    async def careful() -> int:
        try:
            return await later
        except KeyError:
            raise ValueError from None

    drive(careful(), lambda value, error: outcome.append((value, type(error))))
    later.fail(KeyError())
    assert outcome == [(None, ValueError)]


def test_a_foreign_awaitable_is_a_bug() -> None:
    class Foreign:
        def __await__(self):  # type: ignore[no-untyped-def]
            yield "not a Later"

    async def wrong() -> None:
        await Foreign()

    with pytest.raises(TypeError, match="ports return Later"):
        drive(wrong(), lambda value, error: None)


def test_many_that_are_there_do_not_deepen_the_stack() -> None:
    outcome: list[object] = []
    drive(_sum(*[Later.of(1)] * 10_000), lambda *both: outcome.append(both))
    assert outcome == [(10_000, None)]


def test_all_of_several_tickets() -> None:
    first, second, done = Ticket(), Ticket(), Ticket()
    done.settle()
    assert all_of([]) is None
    assert all_of([done]) is None
    assert all_of([done, first]) is first
    joint = all_of([first, second, done])
    assert joint is not None
    first.settle()
    assert not joint.settled
    second.settle()
    assert joint.settled


def test_all_of_very_many_tickets() -> None:
    tickets = [Ticket() for _ in range(10_000)]  # of a room with as many servers
    joint = all_of(tickets)
    assert joint is not None
    for ticket in tickets:
        ticket.settle()
    assert joint.settled


def test_a_ticket_is_awaited_as_a_later() -> None:
    ticket = Ticket()
    later = settled(ticket)
    assert not later.settled
    ticket.settle()
    assert later.settled
    assert settled(ticket).settled
