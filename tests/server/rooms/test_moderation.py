"""Moderated retraction (XEP-0425)."""

from __future__ import annotations

import pytest
from den import OPEN, ROOM, Den, said

RETRACT = "<retract xmlns='urn:xmpp:message-retract:1'/>"


def moderate(id: str, inner: str = RETRACT) -> str:
    return f"<moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'>{inner}</moderate>"


def test_everybody_is_told_and_nobody_gets_it_again() -> None:
    den = Den()
    alice, bob = den.full("bob", **OPEN)
    den.say(bob, "buy my pills")
    [line] = den.room.history
    den.quiet()
    assert den.ask(alice, "set", moderate(line.id, f"{RETRACT}<reason>Spam</reason>"))[-1] == "result"
    [told] = bob.take()
    tag = den.room.tag(alice.session.jid.bare).decode()
    assert (
        f"<retract xmlns='urn:xmpp:message-retract:1' id='{line.id}'>"
        f"<moderated xmlns='urn:xmpp:message-moderate:1' by='{ROOM}/al'>{tag}</moderated>"
        "<reason>Spam</reason></retract>"
    ) in told
    assert f" from='{ROOM}' type='groupchat'" in told
    assert "pills" not in str(said(den.enter("carol")))


@pytest.mark.parametrize(
    ("name", "payload", "condition"),
    [
        ("bob", moderate("x"), "forbidden"),
        ("carol", moderate("x"), "forbidden"),
        ("alice", moderate(""), "bad-request"),
        ("alice", moderate("x" * 200), "bad-request"),
        ("alice", moderate("x", f"{RETRACT}<reason>{'x' * 2_000}</reason>"), "bad-request"),
        ("alice", moderate("x", ""), "feature-not-implemented"),
    ],
)
def test_refused(name: str, payload: str, condition: str) -> None:
    den = Den()
    _, bob = den.full("bob", **OPEN)
    assert den.ask(den.guest(name), "set", payload) == [f"iq error {condition}"]
    assert said(bob) == []
