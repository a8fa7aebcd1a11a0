"""converse.js, a client that is a web page, in headless Chromium over WebSocket. Carol uses it too."""

from __future__ import annotations

import shutil
from pathlib import Path

from npm import installed, running
from stage import DOMAIN, PASSWORD, ROOM, Stage, play

PACKAGE = ""
NEEDS = ("node", "npm", "chromium")
VERSION = "14.0.0"
PLAYWRIGHT = "1.65.1"
BOB, CAROL = f"bob@{DOMAIN}", f"carol@{DOMAIN}"


def version() -> str:
    return VERSION


def modules() -> str:
    return str(installed(f"converse.js@{VERSION}", f"playwright-core@{PLAYWRIGHT}"))


async def course(stage: Stage) -> None:
    alice, record = stage.alice, stage.record
    friend = alice.boundjid.bare
    script = Path(__file__).with_suffix(".mjs")
    service = f"wss://{DOMAIN}:5443/xmpp-websocket"
    async with running(stage, script, modules(), str(shutil.which("chromium")), service, DOMAIN, PASSWORD) as page:
        async with record.step("login"):
            await page.has_done("login", who="bob")
        async with record.step("contact"):
            await page.has_done("add", who="bob", to=friend)
            await page.has_done("meets", who="bob", to=friend)
            await alice.until(lambda: BOB in alice.seen, "no presence came")
        async with record.step("chat"):
            await page.has_done("say", who="bob", to=friend, body="from a page")
            await alice.hears("from a page")
            alice.says(BOB, "to a page")
            await page.has_done("sees", who="bob", **{"from": friend}, body="to a page")
        async with record.step("room"):
            await alice.opens_room(BOB)
            await page.has_done("join", who="bob", to=ROOM, nick="bob")
            await page.has_done("say", who="bob", to=ROOM, body="from a page to all", room=True)
            await alice.hears("from a page to all")
            alice.says(ROOM, "to all pages", "groupchat")
            await page.has_done("sees", who="bob", **{"from": ROOM}, body="to all pages", room=True)
        async with record.step("file"):
            note = stage.home / "note.txt"
            note.write_text("a file\n")
            await page.has_done("upload", who="bob", to=friend, path=str(note))
            await alice.hears("https://")
        async with record.step("omemo"):
            await page.has_done("login", who="carol")
            await page.has_done("add", who="bob", to=CAROL)
            await page.has_done("meets", who="bob", to=CAROL)
            await page.has_done("meets", who="carol", to=BOB)
            await page.has_done("encrypt", who="bob", to=CAROL)
            await page.has_done("say", who="bob", to=CAROL, body="a secret")
            await page.has_done("sees", who="carol", **{"from": BOB}, body="a secret")
            await page.has_done("encrypted", who="carol", **{"from": BOB}, body="a secret")


if __name__ == "__main__":
    modules()  # where the play is there is no registry
    play(course)
