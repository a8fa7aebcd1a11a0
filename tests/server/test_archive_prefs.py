"""Which messages are archived, which are the same, and whose the owner wants."""

from __future__ import annotations

import pytest

from quietwire.core import ns
from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.stanza import Message
from quietwire.core.xml import parse
from quietwire.server.account import Account
from quietwire.server.archive_prefs import Prefs, archivable, from_bytes, read_prefs, token
from quietwire.server.roster import Contact, Roster
from quietwire.testing.assembly import stanza


def message(attributes: str, payload: str, from_: str = "alice@a.example/phone") -> Message:
    found = stanza(f"<message {attributes}>{payload}</message>", from_=parse_jid(from_))
    assert isinstance(found, Message)
    return found


STORE = "<store xmlns='urn:xmpp:hints'/>"
STATE = "<active xmlns='http://jabber.org/protocol/chatstates'/>"


@pytest.mark.parametrize(
    ("attributes", "payload", "archived"),
    [
        ("type='chat'", "<body>x</body>", True),
        ("", "<body>x</body>", True),
        ("type='normal'", "<body>x</body>", True),
        ("type='chat'", STATE, False),
        ("type='chat'", "", False),
        ("type='chat'", "<request xmlns='urn:xmpp:receipts'/>", False),
        ("type='chat'", "<received xmlns='urn:xmpp:receipts' id='1'/>", True),
        ("type='chat'", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", True),
        ("type='chat'", "<markable xmlns='urn:xmpp:chat-markers:0'/>", False),
        ("type='chat'", "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", True),
        ("type='chat'", "<encrypted xmlns='urn:xmpp:omemo:2'/>", True),
        ("", "<x xmlns='jabber:x:conference' jid='r@r.example'/>", True),
        ("type='chat'", STATE + STORE, True),
        ("type='chat'", "<body>x</body><no-store xmlns='urn:xmpp:hints'/>", False),
        ("type='chat'", "<body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/>", False),
        ("type='chat'", f"<body>x</body>{STORE}<no-store xmlns='urn:xmpp:hints'/>", False),
        ("type='headline'", "<body>x</body>", False),
        ("type='headline'", "<body>x</body>" + STORE, True),
        ("type='groupchat'", "<body>x</body>" + STORE, False),
        ("type='error'", "<body>x</body>" + STORE, False),
    ],
)
def test_what_is_archived(attributes: str, payload: str, archived: bool) -> None:
    assert archivable(message(attributes, payload)) is archived


def test_a_message_sent_again_has_the_same_token() -> None:
    origin = "<body>{}</body><origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
    base = token(message("type='chat' to='bob@b.example' id='1'", origin.format("x")))
    assert base[0]
    assert not base[1]
    again = origin.format("x") + "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
    assert token(message("type='chat' to='bob@b.example' id='1'", again, "alice@a.example/new")) == base
    other = [
        message("type='chat' to='bob@b.example' id='1'", origin.format("something else, to be hidden")),
        message("type='chat' to='bob@b.example' id='2'", origin.format("x")),
        message("type='chat' to='carol@b.example' id='1'", origin.format("x")),
        message("type='chat' to='bob@b.example' id='1'", origin.format("x"), "eve@a.example/phone"),
        message("type='chat' to='bob@b.example' id='1'", origin.format("x").replace("o1", "o2")),
        message("type='chat' to='bob@b.example' id='1'", "<body>x</body>"),
    ]
    assert len({token(each)[0] for each in other} | {base[0]}) == 7


def test_without_an_origin_id_the_whole_message_counts() -> None:
    one = token(message("type='chat' to='bob@b.example' id='1'", "<body>x</body>"))
    assert one[1], "weak"
    assert token(message("type='chat' to='bob@b.example' id='1'", "<body>x</body>")) == one
    assert token(message("type='chat' to='bob@b.example' id='1'", "<body>y</body>")) != one
    assert token(message("type='chat' to='bob@b.example'", "<body>x</body>")) == (0, True)


ALICE = Account(
    parse_jid("alice@a.example"),
    Roster([Contact(parse_jid("bob@b.example")), Contact(parse_jid("asks@b.example"), listed=False)]),
)


@pytest.mark.parametrize(
    ("prefs", "other", "wanted"),
    [
        (Prefs(), "eve@e.example/x", True),
        (Prefs("never"), "bob@b.example/x", False),
        (Prefs("roster"), "bob@b.example/x", True),
        (Prefs("roster"), "asks@b.example/x", False),
        (Prefs("roster"), "eve@e.example/x", False),
        (Prefs("never", frozenset(["eve@e.example"])), "eve@e.example/x", True),
        (Prefs("never", frozenset(["eve@e.example/y"])), "eve@e.example/x", False),
        (Prefs("always", never=frozenset(["eve@e.example"])), "eve@e.example/x", False),
        (Prefs("always", never=frozenset(["eve@e.example/x"])), "eve@e.example/x", False),
        (Prefs("always", never=frozenset(["eve@e.example/x"])), "eve@e.example", True),
        (Prefs("always", frozenset(["e@e.example"]), frozenset(["e@e.example"])), "e@e.example", False),
    ],
)
def test_whose_messages_are_wanted(prefs: Prefs, other: str, wanted: bool) -> None:
    assert prefs.wants(parse_jid(other), ALICE) is wanted
    assert from_bytes(prefs.to_bytes()) == prefs


def test_damaged_preferences_are_an_error() -> None:
    for value in (b"", b"\x02[]", b"\x01{", b"\x01[]", b'\x01["perhaps", [], []]'):
        with pytest.raises(ValueError):
            from_bytes(value)


def read(inner: str, default: str = "always") -> Prefs:
    return read_prefs(parse(f"<prefs xmlns='urn:xmpp:mam:2' default='{default}'>{inner}</prefs>".encode(), ns.CLIENT))


def test_preferences_are_read_with_their_limits() -> None:
    assert read("<always><jid> BOB@b.example </jid></always>", "never") == Prefs("never", frozenset(["bob@b.example"]))
    assert read("") == Prefs()
    many = "".join(f"<jid>u{n}@b.example</jid>" for n in range(501))
    for inner, default, condition in (
        ("", "", "bad-request"),
        ("<never><jid>@</jid></never>", "always", "jid-malformed"),
        (f"<never>{many}</never>", "always", "resource-constraint"),
    ):
        with pytest.raises(StanzaError) as caught:
            read(inner, default)
        assert caught.value.condition == condition
