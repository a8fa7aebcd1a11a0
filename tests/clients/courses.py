"""Which client does what with our server: runs every driver and writes docs/clients.md.

courses.py [--update-docs] [NAME …]
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from stage import FEATURES

HERE = Path(__file__).resolve().parent
DRIVERS = {
    "slixmpp": "slixmpp_client", "profanity": "profanity", "poezio": "poezio", "go-sendxmpp": "go_sendxmpp",
    "Dino": "dino", "converse.js": "converse", "@xmpp/client": "xmpp_js",
}  # fmt: skip
PLAY_TIME = 600.0
"""Seconds for one client's whole course."""

HEAD = """\
# Clients

What each client did with a server as its quickstart makes it, on {when}. `make clients` runs them all and writes this
file. Every client plays Bob in a network of its own; Alice is slixmpp, Carol another client of the same kind. "yes"
means that the other side got it. OMEMO is the one that the client has, mostly the older one; Dino's is tried in a room,
too.

"""
NAMES = {
    "login": "logs in", "contact": "adds a contact", "chat": "chats", "room": "talks in a room", "file": "sends a file",
    "omemo": "OMEMO",
}  # fmt: skip


def missing(driver: str) -> str:
    """Why it cannot run here, or ''."""
    lacking = [name for name in importlib.import_module(driver).NEEDS if shutil.which(name) is None]
    return f"{', '.join(lacking)} not installed" if lacking else ""


def version(driver: str) -> str:
    """Of the client."""
    module = importlib.import_module(driver)
    if hasattr(module, "version"):
        return str(module.version())
    found = subprocess.run(
        ["dpkg-query", "-W", "-f=${Version}", module.PACKAGE], capture_output=True, text=True, check=False
    )
    return found.stdout.partition("-")[0].partition("+")[0]


def perform(driver: str) -> dict[str, str]:
    """Feature -> outcome. Raises RuntimeError with the end of what the driver said."""
    done = subprocess.run(
        [sys.executable, str(HERE / f"{driver}.py")], capture_output=True, text=True, timeout=PLAY_TIME, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-1500:])
    outcome: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def markdown(results: Mapping[str, tuple[str, Mapping[str, str]]], when: str) -> str:
    """`results`: client -> (version, feature -> outcome). Why something is not there stands below the table."""
    lines = [
        "| Client | Version | " + " | ".join(NAMES[f] for f in FEATURES) + " |",
        "|" + "---|" * (len(FEATURES) + 2),
    ]
    notes: list[str] = []
    for name, (release, outcome) in results.items():
        cells = []
        for feature in FEATURES:
            said, _, why = outcome.get(feature, "no: not reached").partition(": ")
            if why:
                notes.append(f"{name}, {NAMES[feature]}: {why}")
                said = f"{said} [{len(notes)}]"
            cells.append(said)
        lines.append(f"| {name} | {release} | " + " | ".join(cells) + " |")
    below = "".join(f"{number}. {note}\n" for number, note in enumerate(notes, 1))
    return HEAD.format(when=when) + "\n".join(lines) + "\n\n" + below


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(DRIVERS), help=", ".join(DRIVERS))
    parser.add_argument("--update-docs", action="store_true")
    options = parser.parse_args()
    results = {}
    for name in options.names:
        driver = DRIVERS[name]
        if why := missing(driver):
            print(f"{name}: {why}", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            results[name] = version(driver), perform(driver)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
    text = markdown(results, time.strftime("%Y-%m-%d", time.gmtime()))
    print(text)
    if options.update_docs:
        (HERE.parents[1] / "docs" / "clients.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
