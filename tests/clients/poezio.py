"""poezio, a terminal client on Debian's slixmpp, in tmux."""

from __future__ import annotations

import asyncio
import contextlib
import os

from stage import DOMAIN, PASSWORD, ROOM, Stage, play
from terminal import Terminal

PACKAGE = "poezio"
NEEDS = ("poezio", "tmux", "setpriv")
NOBODY = 65534
"""poezio does not run as root."""
CONFIG = """[Poezio]
jid = bob@{domain}/poezio
password = {password}
ca_cert_path = {authority}
plugins_autoload =
rooms =
auto_reconnect = false
enable_avatars = false
"""


async def course(stage: Stage) -> None:
    alice, record = stage.alice, stage.record
    friend = alice.boundjid.bare
    folder = stage.home / ".config" / "poezio"
    folder.mkdir(parents=True)
    (folder / "poezio.cfg").write_text(
        CONFIG.format(domain=DOMAIN, password=PASSWORD, authority=stage.home / "authority.pem")
    )
    with contextlib.ExitStack() as stack:
        stage.folder.chmod(0o755)
        for path in (stage.home, *stage.home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        authority = stage.home / "authority.pem"
        authority.write_bytes(stage.authority.read_bytes())
        nobody = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"
        terminal = Terminal(f"{nobody} poezio", stage.environment(XDG_RUNTIME_DIR=str(stage.home)))
        stack.callback(terminal.close)
        async with record.step("login"):
            await terminal.shows("Authentication success", "Your JID is", "Roster: 1")
        async with record.step("contact"):
            await terminal.slowly(f"/add {friend}")
            await alice.until(lambda: f"bob@{DOMAIN}" in alice.seen, "no presence came")
        async with record.step("chat"):
            await terminal.slowly(f"/message {friend} from poezio")
            await alice.hears("from poezio")
            alice.says(f"bob@{DOMAIN}", "to poezio")
            await terminal.shows("to poezio")
        async with record.step("room"):
            await alice.opens_room(f"bob@{DOMAIN}")
            await terminal.slowly(f"/join {ROOM}/bob")
            await terminal.shows("garden")
            await asyncio.sleep(2)
            await terminal.slowly("from poezio's room")
            await alice.hears("from poezio's room")
            alice.says(ROOM, "welcome, poezio", "groupchat")
            await terminal.shows("welcome, poezio")
        record.skip("file", "its plugin fails with a TypeError under Python 3.11")
        record.skip("omemo", "its plugin is not in Debian")


if __name__ == "__main__":
    play(course)
