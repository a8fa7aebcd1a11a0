"""Two accounts with two devices each on a foreign server: everything that can be said, cuts, and a lost session."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from foreign_server import PASSWORD, Server

from quietwire.client import events
from quietwire.client.core import Client, Settings
from quietwire.client.errors import LinkError, LoginError, NoDevices, StoreError
from quietwire.client.trust import Decision, Trust

pytestmark = pytest.mark.peer

ALICE, BOB = "alice@a.example", "bob@b.example"
T = TypeVar("T", bound=events.Event)


class Actor:
    """A client whose events are collected, so that a test waits for what it expects instead of sleeping."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seen: list[events.Event] = []
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async for event in self.client.events():
            async with self._changed:
                self.seen.append(event)
                self._changed.notify_all()

    async def until(self, satisfied: Callable[[], bool]) -> None:
        try:
            async with self._changed, asyncio.timeout(60):
                await self._changed.wait_for(satisfied)
        except TimeoutError:
            raise AssertionError(f"after 60 s {[type(event).__name__ for event in self.seen]}") from None

    def all(self, kind: type[T]) -> list[T]:
        return [event for event in self.seen if isinstance(event, kind)]

    async def first(self, kind: type[T]) -> T:
        await self.until(lambda: bool(self.all(kind)))
        return self.all(kind)[0]

    def texts(self) -> list[str]:
        return [event.text for event in self.all(events.Message)]

    def sent(self) -> list[events.Encrypted]:
        return [event.what for event in self.all(events.Sent)]

    async def close(self) -> None:
        await self.client.close()
        await self._task


def settings(server: Server, jid: str, store: Path, *, starttls: bool = False) -> Settings:
    return Settings(
        jid=jid,
        password=PASSWORD,
        store=store,
        passphrase="open sesame",
        address=("127.0.0.1", server.starttls if starttls else server.direct),
        direct_tls=not starttls,
        ca_file=server.ca_file,
    )


async def world(server: Server, folder: Path) -> list[Actor]:
    """alice on direct TLS, bob on STARTTLS, two devices each, subscribed to each other."""
    clients = [
        Client(settings(server, jid, folder / f"{jid}-{number}", starttls=jid == BOB))
        for jid in (ALICE, BOB)
        for number in (1, 2)
    ]
    await asyncio.gather(*(client.connect() for client in clients))
    actors = [Actor(client) for client in clients]
    alice, _, bob, _ = actors
    if not alice.client.roster():
        for asking, answering in ((alice, bob), (bob, alice)):
            await asking.client.subscribe(answering.client.jid)
            await answering.first(events.SubscriptionRequest)
            await answering.client.accept(asking.client.jid)
            await asking.first(events.Subscribed)
    # Until its notification has arrived, a new device is unknown, and gets nothing: nobody can promise otherwise.
    everybody = {client.device for client in clients}
    for actor in actors:
        await actor.until(
            lambda actor=actor: (  # type: ignore[misc]
                everybody <= {actor.client.device, *(event.device for event in actor.all(events.DeviceAnnounced))}
            )
        )
    return actors


async def close(actors: list[Actor]) -> None:
    await asyncio.gather(*(actor.close() for actor in actors))


def test_everything_that_can_be_said_reaches_all_devices_once(
    prosody: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        actors = await world(prosody, tmp_path)
        alice, alice2, bob, bob2 = actors
        # Both first messages at once: each builds sessions that the other one's replace.
        hello, hi = await asyncio.gather(
            alice.client.send_text(BOB, "hello bob"), bob.client.send_text(ALICE, "hello alice")
        )
        for actor in (alice, alice2, bob, bob2):
            await actor.first(events.Message)
        await bob.client.send_receipt(ALICE, hello)
        await bob.client.send_displayed(ALICE, hello)
        await alice.client.send_chat_state(BOB, "composing")
        reaction = await alice.client.send_reaction(BOB, hi, ["👍", "🎉"])
        fixed = await alice.client.send_correction(BOB, hello, "hello, Bob")
        await bob.client.send_reply(ALICE, fixed, "better")
        await alice.client.send_retraction(BOB, hello)
        for reader in (alice, alice2):
            assert (await reader.first(events.Receipt)).ref == hello
            assert (await reader.first(events.Displayed)).ref == hello
            reply = await reader.first(events.Reply)
            assert (reply.ref, reply.text, reply.sender, reply.device) == (fixed, "better", BOB, bob.client.device)
            assert reply.trust is Trust.BLIND
        for reader in (bob, bob2):
            assert (await reader.first(events.ChatState)).state == "composing"
            assert (await reader.first(events.Reaction)).emojis == ("👍", "🎉")
            assert (await reader.first(events.Correction)).text == "hello, Bob"
            assert (await reader.first(events.Retraction)).ref == hello
            assert reader.texts() == ["hello bob"]
        kinds = Counter(type(event).__name__ for event in alice2.sent())
        assert kinds == Counter(Message=1, ChatState=1, Reaction=1, Correction=1, Retraction=1)
        assert {event.peer for event in alice2.sent()} == {BOB}
        assert [event.id for event in alice2.sent() if isinstance(event, events.Reaction)] == [reaction]
        assert not any(actor.all(events.Undecryptable) or actor.all(events.Unencrypted) for actor in actors)
        kept = Counter(type(event).__name__ for event in bob.client.history(ALICE))
        assert kept == Counter(Sent=2, Message=1, Reaction=1, Correction=1, Retraction=1)
        await close(actors)

    asyncio.run(run())
    logged = caplog.text
    assert "hello bob" not in logged
    assert PASSWORD not in logged
    assert "<message" not in logged
    assert "alice@" not in logged


def test_a_cut_loses_nothing_and_doubles_nothing(prosody: Server, tmp_path: Path) -> None:
    async def run() -> None:
        actors = await world(prosody, tmp_path)
        alice, alice2, bob, bob2 = actors
        expected = [f"message {number}" for number in range(20)]
        for number, text in enumerate(expected):
            await alice.client.send_text(BOB, text)
            if number == 7:
                alice.client.drop_link()  # what was just written may or may not have left
            if number == 13:
                bob.client.drop_link()  # the server keeps what it cannot deliver
        for reader in (bob, bob2):
            await reader.until(lambda reader=reader: len(reader.texts()) >= len(expected))  # type: ignore[misc]
            assert reader.texts() == expected
        await alice.first(events.Resumed)
        await bob.first(events.Resumed)
        assert await alice.client.drained()
        await alice2.until(lambda: len(alice2.sent()) >= len(expected))
        assert [event.text for event in alice2.sent() if isinstance(event, events.Message)] == expected
        assert not alice.all(events.Connected)[1:]
        await close(actors)

    asyncio.run(run())


def test_a_lost_session_sends_what_was_not_acknowledged_again(prosody: Server, tmp_path: Path) -> None:
    async def run() -> None:
        actors = await world(prosody, tmp_path)
        alice, _, bob, bob2 = actors
        await alice.client.send_text(BOB, "before")
        assert await alice.client.drained()
        # The server does not know this session, as after its restart: it answers <failed/>, and slixmpp would forget.
        assert alice.client._parts.adapter is not None
        alice.client._parts.adapter._sm_id = "no such session"
        await alice.client.send_text(BOB, "perhaps written")
        alice.client.drop_link()
        await alice.first(events.LinkLost)
        await alice.client.send_text(BOB, "certainly not written")
        await alice.until(lambda: len(alice.all(events.Connected)) == 2)
        assert alice.all(events.Connected)[1].resent >= 1
        assert await alice.client.drained()
        await alice.client.send_text(BOB, "after")
        expected = ["before", "perhaps written", "certainly not written", "after"]
        for reader in (bob, bob2):
            await reader.until(lambda reader=reader: "after" in reader.texts())  # type: ignore[misc]
            assert reader.texts() == expected
            assert not reader.all(events.Undecryptable)
        await close(actors)

    asyncio.run(run())


def test_state_survives_a_restart_and_new_devices_are_announced(prosody: Server, tmp_path: Path) -> None:
    async def run() -> None:
        carol = Client(settings(prosody, "carol@b.example", tmp_path / "carol"))
        dave = Client(settings(prosody, "dave@a.example", tmp_path / "dave"))
        await carol.connect()
        await dave.connect()
        reader = Actor(dave)
        await carol.send_text(dave.jid, "one")
        assert (await reader.first(events.Message)).text == "one"
        shown = await carol.devices(dave.jid)
        assert [device.trust for device in shown] == [Trust.BLIND]
        verified = await carol.decide(dave.jid, shown[0].fingerprint.upper(), Decision.VERIFIED)
        assert verified.trust is Trust.VERIFIED
        number = carol.device
        await carol.close()

        again = Client(settings(prosody, "carol@b.example", tmp_path / "carol"))
        await again.connect()
        assert again.device == number
        writer = Actor(again)
        await again.send_text(dave.jid, "two")
        await reader.until(lambda: reader.texts() == ["one", "two"])
        assert [event.what.text for event in again.history(dave.jid)] == ["one", "two"]  # type: ignore[attr-defined]

        # A device that appears after verification is not trusted blindly, and is shown as undecided.
        second = Client(settings(prosody, "dave@a.example", tmp_path / "dave2"))
        await second.connect()
        announced = await reader.first(events.DeviceAnnounced)
        assert announced.jid in (dave.jid, again.jid)
        await second.send_text(again.jid, "from a new device")
        message = await writer.first(events.Message)
        assert (message.text, message.trust) == ("from a new device", Trust.UNDECIDED)
        await again.decide(dave.jid, shown[0].fingerprint, Decision.DISTRUSTED)
        with pytest.raises(NoDevices):
            await again.send_text(dave.jid, "for nobody")
        await second.close()
        await reader.close()
        await writer.close()

    asyncio.run(run())


def test_failures_are_one_line(prosody: Server, tmp_path: Path) -> None:
    async def failure(wanted: Settings) -> str:
        with pytest.raises((LinkError, LoginError, StoreError)) as caught:
            await Client(wanted).connect(15)
        return str(caught.value)

    async def run() -> None:
        good = settings(prosody, "dave@a.example", tmp_path / "dave")
        fields = dict(vars(good))
        assert "does not accept" in await failure(Settings(**fields | {"password": "wrong"}))
        assert "certificate" in await failure(Settings(**fields | {"ca_file": None}))
        plain = {"address": ("127.0.0.1", prosody.starttls), "direct_tls": False, "ca_file": None}
        assert "certificate" in await failure(Settings(**fields | plain))
        assert "TLS" in await failure(Settings(**fields | {"address": ("127.0.0.1", prosody.starttls)}))
        assert "nobody answers" in await failure(Settings(**fields | {"address": ("127.0.0.1", 1)}))
        assert "wrong passphrase" in await failure(Settings(**fields | {"passphrase": "another"}))
        first = Client(good)
        await first.connect()
        assert "another process" in await failure(good)
        await first.close()

    asyncio.run(run())
