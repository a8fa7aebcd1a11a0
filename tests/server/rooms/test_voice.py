"""Asking for voice (XEP-0045 §7.13, §8.6)."""

from __future__ import annotations

import pytest
from den import OPEN, ROOM, Den, elements, form, said

from quietwire.server import forms

REQUEST = "http://jabber.org/protocol/muc#request"


def message(**fields: str) -> str:
    return (
        f"<message to='{ROOM}'>{form(**{'FORM_TYPE#': REQUEST, **fields}).replace('FORM_TYPE#', 'FORM_TYPE')}</message>"
    )


ASK = message(**{"muc#role": "participant"})


def a_den() -> Den:
    den = Den()
    den.full("bob", moderatedroom="1", **OPEN)
    return den


def test_a_visitor_asks_and_a_moderator_grants() -> None:
    den = a_den()
    alice, bob = den.guest("alice"), den.guest("bob")
    bob.write(ASK)
    [asked] = elements(alice)
    x = asked.find(forms.X)
    assert x is not None
    values = forms.read(x, REQUEST)
    assert values["muc#jid"] == ("bob@a.example/x",)
    assert values["muc#roomnick"] == ("bo",)
    assert values["muc#request_allow"] == ("false",)
    alice.write(message(**{"muc#roomnick": "bo", "muc#request_allow": "true"}))
    assert said(bob) == ["bo here none/participant jid=bob@a.example/x by=al(alice@a.example/x) 110"]
    bob.write(ASK)
    assert said(alice) == ["bo here none/participant jid=bob@a.example/x by=al(alice@a.example/x)"]


def test_a_moderator_says_no() -> None:
    den = a_den()
    den.guest("alice").write(message(**{"muc#roomnick": "bo", "muc#request_allow": "0"}))
    assert said(den.guest("bob")) == []


@pytest.mark.parametrize(
    ("name", "text", "condition"),
    [
        ("carol", ASK, "not-acceptable"),
        ("bob", message(**{"muc#role": "moderator"}), "bad-request"),
        ("bob", message(**{"muc#roomnick": "bo", "muc#request_allow": "1"}), "forbidden"),
        ("alice", message(**{"muc#roomnick": "nobody", "muc#request_allow": "1"}), "item-not-found"),
        ("alice", message(**{"muc#request_allow": "1"}), "item-not-found"),
        ("bob", f"<message to='{ROOM}'>{form(other='x')}</message>", "bad-request"),
    ],
)
def test_refused(name: str, text: str, condition: str) -> None:
    den = a_den()
    den.guest(name).write(text)
    assert said(den.guest(name)) == [f"message error {condition}"]
