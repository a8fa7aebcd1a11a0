"""What comes, in its order, and no more than there is room for."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from omemo_world import ALICE, BOB
from town import Run, Town, adapter_of, forged, next_of

from quietwire.client import events, inbox, parts
from quietwire.client.errors import RequestError
from quietwire.client.inbox import Inbox
from quietwire.client.parts import Parts
from quietwire.core import ns
from quietwire.core.xml import Element, build
from quietwire.shaping.policy import Policy


def test_a_message_is_acknowledged_once_it_is_on_disk(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "hi")
        assert adapter_of(bob).open == 1  # delivered, not yet read
        await next_of(bob, events.Message)
        await asyncio.sleep(0)
        assert adapter_of(bob).open == 0
        assert len(bob.history(ALICE)) == 1

    town(test)


def test_presence_and_errors_are_told(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        forged(alice, f"<presence from='{BOB}' type='subscribe'/>")
        forged(alice, f"<presence from='{BOB}' type='subscribed'/>")
        forged(alice, f"<presence from='{BOB}/r'/>")
        forged(alice, f"<presence from='{ALICE}/other'/>")
        forged(alice, f"<presence from='{BOB}/r' type='unavailable'/>")
        condition = f"<error><remote-server-not-found xmlns='{ns.STANZAS}'/></error>"
        forged(alice, f"<message from='{BOB}' id='9' type='error'>{condition}</message>")
        assert (await next_of(alice, events.SubscriptionRequest)).jid == BOB
        assert (await next_of(alice, events.Subscribed)).jid == BOB
        assert (await next_of(alice, events.Available)).available
        assert not (await next_of(alice, events.Available)).available
        assert await next_of(alice, events.Failed) == events.Failed(
            peer=BOB, id="9", condition="remote-server-not-found"
        )

    town(test)


def test_a_flood_ends_the_session_not_the_memory(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MAX_INBOX", 3)
    monkeypatch.setattr(parts, "MAX_EVENTS", 2)

    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        await next_of(alice, events.Connected)
        await asyncio.sleep(0)
        for number in range(4):
            forged(alice, f"<message from='{BOB}' id='{number}'><body>x</body></message>")
        assert await next_of(alice, events.LinkLost)
        for number in range(5):
            alice._parts.tell(events.Resumed(resent=number))
        assert [(await next_of(alice, events.Resumed)).resent for _ in range(2)] == [3, 4]

    town(test)


@pytest.mark.parametrize("failures", [inbox.READ_ATTEMPTS - 1, inbox.READ_ATTEMPTS])
def test_what_the_network_keeps_from_being_read_is_tried_again_and_then_told(failures: int) -> None:
    class Broken:
        tries = 0

        async def read(self, stanza: Element) -> None:
            self.tries += 1
            if self.tries <= failures:
                raise RequestError("remote-server-timeout")

    class Calm:
        async def calm(self) -> None:
            return

    async def run() -> None:
        shared = Parts(ALICE, Policy(), clock=lambda: 0.0, random=bytes)
        shared.adapter = cast(Any, Calm())
        made, done = Inbox(shared), asyncio.Event()
        made.reader = cast(Any, reader)
        made.came(build(f"{{{ns.CLIENT}}}message", {"from": f"{BOB}/r", "id": "1"}), done.set)
        work = asyncio.ensure_future(made.work())
        for _ in range(5):
            await asyncio.sleep(0)
        assert reader.tries == 0  # there is no session
        shared.linked.set()
        await done.wait()
        work.cancel()
        told = [shared.events.get_nowait() for _ in range(shared.events.qsize())]
        lost = events.Undecryptable(sender=BOB, id="1", reason="unknown-device")
        assert told == ([lost] if failures == inbox.READ_ATTEMPTS else [])

    reader = Broken()
    asyncio.run(run())
    assert reader.tries == inbox.READ_ATTEMPTS
