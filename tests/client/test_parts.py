"""What a client's parts share: nothing before it is there, nothing after its end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from quietwire.client import events, parts
from quietwire.client.adapter import Adapter
from quietwire.client.errors import ClientError, StoreError
from quietwire.client.parts import Parts
from quietwire.shaping.policy import Policy, Profile


class Link:
    dropped = closed = False

    def drop_link(self) -> None:
        self.dropped = True

    async def close(self) -> None:
        self.closed = True


def made(policy: Policy = Policy()) -> Parts:  # noqa: B008 - frozen
    return Parts("a@a.example", policy, clock=lambda: 0.0, random=bytes)


def all_of(found: Parts) -> list[Any]:
    return [found.events.get_nowait() for _ in range(found.events.qsize())]


def test_what_is_not_there_is_said_so() -> None:
    async def run() -> None:
        found = made()
        for part in ("store", "link", "keys"):
            with pytest.raises(ClientError, match="not connected"):
                getattr(found, part)
        link = Link()
        found.adapter = cast(Adapter, link)
        assert found.link is found.adapter
        await found.end()
        assert link.closed
        with pytest.raises(ClientError, match="not connected"):
            _ = found.link
        assert all_of(found) == [None]

    asyncio.run(run())


def test_only_steady_links_tick() -> None:
    assert made().tick == made(Policy(Profile.PADDED)).tick == 0.0
    assert made(Policy(Profile.STEADY, tick=6.0)).tick == 6.0


def test_the_oldest_events_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_EVENTS", 2)
    found = made()
    for number in range(5):
        found.tell(events.Resumed(resent=number))
    assert all_of(found) == [events.Resumed(resent=3), events.Resumed(resent=4)]


@pytest.mark.parametrize(
    ("error", "said"),
    [(StoreError("it cannot be written"), "it cannot be written"), (KeyError("secret"), "KeyError")],
)
def test_a_task_that_fails_ends_the_link_and_says_no_more_than_it_may(error: Exception, said: str) -> None:
    async def run() -> None:
        found, link = made(), Link()
        found.adapter = cast(Adapter, link)

        async def fail() -> None:
            raise error

        found.spawn(fail())
        found.spawn(asyncio.Event().wait())
        while not link.dropped:  # noqa: ASYNC110 - its turns
            await asyncio.sleep(0)
        assert len(found.tasks) == 1
        await found.end()
        assert not found.tasks
        assert all_of(found) == [events.Disconnected(reason=said), None]

    asyncio.run(run())
