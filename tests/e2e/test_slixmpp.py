"""slixmpp, a client library of others, over both ports: login, roster, presence, messages, acknowledgements."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from quickstart_world import DOMAIN, WAIT, Friend, Home
from slixmpp import JID
from slixmpp.exceptions import IqError


def inbox(client: Friend) -> asyncio.Queue[Any]:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    client.add_event_handler("message", queue.put_nowait)
    return queue


async def talk(home: Home, direct: bool) -> None:
    alice, bob = Friend("alice", home, direct=direct), Friend("bob", home, direct=not direct)
    for_alice, for_bob = inbox(alice), inbox(bob)
    there = asyncio.get_running_loop().create_future()

    def seen(presence: Any) -> None:
        if presence["from"] == alice.boundjid and not there.done():
            there.set_result(presence)

    bob.add_event_handler("presence_available", seen)
    try:
        async with asyncio.timeout(WAIT):
            await asyncio.gather(alice.dial(), bob.dial())
            for client in (alice, bob):
                await client.get_roster()
                await client.plugin["xep_0280"].enable()
                client.send_presence()
            info = await alice.plugin["xep_0030"].get_info(jid=JID(DOMAIN))
            assert "urn:xmpp:carbons:2" in info["disco_info"]["features"]
            assert alice.plugin["xep_0198"].enabled_out, "stream management is on"
            alice.send_presence(pto=bob.boundjid.full)
            await there
            for number in range(50):
                alice.send_message(JID(bob.boundjid.bare), f"there {number} <&>", mtype="chat")
                bob.send_message(alice.boundjid, f"here {number} é😀", mtype="chat")
            for number in range(50):
                assert (await for_bob.get())["body"] == f"there {number} <&>"
                assert (await for_alice.get())["body"] == f"here {number} é😀"
            assert await alice.plugin["xep_0199"].ping(bob.boundjid, timeout=WAIT) >= 0
    finally:
        for client in (alice, bob):
            await client.disconnect()


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_two_clients_talk(home: Home, direct: bool) -> None:
    asyncio.run(talk(home, direct))


def test_a_wrong_password_is_refused(home: Home) -> None:
    async def scene() -> None:
        stranger = Friend("alice", home)
        stranger.password = "wrong"
        refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        stranger.add_event_handler("failed_all_auth", refused.set_result)
        stranger.dial()
        async with asyncio.timeout(WAIT):
            await refused
        await stranger.disconnect()

    asyncio.run(scene())


def test_a_user_sees_and_ends_their_clients(home: Home) -> None:
    """XEP-0494, as slixmpp asks for it."""

    async def scene() -> None:
        phone, desk = Friend("alice", home, direct=True), Friend("alice", home)
        phone.requested_jid.resource = "phone"
        phone.register_plugin("xep_0494")
        try:
            async with asyncio.timeout(WAIT):
                await phone.dial()
                (own,) = await phone.plugin["xep_0494"].get_clients()
                await desk.dial()
                clients = await phone.plugin["xep_0494"].get_clients()
                assert [client["connected"] for client in clients] == [True, True]
                (other,) = {client["id"] for client in clients} - {own["id"]}
                gone = asyncio.get_running_loop().create_future()
                desk.add_event_handler("disconnected", gone.set_result)
                with pytest.raises(IqError) as refused:  # who logged in with the password can come again
                    await phone.plugin["xep_0494"].revoke(other)
                assert refused.value.condition == "service-unavailable"
                await gone
        finally:
            for client in (phone, desk):
                await client.disconnect()

    asyncio.run(scene())
