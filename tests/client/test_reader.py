"""What is not believed, though it came."""

from __future__ import annotations

from omemo_world import ALICE, BOB
from town import Run, Town, adapter_of, forged, next_of

from quietwire.client import events


def test_a_typing_notice_that_was_kept_says_nothing(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_chat_state(BOB, "composing")
        assert (await next_of(bob, events.ChatState)).state == "composing"
        t.server.late = True
        await alice.send_chat_state(BOB, "composing")
        await alice.send_text(BOB, "it was long ago")
        came = await next_of(bob, events.ChatState | events.Message)
        assert isinstance(came, events.Message)
        assert came.text == "it was long ago"

    town(test)


def test_corrections_and_retractions_by_the_wrong_side_are_ignored(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        id = await alice.send_text(BOB, "mine")
        await next_of(bob, events.Message)
        await bob.send_correction(ALICE, id, "forged")
        await bob.send_retraction(ALICE, id)
        await bob.send_text(ALICE, "end")
        seen = []
        async for event in alice.events():
            seen.append(type(event).__name__)
            if isinstance(event, events.Message):
                break
        assert "Correction" not in seen
        assert "Retraction" not in seen
        await alice.send_correction(BOB, id, "mine, corrected")
        assert (await next_of(bob, events.Correction)).text == "mine, corrected"

    town(test)


def test_what_should_be_inside_is_not_read_outside(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        forged(alice, f"<message from='{BOB}/r' id='1'><received xmlns='urn:xmpp:receipts' id='x'/></message>")
        forged(alice, f"<message from='{BOB}/r' id='2'><envelope xmlns='urn:xmpp:sce:1'/></message>")
        forged(alice, f"<message from='{BOB}/r' id='3'><body>in the clear</body></message>")
        event = await next_of(alice, events.Unencrypted)
        assert (event.id, event.text, event.sender) == ("3", "in the clear", BOB)

    town(test)


def test_another_account_cannot_take_a_message_for_its_own(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "hi")
        await next_of(bob, events.Message)
        await alice.send_text(BOB, "copied")
        stanza = t.server.passed[-1]
        await next_of(bob, events.Message)
        stanza.set("from", "mallory@c.example/r")
        adapter_of(bob).deliver(stanza)
        event = await next_of(bob, events.Undecryptable)
        assert (event.sender, event.reason) == ("mallory@c.example", "unknown-device")

    town(test)
