from __future__ import annotations

from quietwire.lab.observers.live_server import observe
from quietwire.lab.trace import Stanza, StanzaTrace


def test_rosters_in_memory_name_contacts_that_never_talk() -> None:
    raw = "<iq type='result'><query xmlns='jabber:iq:roster'><item jid='b@b.example' subscription='both'/></query></iq>"
    roster = Stanza(7, 1.0, "1", "c2s", "out", "a@a.example/x", "iq", {}, ("{jabber:iq:roster}query",), len(raw), raw)
    findings = {finding.question: finding for finding in observe(StanzaTrace("live", (roster,)))}
    assert findings["contacts"].answer == {"contacts": {"a@a.example": ["b@b.example"]}}
    assert findings["contacts"].records == ("live#7",)
    assert findings["who"].answer == {"pairs": []}
