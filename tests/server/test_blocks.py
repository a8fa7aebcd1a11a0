"""A block list in memory: what it covers (XEP-0191 §5)."""

from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.blocks import VERSION, Blocks, blocked

OWNER = parse_jid("alice@a.example")


def blocks(*addresses: str) -> Blocks:
    return Blocks(OWNER, [(address.encode(), VERSION) for address in addresses])


@pytest.mark.parametrize(
    ("entry", "covered", "free"),
    [
        ("bob@b.example/desk", ["bob@b.example/desk"], ["bob@b.example", "bob@b.example/phone"]),
        ("bob@b.example", ["bob@b.example", "bob@b.example/desk"], ["carol@b.example", "b.example"]),
        ("b.example/bot", ["b.example/bot"], ["b.example", "bob@b.example/bot", "b.example/other"]),
        (
            "b.example",
            ["b.example", "b.example/bot", "bob@b.example", "bob@b.example/desk"],
            ["x.b.example", "a.example"],
        ),
    ],
)
def test_an_entry_covers(entry: str, covered: list[str], free: list[str]) -> None:
    some = blocks(entry)
    assert [jid for jid in covered if not some.covers(parse_jid(jid))] == []
    assert [jid for jid in free if some.covers(parse_jid(jid))] == []


def test_neither_the_owner_nor_the_server_is_ever_covered() -> None:
    some = blocks("a.example", "alice@a.example")
    assert not some.covers(parse_jid("alice@a.example/phone"))
    assert not some.covers(OWNER)
    assert not some.covers(parse_jid("a.example/x"))
    assert some.covers(parse_jid("bob@a.example/desk")), "everybody else of that domain is"


def test_an_empty_list_is_false() -> None:
    assert not blocks()
    assert blocks("b.example")


def test_a_row_of_another_version_is_an_error() -> None:
    with pytest.raises(ValueError, match="version"):
        Blocks(OWNER, [(b"b.example", b"\x02")])


def test_the_answer_names_the_reason() -> None:
    error = blocked()
    assert (error.condition, error.type) == ("not-acceptable", "cancel")
    assert error.specific == "{urn:xmpp:blocking:errors}blocked"
