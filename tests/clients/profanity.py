"""profanity, a terminal client on libstrophe, in tmux."""

from __future__ import annotations

import asyncio
import contextlib

from stage import DOMAIN, PASSWORD, ROOM, Missed, Stage, play
from terminal import Terminal

PACKAGE = "profanity"
NEEDS = ("profanity", "tmux")


async def log_in(terminal: Terminal, name: str) -> None:
    await terminal.shows("Profanity")
    terminal.type(f"/connect {name}@{DOMAIN} server 127.0.0.1 port 5222 tls trust")
    await terminal.shows("Enter password")
    terminal.type(PASSWORD)
    await terminal.shows("logged in successfully")


async def course(stage: Stage) -> None:
    alice, record = stage.alice, stage.record
    friend = alice.boundjid.bare
    with contextlib.ExitStack() as stack:
        terminal = Terminal("profanity -l DEBUG", stage.environment())
        stack.callback(terminal.close)
        async with record.step("login"):
            await log_in(terminal, "bob")
        async with record.step("contact"):
            terminal.type(f"/roster add {friend} Allie")
            terminal.type(f"/sub request {friend}")
            terminal.type(f"/sub allow {friend}")
            await alice.until(lambda: f"bob@{DOMAIN}" in alice.seen, "no presence came")
        async with record.step("chat"):
            terminal.type(f"/msg {friend} from the terminal")
            await alice.hears("from the terminal")
            alice.says(f"bob@{DOMAIN}", "from the library")
            await terminal.shows("from the library")
        async with record.step("room"):
            await alice.opens_room(f"bob@{DOMAIN}")
            terminal.type(f"/join {ROOM}")
            terminal.type("from the terminal's room")
            await alice.hears("from the terminal's room")
            alice.says(ROOM, "welcome, terminal", "groupchat")
            await terminal.shows("welcome, terminal")
        async with record.step("file"):
            picture = stage.home / "note.txt"
            picture.write_text("a file\n")
            terminal.type(f"/msg {friend}")
            terminal.type(f"/sendfile {picture}")
            await alice.hears("https://")
        async with record.step("omemo"):
            await whisper(stage, terminal, stack)


async def whisper(stage: Stage, bob: Terminal, stack: contextlib.ExitStack) -> None:
    """Another profanity, Carol's, and a message that only its device can read."""
    home = stage.home / "carol"
    home.mkdir()
    carol = Terminal("profanity -l DEBUG", stage.environment(HOME=str(home)))
    stack.callback(carol.close)
    await log_in(carol, "carol")
    for terminal, other in ((bob, "carol"), (carol, "bob")):
        terminal.type("/win 1")
        terminal.type("/omemo gen")
        await terminal.shows("Your Device ID is")
        terminal.type("/omemo trustmode blind")
        terminal.type(f"/roster add {other}@{DOMAIN}")
        terminal.type(f"/sub allow {other}@{DOMAIN}")
        terminal.type(f"/sub request {other}@{DOMAIN}")
    await bob.shows(f"Subscription received from carol@{DOMAIN}")
    bob.type(f"/msg carol@{DOMAIN}")
    for command in ("/omemo start", "/omemo end", "/omemo start"):  # it fetches lists and bundles, and shows nothing
        bob.type(command)
        await asyncio.sleep(3)
    bob.type("only for Carol")
    carol.type(f"/msg bob@{DOMAIN}")
    await carol.shows("only for Carol")
    log = home / ".local/share/profanity/logs/profanity.log"
    # What came over the wire has another body than what was shown.
    if "only for Carol</body>" in log.read_text(errors="replace"):
        raise Missed("it was not encrypted")


if __name__ == "__main__":
    play(course)
