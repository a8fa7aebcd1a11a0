from __future__ import annotations

from pathlib import Path

import pytest
from test_db import Ring

from quietwire.client import events, state
from quietwire.client.db import Batch, Database
from quietwire.client.keys import FromKeyring
from quietwire.client.outbox import Entry
from quietwire.client.trust import Trust

BOB, ME = "bob@b.example", "me@a.example"


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Database.open(tmp_path / "s", FromKeyring(Ring(), "a")).batch()


def message(id: str, sender: str = BOB, text: str = "t") -> events.Message:
    return events.Message(sender=sender, peer=BOB, device=1, trust=Trust.BLIND, id=id, stamp=1.0, text=text)


def test_history_comes_back_in_order_with_own_messages_as_sent(batch: Batch) -> None:
    reaction = events.Reaction(
        sender=BOB, peer=BOB, device=1, trust=Trust.UNDECIDED, id="r", stamp=2.0, ref="1", emojis=("👍",)
    )
    assert state.remember(batch, message("1"), own=False)
    assert state.remember(batch, message("2", ME), own=True)
    assert state.remember(batch, reaction, own=False)
    assert state.history(batch, BOB, 50) == [message("1"), events.Sent(what=message("2", ME)), reaction]
    assert state.history(batch, BOB, 1) == [reaction]
    assert state.history(batch, "nobody@b.example", 5) == []


def test_history_holds_nothing_twice(batch: Batch) -> None:
    assert state.remember(batch, message("1"), own=False)
    assert not state.remember(batch, message("1"), own=False)
    assert len(state.history(batch, BOB, 9)) == 1


def test_what_passes_is_not_kept(batch: Batch) -> None:
    typing = events.ChatState(sender=BOB, peer=BOB, device=1, trust=Trust.BLIND, id="1", stamp=1.0, state="active")
    assert not state.remember(batch, typing, own=False)
    assert state.history(batch, BOB, 9) == []


def test_who_wrote_what(batch: Batch) -> None:
    state.remember(batch, message("1"), own=False)
    assert state.wrote(batch, BOB, BOB, "1")
    assert not state.wrote(batch, BOB, ME, "1")


def test_unsent_messages_survive_in_order_until_they_are_confirmed(batch: Batch) -> None:
    entries = [Entry(f"<{name}/>".encode(), "message", name) for name in "abc"]
    for entry in entries:
        state.keep_unsent(batch, entry)
    assert state.load_outbox(batch) == entries
    state.drop_unsent(batch, ["a", "c", "unknown"])
    assert state.load_outbox(batch) == [entries[1]]
    assert batch.get("outbox/a") is None


def test_the_roster_is_kept(batch: Batch) -> None:
    assert state.load_roster(batch) == {}
    state.save_roster(batch, {BOB: {"subscription": "both", "pending": False}})
    assert state.load_roster(batch) == {BOB: {"subscription": "both", "pending": False}}


def test_devices_that_read_gathered_receipts_are_kept_by_account(batch: Batch) -> None:
    assert state.gathers(batch, BOB) == set()
    for device in (7, 4711, 7):
        state.note_gathers(batch, BOB, device)
    assert state.gathers(batch, BOB) == {7, 4711}
    assert state.gathers(batch, ME) == set()
