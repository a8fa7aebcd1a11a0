"""Every dialogue of this folder, between slixmpp and a server process, over TLS on loopback.

Afterwards its log is searched: in a whole run, nothing personal is written at any level.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import LoopbackStage, Served

from quietwire.testing.dialogue import ACCOUNTS, Dialogue, play, read
from quietwire.testing.playbook import PASSWORD

DIALOGUES = [read(path) for path in sorted(Path(__file__).parent.glob("*.play"))]
PLAYED = [dialogue for dialogue in DIALOGUES if not dialogue.memory_only]
CANARIES = (*ACCOUNTS, "@", "127.0.0.1", PASSWORD, "hello?", "psst", "I am Carol", "phone", "desk", "AGFsaWNl", "<")
"""Names, addresses, the password, bodies and resources of the dialogues."""


def _accounts() -> Iterator[str]:
    yield from ACCOUNTS  # one dialogue writes a password in base64
    for number in range(len(PLAYED)):
        for name in ACCOUNTS:
            yield f"{name}{number}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("served"), _accounts())
    yield server
    server.stop()


@pytest.mark.parametrize("number", range(len(PLAYED)), ids=[dialogue.name for dialogue in PLAYED])
def test_dialogue(served: Served, number: int, tmp_path: Path) -> None:
    dialogue: Dialogue = PLAYED[number]
    stops = any(words == "server stops" for _, words in dialogue.steps)
    server = Served(tmp_path, _accounts()) if stops else served
    stage = LoopbackStage(server, number)
    try:
        play(dialogue, stage)
    finally:
        stage.close()
        if stops:
            assert server.stop() == 0


def test_the_log_of_the_whole_run_names_nobody(served: Served) -> None:
    log = served.log.read_text()
    assert "stream-error" in log
    found = [canary for canary in CANARIES if canary in log]
    assert not found, [line for line in log.splitlines() if any(canary in line for canary in found)][:3]
