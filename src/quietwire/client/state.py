"""What the client keeps besides OMEMO: roster cache, history, messages the server has not acknowledged, which devices
read gathered receipts.
"""

from __future__ import annotations

import json
from typing import Any, Final

from quietwire.client import events
from quietwire.client.db import Batch
from quietwire.client.events import Encrypted, Sent
from quietwire.client.outbox import Entry
from quietwire.client.trust import Trust

KEPT: Final = (
    events.Message,
    events.Reply,
    events.Correction,
    events.Retraction,
    events.Reaction,
    events.File,
)
"""What history holds: what changes a conversation. Typing, receipts and markers pass."""

_KINDS: Final = {kind.__name__: kind for kind in KEPT}


def load_roster(batch: Batch) -> dict[str, dict[str, Any]]:
    """bare JID -> fields of `Contact`."""
    data = batch.get("roster")
    found: dict[str, dict[str, Any]] = {} if data is None else json.loads(data)
    return found


def save_roster(batch: Batch, roster: dict[str, dict[str, Any]]) -> None:
    batch.put("roster", json.dumps(roster).encode())


def load_outbox(batch: Batch) -> list[Entry]:
    """In the order they were written."""
    data = batch.get("outbox")
    entries = []
    for id in json.loads(data) if data is not None else ():
        stanza = batch.get(f"outbox/{id}")
        if stanza is not None:
            entries.append(Entry(stanza, "message", id))
    return entries


def keep_unsent(batch: Batch, entry: Entry) -> None:
    """Until the server acknowledges it. Call it where no await follows before the commit: it rewrites an index."""
    index = json.loads(batch.get("outbox") or b"[]")
    batch.put("outbox", json.dumps([*index, entry.id]).encode())
    batch.put(f"outbox/{entry.id}", entry.data)


def drop_unsent(batch: Batch, ids: list[str]) -> None:
    index = json.loads(batch.get("outbox") or b"[]")
    batch.put("outbox", json.dumps([id for id in index if id not in set(ids)]).encode())
    for id in ids:
        batch.delete(f"outbox/{id}")


def remember(batch: Batch, event: Encrypted, *, own: bool) -> bool:
    """Appends `event` to the history with `event.peer`. False: it is there already, or not of a kind that is kept."""
    if not isinstance(event, KEPT):
        return False
    author = f"author/{event.peer}/{event.sender}/{event.id}"
    if batch.get(author) is not None:
        return False
    length = int(batch.get(f"history/{event.peer}") or b"0")
    row = {"kind": type(event).__name__, "own": own, "fields": vars(event)}
    batch.put(f"history/{event.peer}/{length}", json.dumps(row).encode())
    batch.put(f"history/{event.peer}", str(length + 1).encode())
    batch.put(author, b"")
    return True


def note_gathers(batch: Batch, jid: str, device: int) -> None:
    """That device of `jid` reads `gathered.GOT`."""
    if device not in (known := gathers(batch, jid)):
        batch.put(f"gathers/{jid}", json.dumps(sorted({*known, device})).encode())


def gathers(batch: Batch, jid: str) -> set[int]:
    return set(json.loads(batch.get(f"gathers/{jid}") or b"[]"))


def wrote(batch: Batch, peer: str, sender: str, id: str) -> bool:
    """Whether `sender` wrote the message `id` in the conversation with `peer`."""
    return batch.get(f"author/{peer}/{sender}/{id}") is not None


def history(batch: Batch, peer: str, last: int) -> list[Encrypted | Sent]:
    """The last `last` entries, oldest first; own ones as `Sent`."""
    length = int(batch.get(f"history/{peer}") or b"0")
    found: list[Encrypted | Sent] = []
    for number in range(max(0, length - last), length):
        data = batch.get(f"history/{peer}/{number}")
        if data is None:
            continue
        row = json.loads(data)
        fields = row["fields"]
        fields["trust"] = Trust(fields["trust"])
        if "emojis" in fields:
            fields["emojis"] = tuple(fields["emojis"])
        event: Encrypted = _KINDS[row["kind"]](**fields)
        found.append(Sent(what=event) if row["own"] else event)
    return found
