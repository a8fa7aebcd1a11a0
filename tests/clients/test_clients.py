"""Every client that people have, or a good part of them, lives on our server: see docs/clients.md."""

from __future__ import annotations

import os
import subprocess

import pytest
from courses import DRIVERS, markdown, missing, perform
from stage import FEATURES

EXPECTED = {
    "slixmpp": ("login", "contact", "chat", "room", "file"),
    "profanity": ("login", "contact", "chat", "room", "file", "omemo"),
    "poezio": ("login", "contact", "chat", "room"),
    "go-sendxmpp": ("login", "chat", "room", "file"),
    "Dino": ("login", "contact", "chat", "room", "file", "omemo"),
    "converse.js": ("login", "contact", "chat", "room", "file"),
    "@xmpp/client": ("login", "contact", "chat", "room", "file"),
}
"""What must work. What is not here is in the table with its reason."""


def stages() -> str:
    """Why no network of one's own can be had, or ''."""
    if os.geteuid():
        return "only root can make a network for the client"
    done = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "this system makes no network namespaces"


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize("name", DRIVERS)
def test_it_lives_here(name: str) -> None:
    if why := missing(DRIVERS[name]) or stages():
        pytest.skip(why)
    outcome = perform(DRIVERS[name])
    assert {feature: outcome.get(feature) for feature in EXPECTED[name]} == dict.fromkeys(EXPECTED[name], "yes")


def test_what_does_not_work_has_its_reason_below_the_table() -> None:
    text = markdown({"X": ("1.0", {"login": "yes", "chat": "no: it crashed", "omemo": "–: none"})}, "2026-01-01")
    assert "| X | 1.0 | yes | no [1] | no [2] |" in text
    assert "2. X, chats: it crashed" in text
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 2
    assert text.count("|", 0, text.index("\n|---")) >= len(FEATURES)
