from __future__ import annotations

import asyncio
from pathlib import Path

from omemo_world import ALICE, BOB, world
from twomemo.twomemo import KeyExchangeImpl

from quietwire.client.omemo_xml import read_message
from quietwire.client.ratchets import KEPT_SESSIONS, same_exchange


def test_a_session_can_be_put_away_and_used_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            ratchets = alice.omemo._ratchets
            assert await ratchets.current(BOB, bob.omemo.device) is None
            await alice.write(BOB, b"one")
            first = await ratchets.current(BOB, bob.omemo.device)
            assert first is not None
            await alice.write(BOB, b"two")
            assert await ratchets.current(BOB, bob.omemo.device) != first
            await ratchets.use(BOB, bob.omemo.device, first)
            assert await ratchets.current(BOB, bob.omemo.device) == first

    asyncio.run(run())


def test_old_sessions_are_bounded(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            ratchets = (await w.device(ALICE, "a")).omemo._ratchets
            assert await ratchets.superseded(BOB, 1) == []
            await ratchets.keep(BOB, 1, [{"initiation": str(number)} for number in range(9)])
            kept = await ratchets.superseded(BOB, 1)
            assert [old["initiation"] for old in kept] == [str(number) for number in range(KEPT_SESSIONS)]

    asyncio.run(run())


def test_a_repeated_key_exchange_is_recognised(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            first, second = await alice.write(BOB, b"one"), await alice.write(BOB, b"two")
            await bob.read(first, alice)
            session = await bob.omemo._ratchets.current(ALICE, alice.omemo.device)
            assert session is not None
            message = read_message(second, ALICE, BOB, bob.omemo.device)
            exchange = next(key[1] for key in message.keys)
            assert isinstance(exchange, KeyExchangeImpl)
            ephemeral = session["key_exchange/ephemeral_key"]
            assert same_exchange(session, exchange, ephemeral)
            assert not same_exchange(session, exchange, "other")
            assert not same_exchange(session | {"initiation": "ACTIVE"}, exchange, ephemeral)

    asyncio.run(run())


def test_spent_prekeys_are_forgotten_in_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(tmp_path) as w:
            alice, bob = await w.device(ALICE, "a"), await w.device(BOB, "b")
            await bob.read(await alice.write(BOB, b"one"), alice)
            ratchets = bob.omemo._ratchets
            assert len(await ratchets._spent()) == 1
            await ratchets.forget_spent()
            assert len(await ratchets._spent()) == 1
            w.now += 3601
            await ratchets.forget_spent()
            assert await ratchets._spent() == []

    asyncio.run(run())
