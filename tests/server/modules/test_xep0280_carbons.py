"""What the dialogues `carbons*.play` do not show."""

from __future__ import annotations

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server.modules.xep0280_carbons import eligible
from quietwire.server.pipeline import Passage
from quietwire.testing.assembly import stanza
from quietwire.testing.playbook import Playbook, nothing

MUC = "<x xmlns='http://jabber.org/protocol/muc#user'/>"


@pytest.mark.parametrize(
    ("attributes", "payload", "copied"),
    [
        ("type='chat'", "<body>x</body>", True),
        ("type='chat'", "<composing xmlns='http://jabber.org/protocol/chatstates'/>", True),
        ("type='chat'", "<body>x</body>" + MUC, False),
        ("type='chat'", "<body>x</body><private xmlns='urn:xmpp:carbons:2'/>", False),
        ("type='chat'", "<body>x</body><no-copy xmlns='urn:xmpp:hints'/>", False),
        ("", "<body>x</body>", True),
        ("", "<received xmlns='urn:xmpp:receipts' id='1'/>", True),
        ("", "<encrypted xmlns='urn:xmpp:omemo:2'/>", True),
        ("", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>", False),
        ("type='groupchat'", "<body>x</body>", False),
        ("type='headline'", "<body>x</body>", False),
        ("type='error'", "<error type='cancel'/>", True),
    ],
)
def test_what_is_copied(attributes: str, payload: str, copied: bool) -> None:
    to = parse_jid("bob@a.example/desk")
    message = stanza(f"<message {attributes}>{payload}</message>", from_=parse_jid("alice@a.example/phone"))
    assert eligible(Passage(message, None, to)) is copied  # type: ignore[arg-type]


def test_a_new_session_gets_no_copies_until_it_asks() -> None:
    play = Playbook(accounts=["alice", "bob"])
    phone, tablet, bob = (play.client(name, "<presence/>") for name in ("alice/phone", "alice/tablet", "bob/desk"))
    play.quiet()
    phone >> "<message to='bob@a.example' type='chat'><body>1</body></message>"
    tablet << nothing
    tablet >> "<iq type='set' id='1'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
    tablet << "<iq type='result' id='1' to='alice@a.example/tablet'/>"
    phone >> "<message to='bob@a.example' type='chat'><body>2</body></message>"
    tablet << "<message _='...'><sent xmlns='urn:xmpp:carbons:2' _='...'/></message>"
    assert len(bob.take()) == 2


def test_nobody_switches_anothers_copies() -> None:
    play = Playbook(accounts=["alice", "bob"])
    alice = play.client("alice/phone")
    alice >> "<iq type='set' id='1' to='bob@a.example'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
    error = "<error _='...'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    alice << f"<iq type='error' _='...'>{error}</iq>"


def test_a_message_between_ones_own_devices_comes_once() -> None:
    play = Playbook(accounts=["alice"])
    phone, tablet, third = (play.client(f"alice/{name}", "<presence/>") for name in ("phone", "tablet", "third"))
    for client in (phone, tablet, third):
        client >> "<iq type='set' id='1'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
    play.quiet()
    phone >> "<message to='alice@a.example/tablet' type='chat'><body>x</body></message>"
    assert [len(client.take()) for client in (phone, tablet, third)] == [0, 1, 1]
