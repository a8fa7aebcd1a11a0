"""What an account keeps, through slixmpp's own plugins: vCard, avatar, bookmarks, password, commands; and a guest who
comes with an invitation, spoken by hand, since slixmpp has no plugin for that."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import subprocess
import sys
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import pytest
from quickstart_world import DOMAIN, PASSWORD, WAIT, Friend, Home
from slixmpp import JID

PICTURE = b"\x89PNG\r\n\x1a\n not much of a picture"
NEW = "another horse, another battery"


def friend(name: str, home: Home) -> Friend:
    client = Friend(name, home, direct=True)
    for number in (
        "0004",
        "0048",
        "0049",
        "0050",
        "0054",
        "0060",
        "0077",
        "0084",
        "0092",
        "0153",
        "0163",
        "0202",
        "0402",
    ):
        client.register_plugin(f"xep_{number}")
    return client


def plugin(client: Friend, name: str) -> Any:
    """slixmpp's plugins are partly typed."""
    plugins: Any = client.plugin
    return plugins[name]


async def keeps(home: Home) -> None:
    alice = friend("alice", home)
    try:
        async with asyncio.timeout(WAIT):
            await alice.dial()
            alice.send_presence()
            card = plugin(alice, "xep_0054").make_vcard()
            card["FN"] = "Alice"
            await plugin(alice, "xep_0054").publish_vcard(card)
            avatars = plugin(alice, "xep_0084")
            await avatars.publish_avatar(PICTURE)
            name = hashlib.sha1(PICTURE, usedforsecurity=False).hexdigest()
            await avatars.publish_avatar_metadata({"id": name, "type": "image/png", "bytes": str(len(PICTURE))})
            shown = (await plugin(alice, "xep_0054").get_vcard(JID(alice.boundjid.bare)))["vcard_temp"]
            assert shown["FN"] == "Alice"
            assert shown["PHOTO"]["BINVAL"] == PICTURE
            await bookmarks(alice)
            version = (await plugin(alice, "xep_0092").get_version(DOMAIN))["software_version"]
            assert (version["name"], version["os"]) == ("Quietwire", "")
            time = (await plugin(alice, "xep_0202").get_entity_time(DOMAIN))["entity_time"]
            assert time.xml.findtext("{urn:xmpp:time}tzo") == "+00:00"
            given = await plugin(alice, "xep_0050").get_commands(DOMAIN)
            assert [item[1] for item in given["disco_items"]["items"]] == ["urn:xmpp:invite#invite"]
            assert await invite(alice) != ""
            await plugin(alice, "xep_0077").change_password(NEW, DOMAIN)
    finally:
        await alice.disconnect()
    again = friend("alice", home)
    again.password = NEW
    try:
        async with asyncio.timeout(WAIT):
            await again.dial()
            await plugin(again, "xep_0077").change_password(PASSWORD, DOMAIN)
    finally:
        await again.disconnect()


async def bookmarks(client: Friend) -> None:
    """What is kept in the new way is there in the old one."""
    conference: Any = plugin(client, "xep_0402").stanza.Conference()
    conference["name"], conference["autojoin"] = "The Play", True
    await plugin(client, "xep_0060").publish(
        JID(client.boundjid.bare), "urn:xmpp:bookmarks:1", id="theplay@rooms.example", payload=conference.xml
    )
    listed = await plugin(client, "xep_0048").get_bookmarks(method="xep_0049")
    [room] = listed["private"]["bookmarks"]["conferences"]
    assert (str(room["jid"]), room["name"], room["autojoin"]) == ("theplay@rooms.example", "The Play", True)


async def invite(client: Friend) -> str:
    """The link that the command makes."""
    answer: Any = client.make_iq_set(ito=DOMAIN)
    answer["command"]["node"] = "urn:xmpp:invite#invite"
    answer["command"]["action"] = "execute"
    done = await answer.send()
    return str(done["command"]["form"]["values"]["uri"])


def test_what_an_account_keeps(home: Home) -> None:
    asyncio.run(keeps(home))


async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str, until: str) -> str:
    writer.write(text.encode())
    heard = ""
    while not re.search(until, heard):
        heard += (await reader.read(65_536)).decode()
        assert heard, "the stream was closed"
    return heard


async def comes(home: Home, token: str, name: str) -> str:
    """A guest registers over a stream of its own. -> the answer."""
    context = ssl.create_default_context(cafile=str(home.authority))
    reader, writer = await asyncio.open_connection("127.0.0.1", home.direct, ssl=context, server_hostname=DOMAIN)
    header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    features = await says(reader, writer, f"{header} to='{DOMAIN}' version='1.0'>", "</stream:features>")
    assert "urn:xmpp:ibr-token:0" in features
    preauth = f"<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>"
    answer = await says(reader, writer, preauth, "id='p'")
    if "type='result'" in answer:
        fields = f"<username>{name}</username><password>{NEW}</password>"
        register = f"<iq type='set' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>"
        answer = await says(reader, writer, register, "id='r'")
    writer.close()
    return answer


def test_a_guest_comes_by_invitation_and_goes(home: Home) -> None:
    command = (sys.executable, "-m", "quietwire", "invite", "--plain", "--config", str(home.folder / "quietwire.toml"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=True)
    token = done.stdout.strip().rpartition("preauth=")[2]

    async def scene() -> None:
        async with asyncio.timeout(WAIT):
            assert "type='result'" in await comes(home, token, "guest")
            assert "type='error'" in await comes(home, token, "other")
            guest = friend("guest", home)
            guest.password = NEW
            await guest.dial()
            await plugin(guest, "xep_0077").cancel_registration(DOMAIN)
            stranger = friend("guest", home)
            stranger.password = NEW
            refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            stranger.add_event_handler("failed_all_auth", refused.set_result)
            stranger.dial()
            await refused
            await asyncio.gather(guest.disconnect(), stranger.disconnect())

    asyncio.run(scene())


def test_a_guest_registers_in_the_browser(home: Home) -> None:
    command = (sys.executable, "-m", "quietwire", "invite", "--plain", "--config", str(home.folder / "quietwire.toml"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=True)
    page = done.stdout.splitlines()[0]
    opener = build_opener(
        ProxyHandler({}), HTTPSHandler(context=ssl.create_default_context(cafile=str(home.authority)))
    )
    with opener.open(page, timeout=WAIT) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "<form method=" in answer.read().decode()
    form = urlencode({"name": "Visitor", "password": NEW, "again": NEW}).encode()
    with opener.open(page, form, timeout=WAIT) as answer:
        assert f"visitor@{DOMAIN}" in answer.read().decode()
    with pytest.raises(HTTPError, match="404"):
        opener.open(page, timeout=WAIT)

    async def scene() -> None:
        visitor = friend("visitor", home)
        visitor.password = NEW
        async with asyncio.timeout(WAIT):
            await visitor.dial()
        await visitor.disconnect()

    asyncio.run(scene())
