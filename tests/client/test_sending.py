"""What is said on a server in memory: what it sees, what survives, and what waits for company."""

from __future__ import annotations

import asyncio

import pytest
from omemo_world import ALICE, BOB
from town import FakeAdapter, Run, Town, acquainted, adapter_of, kill, next_of, payload_sizes, seen_of, told

from quietwire.client import device_lists, events, gathered, receipts
from quietwire.client.errors import ClientError, NoDevices
from quietwire.client.omemo_xml import DEVICES
from quietwire.client.trust import Decision


def test_the_server_sees_nothing_but_envelopes_of_one_size(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        first = await alice.send_text(BOB, "meet me at noon")
        assert (await next_of(bob, events.Message)).text == "meet me at noon"
        t.server.passed.clear()
        await bob.send_text(ALICE, "yes")  # by now both sides have a session: no key exchange in the way
        await next_of(alice, events.Message)
        t.server.passed.clear()
        await alice.send_chat_state(BOB, "composing")
        await alice.send_receipt(BOB, first)
        await alice.send_displayed(BOB, first)
        await alice.send_reaction(BOB, first, ["👍"])
        await alice.send_text(BOB, "a somewhat longer text than the others")
        shapes = [[child.tag for child in stanza] for stanza in t.server.passed]
        encrypted, hints = "{urn:xmpp:omemo:2}encrypted", "{urn:xmpp:hints}"
        assert shapes == [[encrypted, f"{hints}store"]] * 5
        sizes = {len(stanza.findtext(f"{encrypted}/{{urn:xmpp:omemo:2}}payload", "")) for stanza in t.server.passed}
        assert len(sizes) == 1
        assert {frozenset(stanza.keys()) for stanza in t.server.passed} == {frozenset({"to", "type", "id", "from"})}

    town(test)


def test_what_was_not_acknowledged_survives_the_program(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "one")
        await next_of(bob, events.Message)
        adapter_of(alice).drop_link()
        assert await next_of(alice, events.LinkLost)
        await alice.send_text(BOB, "two")
        await alice.send_chat_state(BOB, "composing")
        assert not await alice.drained(0)
        await kill(t, alice)
        again = await t.move_in(ALICE, "a")
        assert (await next_of(bob, events.Message)).text == "two"
        assert await again.drained(0)

    town(test)


def test_nobody_to_read_it_is_an_error_and_nothing_is_sent(town: Run) -> None:
    async def test(t: Town) -> None:
        alice = await t.move_in(ALICE, "a")
        t.server.passed.clear()
        with pytest.raises(NoDevices):
            await alice.send_text(BOB, "hi")
        with pytest.raises(ClientError, match="not an address"):
            await alice.send_text("@", "hi")
        assert t.server.passed == []
        assert alice.history(BOB) == []

    town(test)


def test_a_full_link_pushes_back_and_keeps_the_order(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob = await t.move_in(ALICE, "a"), await t.move_in(BOB, "b")
        await alice.send_text(BOB, "first")
        await next_of(bob, events.Message)
        adapter_of(alice).full.clear()
        sending = [asyncio.ensure_future(alice.send_text(BOB, str(number))) for number in range(20)]
        before = len(t.server.passed)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(task.done() for task in sending)
        assert len(t.server.passed) == before
        adapter_of(alice).full.set()
        await asyncio.gather(*sending)
        assert [(await next_of(bob, events.Message)).text for _ in range(20)] == [str(number) for number in range(20)]

    town(test)


def test_on_a_steady_link_receipts_and_markers_go_with_the_next_text_and_do_not_show(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        held = await bob.send_receipt(ALICE, ids[0])
        assert await bob.send_receipt(ALICE, ids[1]) == held == await bob.send_displayed(ALICE, ids[0])
        assert seen_of(t, BOB) == []
        assert await bob.send_text(ALICE, "thanks") == held
        assert await told(alice, events.Message) == [
            ("Receipt", ids[0]),
            ("Receipt", ids[1]),
            ("Displayed", ids[0]),
            ("Message", "thanks"),
        ]
        other = await bob.send_text(ALICE, "nothing goes with this one")
        assert other != held
        assert len(set(payload_sizes(t, BOB))) == 1
        assert len(seen_of(t, BOB)) == 2
        assert [stanza.get("id") for stanza in seen_of(t, BOB)] == [held, other]
        kept = [type(event).__name__ for event in bob.history(ALICE)]
        assert kept == ["Message", "Message", "Sent", "Sent", "Sent"]

    town(test)


def test_on_a_steady_link_what_asks_for_receipts_is_short(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, _ = await acquainted(t)
        await bob.send_text(ALICE, "x" * 200)
        await bob.send_text(ALICE, "hello")
        for _ in range(2):
            message = await next_of(alice, events.Message)
            assert (message.wants_receipt, message.markable) == (True, True)
        assert len(set(payload_sizes(t, BOB))) == 1
        adapter_of(bob).steady = False
        await bob.send_text(ALICE, "x" * 200)
        assert (await next_of(alice, events.Message)).wants_receipt
        assert len(set(payload_sizes(t, BOB))) == 2

    town(test)


def test_what_could_not_go_with_a_text_waits_for_another_message(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        held = await bob.send_receipt(ALICE, ids[0])
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.DISTRUSTED)
        with pytest.raises(NoDevices):
            await bob.send_text(ALICE, "not sent")
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.VERIFIED)
        assert await bob.send_text(ALICE, "x" * 200) != held
        assert await bob.send_reaction(ALICE, ids[0], ["👍"]) == held
        assert await told(alice, events.Reaction) == [
            ("Message", "x" * 200),
            ("Receipt", ids[0]),
            ("Reaction", ids[0]),
        ]
        assert len(set(payload_sizes(t, BOB))) == 1

    town(test)


def test_without_a_text_all_that_waits_goes_in_one_stanza(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "SECONDS", 0.01)

    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t, 3)
        for id in ids:
            await bob.send_receipt(ALICE, id)
        assert await bob.send_displayed(ALICE, ids[2])
        assert await told(alice, events.Displayed) == [*(("Receipt", id) for id in ids), ("Displayed", ids[2])]
        assert len(seen_of(t, BOB)) == 1
        await bob.send_displayed(ALICE, ids[0])
        assert await told(alice, events.Displayed) == [("Displayed", ids[0])]

    town(test)


def test_no_more_than_eight_wait(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t, receipts.MAX_HELD + 1)
        first = [await bob.send_receipt(ALICE, id) for id in ids[:-1]]
        assert seen_of(t, BOB) == []
        assert await bob.send_receipt(ALICE, ids[-1]) != first[0]
        assert [stanza.get("id") for stanza in seen_of(t, BOB)] == first[:1] == list(set(first))
        assert [(await next_of(alice, events.Receipt)).ref for _ in first] == ids[:-1]

    town(test)


def test_what_waits_survives_the_program_and_a_wished_end_sends_it(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t, 3)
        held = await bob.send_receipt(ALICE, ids[0])
        await kill(t, bob)
        assert seen_of(t, BOB) == []
        bob = await t.move_in(BOB, "b")
        receipt = await next_of(alice, events.Receipt)
        assert (receipt.ref, receipt.id) == (ids[0], held)
        adapter_of(bob).steady = True
        await bob.send_receipt(ALICE, ids[1])
        await bob.close()
        assert (await next_of(alice, events.Receipt)).ref == ids[1]
        bob = await t.move_in(BOB, "b")
        adapter_of(bob).steady = True
        await bob.send_receipt(ALICE, ids[2])
        assert await bob.send_text(ALICE, "nothing is said twice")
        assert await told(alice, events.Message) == [("Receipt", ids[2]), ("Message", "nothing is said twice")]

    town(test)


def test_to_who_does_not_read_several_in_one_each_goes_at_once(town: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(t: Town) -> None:
        monkeypatch.setattr(gathered, "marked", lambda content: False)  # alice's client is none of ours
        alice, bob, ids = await acquainted(t)
        assert await bob.send_receipt(ALICE, ids[0]) != await bob.send_displayed(ALICE, ids[0])
        assert len(seen_of(t, BOB)) == 2
        assert await told(alice, events.Displayed) == [("Receipt", ids[0]), ("Displayed", ids[0])]
        monkeypatch.undo()
        monkeypatch.setattr(FakeAdapter, "server", t.server, raising=False)
        await alice.send_text(BOB, "now it is")
        await next_of(bob, events.Message)
        await bob.send_receipt(ALICE, "an id unlike ours")
        assert len(seen_of(t, BOB)) == 3
        await bob.send_receipt(ALICE, ids[1])
        assert len(seen_of(t, BOB)) == 3

    town(test)


def test_a_device_that_does_not_read_several_in_one_gets_each_apart_of_what_waited(
    town: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        held = await bob.send_receipt(ALICE, ids[0])
        await bob.send_displayed(ALICE, ids[0])
        await bob.send_receipt(ALICE, ids[1])
        monkeypatch.setattr(device_lists, "FRESH_SECONDS", -1.0)
        second = await t.move_in(ALICE, "a2")
        await bob.send_text(ALICE, "to both of you")
        assert await told(second, events.Message) == [("Message", "to both of you")]
        await bob._sender._try_to_notify(ALICE)
        sent = [stanza.get("id") for stanza in seen_of(t, BOB)][-3:]
        assert held in sent
        for reader in (alice, second):
            found = [(await next_of(reader, events.Receipt | events.Displayed)) for _ in range(3)]
            assert [(type(event).__name__, event.ref) for event in found] == [
                ("Receipt", ids[0]),
                ("Displayed", ids[0]),
                ("Receipt", ids[1]),
            ]
            assert [event.id for event in found] == sent

    town(test)


def test_under_other_profiles_each_goes_at_once_and_nobody_to_read_it_is_no_end(town: Run) -> None:
    async def test(t: Town) -> None:
        alice, bob, ids = await acquainted(t)
        await bob.send_receipt(ALICE, ids[0])
        del t.server.nodes.items[ALICE, DEVICES]
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.DISTRUSTED)
        await bob._sender._try_to_notify(ALICE)
        assert seen_of(t, BOB) == []
        await bob.decide(ALICE, (await bob.devices(ALICE))[0].fingerprint, Decision.VERIFIED)
        assert bob._sender._receipts.peers(bob._parts.store.batch()) == []
        adapter_of(bob).steady = False
        await bob.send_receipt(ALICE, ids[1])
        await bob.send_displayed(ALICE, ids[1])
        assert len(seen_of(t, BOB)) == 2
        assert await told(alice, events.Displayed) == [("Receipt", ids[1]), ("Displayed", ids[1])]

    town(test)
