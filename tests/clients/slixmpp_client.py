"""slixmpp, a Python library, as Bob."""

from __future__ import annotations

import importlib.metadata

import slixmpp
from stage import DOMAIN, ROOM, WAIT, Alice, Stage, play

PACKAGE = ""
NEEDS = ()


def version() -> str:
    return importlib.metadata.version("slixmpp")


async def course(stage: Stage) -> None:
    alice, record = stage.alice, stage.record
    bob = Alice(stage.authority, "bob")
    async with record.step("login"):
        await bob.arrive()
    async with record.step("contact"):
        bob.send_presence_subscription(alice.boundjid.bare)
        await alice.until(lambda: f"bob@{DOMAIN}" in alice.seen, "no presence came")
        await bob.until(lambda: alice.boundjid.bare in bob.seen, "no presence came back")
    async with record.step("chat"):
        bob.says(alice.boundjid.bare, "from Bob")
        await alice.hears("from Bob")
        alice.says(f"bob@{DOMAIN}", "to Bob")
        await bob.hears("to Bob")
    async with record.step("room"):
        await alice.opens_room(f"bob@{DOMAIN}")
        await bob["xep_0045"].join_muc_wait(slixmpp.JID(ROOM), "bob", timeout=WAIT)
        bob.says(ROOM, "from Bob to all", "groupchat")
        await alice.hears("from Bob to all")
    async with record.step("file"):
        note = stage.home / "note.txt"
        note.write_text("a file\n")
        url = await bob["xep_0363"].upload_file(note, timeout=WAIT)
        bob.says(alice.boundjid.bare, str(url))
        await alice.hears("https://")
    record.skip("omemo", "our own client adds it; `make demo` shows that")
    await bob.disconnect()


if __name__ == "__main__":
    play(course)
