"""Every dialogue of this folder, in memory (`test_over_loopback.py` plays the same with slixmpp)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quietwire.testing.dialogue import Dialogue, MemoryStage, play, read

DIALOGUES = [read(path) for path in sorted(Path(__file__).parent.glob("*.play"))]


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue.name)
def test_dialogue(dialogue: Dialogue) -> None:
    assert dialogue.title, "the first line says what must be so"
    play(dialogue, MemoryStage())
