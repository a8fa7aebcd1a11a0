"""The traps of OMEMO on an asynchronous library, each with the conversation that falls into it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from omemo_world import ALICE, BOB, world

from quietwire.client.errors import NoDevices, RequestError
from quietwire.client.omemo2 import Duplicate, Unreadable
from quietwire.client.omemo_xml import BUNDLES, DEVICES, NS, is_empty, read_devices
from quietwire.client.trust import Decision, Policy, Trust


def test_what_one_says_all_devices_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, alice2 = await w.device(ALICE, "a1"), await w.device(ALICE, "a2")
            bob, bob2 = await w.device(BOB, "b1"), await w.device(BOB, "b2")
            await alice.refresh(ALICE)
            sent = await alice.write(BOB, b"hello")
            for reader in (bob, bob2, alice2):
                found = await reader.read(sent, alice)
                assert (found.plaintext, found.device, found.trust) == (b"hello", alice.omemo.device, Trust.BLIND)

    asyncio.run(run())


def test_concurrent_messages_do_not_break_the_ratchet(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            w.nodes.gate.clear()  # all wait for the network at once
            writing = [asyncio.ensure_future(alice.write(BOB, b"%d" % number)) for number in range(10)]
            for _ in range(50):
                await asyncio.sleep(0)
            w.nodes.gate.set()
            sent = await asyncio.gather(*writing)
            read = [await bob.read(message, alice) for message in sent]
            assert [found.plaintext for found in read] == [b"%d" % number for number in range(10)]

    asyncio.run(run())


def test_a_message_is_one_transaction(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            await alice.refresh(BOB)
            statements: list[str] = []
            for device in (alice, bob):
                device.database._connection.set_trace_callback(statements.append)
            async with alice.omemo.turn() as turn:
                sent = await turn.encrypt(BOB, b"x")
            writing, statements[:] = list(statements), []
            await bob.read(sent, alice)
            for seen in (writing, statements):
                assert seen.count("COMMIT") == 1
                assert sum(1 for statement in seen if statement.startswith("INSERT")) > 10

    asyncio.run(run())


def test_a_failed_turn_leaves_no_trace(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            await bob.read(await alice.write(BOB, b"one"), alice)

            async def fail() -> None:
                async with alice.omemo.turn() as turn:
                    await turn.encrypt(BOB, b"never sent")
                    raise RuntimeError

            with pytest.raises(RuntimeError):
                await fail()
            assert (await bob.read(await alice.write(BOB, b"two"), alice)).plaintext == b"two"

    asyncio.run(run())


def test_first_messages_that_cross_are_both_read_and_so_are_all_that_follow(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            # Several each way before anything arrives: each side has a session the other one replaces by its own.
            from_alice = [await alice.write(BOB, b"a%d" % number) for number in range(3)]
            from_bob = [await bob.write(ALICE, b"b%d" % number) for number in range(3)]
            for number in range(3):
                assert (await bob.read(from_alice[number], alice)).plaintext == b"a%d" % number
                assert (await alice.read(from_bob[number], bob)).plaintext == b"b%d" % number
            for number in range(5):
                crossing = await alice.write(BOB, b"x%d" % number), await bob.write(ALICE, b"y%d" % number)
                assert (await bob.read(crossing[0], alice)).plaintext == b"x%d" % number
                assert (await alice.read(crossing[1], bob)).plaintext == b"y%d" % number
            for to, empty in [*alice.empties, *bob.empties]:
                assert is_empty(empty)
                reader, writer = (bob, alice) if to == BOB else (alice, bob)
                assert (await reader.read(empty, writer)).plaintext is None

    asyncio.run(run())


def test_two_who_pick_the_same_prekey_are_both_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            bob = await w.device(BOB, "b")
            bundle = w.nodes.items[BOB, BUNDLES][str(bob.omemo.device)]
            prekeys = bundle.find(f"{{{NS}}}prekeys")
            assert prekeys is not None
            for spare in list(prekeys)[1:]:
                prekeys.remove(spare)
            alice, alice2 = await w.device(ALICE, "a1"), await w.device(ALICE, "a2")
            first, second = await alice.write(BOB, b"first"), await alice2.write(BOB, b"second")
            assert (await bob.read(first, alice)).plaintext == b"first"
            assert (await bob.read(second, alice2)).plaintext == b"second"
            w.now += 3601
            late = await (await w.device(ALICE, "a3")).write(BOB, b"late")
            with pytest.raises(Unreadable, match="broken"):
                await bob.read(late, alice)

    asyncio.run(run())


def test_a_second_copy_is_known_as_such(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            for text in (b"one", b"two"):
                sent = await alice.write(BOB, text)
                await bob.read(sent, alice)
                with pytest.raises(Duplicate):
                    await bob.read(sent, alice)

    asyncio.run(run())


def test_messages_out_of_order_are_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            sent = [await alice.write(BOB, b"%d" % number) for number in range(4)]
            assert [(await bob.read(sent[number], alice)).plaintext for number in (2, 0, 3, 1)] == [
                b"2",
                b"0",
                b"3",
                b"1",
            ]

    asyncio.run(run())


def test_devices_are_announced_once_and_shown_undecided_after_a_verification(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b1")
            await alice.write(BOB, b"x")
            await alice.write(BOB, b"y")
            assert [(d.device, d.trust, changed) for d, changed in alice.announced] == [
                (bob.omemo.device, Trust.BLIND, False)
            ]
            async with alice.omemo.turn() as turn:
                await turn.decide(BOB, bob.omemo.device, Decision.VERIFIED)
            intruder = await w.device(BOB, "b2")
            sent = await alice.write(BOB, b"for b1 alone")
            assert alice.announced[1][0].trust is Trust.UNDECIDED
            assert (await bob.read(sent, alice)).plaintext == b"for b1 alone"
            with pytest.raises(Unreadable, match="not-for-this-device"):
                await intruder.read(sent, alice)
            found = await alice.read(await intruder.write(ALICE, b"hi"), intruder)
            assert (found.plaintext, found.trust) == (b"hi", Trust.UNDECIDED)

    asyncio.run(run())


def test_distrusted_devices_neither_read_nor_are_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            await alice.write(BOB, b"x")
            async with alice.omemo.turn() as turn:
                await turn.decide(BOB, bob.omemo.device, Decision.DISTRUSTED)
            with pytest.raises(NoDevices):
                await alice.write(BOB, b"y")
            with pytest.raises(Unreadable, match="distrusted"):
                await alice.read(await bob.write(ALICE, b"z"), bob)

    asyncio.run(run())


def test_with_manual_trust_nothing_is_said_before_verification(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a", Policy.MANUAL), await w.device(BOB, "b")
            with pytest.raises(NoDevices):
                await alice.write(BOB, b"x")
            assert (await alice.read(await bob.write(ALICE, b"z"), bob)).trust is Trust.UNDECIDED

    asyncio.run(run())


def test_an_identity_key_that_changes_is_announced_and_not_used(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            await alice.refresh(BOB)  # the key is known, no session yet
            mallory = await w.device("mallory@c.example", "m")
            forged = w.nodes.items["mallory@c.example", BUNDLES][str(mallory.omemo.device)]
            w.nodes.items[BOB, BUNDLES][str(bob.omemo.device)] = forged
            with pytest.raises(NoDevices):
                await alice.write(BOB, b"x")
            device, changed = alice.announced[-1]
            assert (device.jid, device.device, changed) == (BOB, bob.omemo.device, True)
            assert device.fingerprint != alice.announced[0][0].fingerprint

    asyncio.run(run())


def test_a_removed_device_gets_nothing_and_puts_itself_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            bob, bob2 = await w.device(BOB, "b1"), await w.device(BOB, "b2")
            alice = await w.device(ALICE, "a")
            listed = w.nodes.items[BOB, DEVICES]["current"]
            listed.remove(next(item for item in listed if item.get("id") == str(bob2.omemo.device)))
            sent = await alice.write(BOB, b"x")
            with pytest.raises(Unreadable):
                await bob2.read(sent, alice)
            async with bob2.omemo.turn() as turn:
                await turn.update(BOB, listed)
            assert set(read_devices(w.nodes.items[BOB, DEVICES]["current"])) == {bob.omemo.device, bob2.omemo.device}

    asyncio.run(run())


def test_a_device_is_the_same_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            await bob.read(await alice.write(BOB, b"one"), alice)
            number = alice.omemo.device
            await w.close(alice)
            alice = await w.device(ALICE, "a")
            assert alice.omemo.device == number
            assert (await bob.read(await alice.write(BOB, b"two"), alice)).plaintext == b"two"
            assert len(w.nodes.items[ALICE, BUNDLES]) == 1

    asyncio.run(run())


def test_a_used_prekey_leaves_the_published_bundle(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")

            def published() -> set[str | None]:
                bundle = w.nodes.items[BOB, BUNDLES][str(bob.omemo.device)]
                return {key.text for key in bundle.iter(f"{{{NS}}}pk")}

            before = published()
            await bob.read(await alice.write(BOB, b"x"), alice)
            assert bob.omemo.bundle_stale.is_set()
            await bob.omemo.publish_bundle()
            assert len(before - published()) == 1
            assert len(published()) == 100
            w.nodes.items[BOB, BUNDLES].clear()
            await bob.omemo.check_published()
            assert len(published()) == 100

    asyncio.run(run())


def test_nobody_there_and_nothing_reachable(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice = await w.device(ALICE, "a")
            with pytest.raises(NoDevices):
                await alice.write("nobody@b.example", b"x")
            with pytest.raises(NoDevices):
                await alice.write(ALICE, b"to myself, and there is no other device")
            w.nodes.broken = True
            with pytest.raises(RequestError):
                await alice.write(BOB, b"x")

    asyncio.run(run())


def test_a_message_that_the_network_kept_from_being_read_is_read_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            sent = await alice.write(BOB, b"x")
            w.nodes.broken = True
            with pytest.raises(RequestError):
                await bob.read(sent, alice)
            w.nodes.broken = False
            assert (await bob.read(sent, alice)).plaintext == b"x"

    asyncio.run(run())


def test_what_is_not_from_the_claimed_account_is_not_read(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            mallory = await w.device("mallory@c.example", "m")
            sent = await alice.write(BOB, b"x")
            with pytest.raises(Unreadable, match="unknown-device"):
                await bob.read(sent, mallory)

    asyncio.run(run())


def test_the_libraries_log_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            await bob.read(await alice.write(BOB, b"whispered"), alice)

    asyncio.run(run())
    assert not [record for record in caplog.records if record.name.split(".")[0] in ("omemo", "twomemo")]
    assert "whispered" not in caplog.text
