from __future__ import annotations

import base64
from typing import Any

from quietwire.core.later import Ticket
from quietwire.lab.observers.archive import conversation, read
from quietwire.server.archive import Archive

ALICE, BOB = "alice@a.example", "bob@b.example"


class Rows:
    """A store that remembers what is put."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes, bytes]] = []

    def put(self, table: str, owner: bytes, key: bytes, value: bytes) -> Ticket:
        assert table == "archive"
        self.rows.append((owner, key, value))
        return Ticket()


def sealed(sender: str, to: str, size: int) -> bytes:
    payload = base64.b64encode(bytes([size % 251]) * size).decode()
    body = f"<encrypted xmlns='urn:xmpp:omemo:2'><payload>{payload}</payload></encrypted>"
    return f"<message from='{sender}/d' to='{to}' type='chat'>{body}</message>".encode()


def written(*said: tuple[str, float, str, bytes]) -> list[tuple[bytes, bytes, bytes]]:
    """What the server's own archive writes for (owner, time, other, message)."""
    store: Any = Rows()
    archive = Archive("a.example", store, bytes, lambda _: None)
    for number, (owner, now, other, message) in enumerate(said):
        archive.append(owner.encode(), f"{number:032x}", now, other, message)
    return list(store.rows)


def test_a_row_as_the_server_writes_it_is_taken_apart() -> None:
    (row,) = written((ALICE, 1_790_000_000.25, f"{BOB}/x", sealed(BOB, ALICE, 512)))
    one = read(*row, "q#archive:1")
    assert one is not None
    assert (one.time, one.owner, one.other, one.sender, one.ref) == (
        1_790_000_000.25, ALICE, BOB, BOB, "q#archive:1",
    )  # fmt: skip


def test_other_rows_are_none() -> None:
    (row,) = written((ALICE, 1.0, BOB, b"<message/>"))
    owner, key, value = row
    assert read(owner, b"s", bytes(8), "r") is None
    assert read(owner, key, b"\x02" + value[1:], "r") is None
    assert read(owner, key, value[:20], "r") is None
    cut = read(owner, key, value[:-9], "r")
    assert cut is not None
    assert cut.sender == ""


def test_a_conversation_has_each_message_once_in_order() -> None:
    first, second = sealed(ALICE, "carol@a.example", 512), sealed("carol@a.example", ALICE, 1024)
    rows = written(
        (ALICE, 10.0, "carol@a.example", first),
        ("carol@a.example", 10.0, ALICE, first),
        ("carol@a.example", 12.0, ALICE, second),
        (ALICE, 12.0, "carol@a.example", second),
        (ALICE, 11.0, BOB, b"<message from='%s'><body>in clear</body></message>" % ALICE.encode()),
    )
    archived = [one for number, row in enumerate(reversed(rows)) if (one := read(*row, str(number))) is not None]
    assert [(event.time, event.sender, event.level) for event in conversation(archived)] == [
        (10.0, ALICE, 0),
        (12.0, "carol@a.example", 1),
    ]
