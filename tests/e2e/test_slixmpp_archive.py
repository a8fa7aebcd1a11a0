"""slixmpp's archive plugin (XEP-0313) pages through what two accounts said, and the expectations of Smack's own
integration tests: the last page of one, three pages of ten after a known id, each complete where it is."""

from __future__ import annotations

import asyncio
from typing import Any

from quickstart_world import DOMAIN, WAIT, Friend, Home
from slixmpp import JID

COUNT = 30


async def pages(home: Home) -> None:
    alice, bob = Friend("alice", home), Friend("bob", home)
    for client in (alice, bob):
        for plugin in ("xep_0313", "xep_0359", "xep_0441"):
            client.register_plugin(plugin)
    got: asyncio.Queue[Any] = asyncio.Queue()
    bob.add_event_handler("message", got.put_nowait)
    try:
        async with asyncio.timeout(WAIT):
            await asyncio.gather(alice.dial(), bob.dial())
            archive = bob.plugin["xep_0313"]
            info = await bob.plugin["xep_0030"].get_info(jid=JID(f"bob@{DOMAIN}"))
            assert {"urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:sid:0"} <= info["disco_info"]["features"]
            default, always, never = await bob.plugin["xep_0441"].get_preferences()
            assert (default, set(always), set(never)) == ("always", set(), set())
            bob.send_presence()
            alice.send_message(JID(f"bob@{DOMAIN}"), "before", mtype="chat")
            known = (await got.get())["stanza_id"]["id"]
            for number in range(COUNT):
                alice.send_message(JID(f"bob@{DOMAIN}"), f"{number}", mtype="chat")
            ids = [(await got.get())["stanza_id"]["id"] for _ in range(COUNT)]
            last = archive.iterate(with_jid=JID(f"alice@{DOMAIN}"), reverse=True, rsm={"max": 1}, total=1)
            (only,) = [each async for each in last]
            inner = only["mam_result"]["forwarded"]["stanza"]
            assert inner["body"] == str(COUNT - 1)
            assert (inner["from"], inner["to"]) == (alice.boundjid, JID(f"bob@{DOMAIN}"))
            assert only["mam_result"]["id"] == ids[-1]
            bodies, after = [], known
            for number in range(3):
                page = await archive.retrieve(with_jid=JID(f"alice@{DOMAIN}"), rsm={"max": 10, "after": after})
                results = page["mam"]["results"]
                assert len(results) == 10
                assert page["mam_fin"].xml.get("complete") == ("true" if number == 2 else None)
                bodies += [each["mam_result"]["forwarded"]["stanza"]["body"] for each in results]
                after = page["mam_fin"]["rsm"]["last"]
            assert bodies == [str(number) for number in range(COUNT)]
            walked = [each async for each in archive.iterate(reverse=True, rsm={"max": 7}, total=20)]
            assert [each["mam_result"]["id"] for each in walked] == ids[::-1][:20]
            metadata = await archive.get_archive_metadata()
            assert metadata["mam_metadata"]["end"]["id"] == ids[-1]
            fields = (await archive.get_fields()).get_fields()
            assert {"with", "start", "end", "before-id", "after-id", "ids"} <= set(fields)
    finally:
        for client in (alice, bob):
            await client.disconnect()


def test_pages_of_an_archive(home: Home) -> None:
    asyncio.run(pages(home))
