from __future__ import annotations

from quietwire.lab.observers.peer_server import observe
from quietwire.lab.trace import Stanza, StanzaTrace


def test_it_knows_whom_its_own_user_hears_from() -> None:
    attributes = {"from": "a@a.example", "to": "b@b.example", "type": "subscribe"}
    asked = Stanza(1, 1.0, "1", "s2s", "in", "a.example", "presence", attributes, (), 9, "<presence/>")
    findings = {finding.question: finding for finding in observe(StanzaTrace("peer", (asked,)))}
    assert findings["contacts"].answer["contacts"] == {"a@a.example": ["b@b.example"], "b@b.example": ["a@a.example"]}
    assert findings["text"].answer == {"texts": []}
