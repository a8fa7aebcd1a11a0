"""A room as others' client library knows it: made, configured, entered on invitation, talked in, read again."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from quickstart_world import DOMAIN, WAIT, Friend, Home
from slixmpp import JID

SERVICE = f"conference.{DOMAIN}"
ROOM = JID(f"kitchen@{SERVICE}")
DEVICES = "urn:xmpp:omemo:2:devices"
USER = "{http://jabber.org/protocol/muc#user}"


def guest(name: str, home: Home) -> Friend:
    client = Friend(name, home)
    for plugin in ("xep_0030", "xep_0045", "xep_0060", "xep_0249", "xep_0313", "xep_0421", "xep_0163"):
        client.register_plugin(plugin)
    return client


def queue(client: Friend, event: str) -> asyncio.Queue[Any]:
    found: asyncio.Queue[Any] = asyncio.Queue()
    client.add_event_handler(event, found.put_nowait)
    return found


def real_addresses(presences: list[Any]) -> set[str]:
    return {
        JID(item.get("jid")).bare
        for presence in presences
        for item in presence.xml.iter(f"{USER}item")
        if item.get("jid")
    }


async def publish_devices(client: Friend) -> None:
    devices = Element("{urn:xmpp:omemo:2}devices")
    SubElement(devices, "{urn:xmpp:omemo:2}device", {"id": "7"})
    form = client.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    form.add_field("pubsub#access_model", value="open")
    await client.plugin["xep_0060"].publish(None, DEVICES, id="current", payload=devices, options=form)


async def scene(home: Home) -> None:
    alice, bob = guest("alice", home), guest("bob", home)
    invited, heard = queue(bob, "groupchat_invite"), queue(alice, "groupchat_message")
    rooms, theirs = alice.plugin["xep_0045"], bob.plugin["xep_0045"]
    try:
        async with asyncio.timeout(WAIT):
            await asyncio.gather(alice.dial(), bob.dial())
            for client in (alice, bob):
                await client.get_roster()
                client.send_presence()
            await publish_devices(bob)
            items = await alice.plugin["xep_0030"].get_items(jid=JID(DOMAIN))
            assert SERVICE in {str(item[0]) for item in items["disco_items"]["items"]}

            # made and configured: only members, hidden, kept
            own, subject, _, history = await rooms.join_muc_wait(ROOM, "Alice", maxstanzas=0, timeout=WAIT)
            assert {110, 201} <= own["muc"]["status_codes"]
            assert not subject["subject"]
            assert history == []
            form = await rooms.get_room_config(ROOM)
            values = form.get_values()
            assert values["muc#roomconfig_membersonly"]
            assert not values["muc#roomconfig_publicroom"]
            form.set_type("submit")
            form.set_values({"muc#roomconfig_roomname": "Kitchen", "muc#roomconfig_persistentroom": True})
            await rooms.set_room_config(ROOM, form)
            hidden = await bob.plugin["xep_0030"].get_items(jid=JID(SERVICE))
            assert not hidden["disco_items"]["items"]

            # invited, entered, heard
            rooms.invite(ROOM, JID(bob.boundjid.bare), reason="Tea?")
            invitation = await invited.get()
            assert invitation["from"] == ROOM
            _, _, occupants, _ = await theirs.join_muc_wait(ROOM, "Bob", timeout=WAIT)
            assert real_addresses(occupants) >= {alice.boundjid.bare}
            bob.send_message(ROOM, "hello", mtype="groupchat")
            message = await heard.get()
            assert (message["mucnick"], message["body"]) == ("Bob", "hello")
            assert message["occupant-id"]["id"]
            assert await bob.plugin["xep_0199"].ping(JID(f"{ROOM}/Bob"), timeout=WAIT) >= 0

            # what an encrypting client needs of the others: who they are, and their devices
            lists = [await theirs.get_affiliation_list(ROOM, each) for each in ("owner", "admin", "member")]
            known = {str(address) for found in lists for address in found}
            assert known == {alice.boundjid.bare, bob.boundjid.bare}
            devices = await alice.plugin["xep_0060"].get_items(JID(bob.boundjid.bare), DEVICES)
            assert devices.xml.find(".//{urn:xmpp:omemo:2}device") is not None

            # left and read again
            theirs.leave_muc(ROOM, "Bob")
            alice.send_message(ROOM, "still there?", mtype="groupchat")
            await heard.get()
            archived = []
            async for each in bob.plugin["xep_0313"].iterate(jid=ROOM, total=10):
                archived.append(each["mam_result"]["forwarded"]["stanza"]["body"])
            assert archived == ["hello", "still there?"]
            _, _, _, history = await theirs.join_muc_wait(ROOM, "Bob", timeout=WAIT)
            assert [message["body"] for message in history] == ["hello", "still there?"]
            await rooms.destroy(ROOM)
    finally:
        for client in (alice, bob):
            await client.disconnect()


def test_a_room(home: Home) -> None:
    asyncio.run(scene(home))
