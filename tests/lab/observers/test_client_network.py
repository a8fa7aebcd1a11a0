from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quietwire.lab.observers.client_network import observe
from quietwire.lab.trace import LinkEvent, LinkTrace, Open, Record

PHONE, LAPTOP = "198.51.100.11", "198.51.100.12"


def watched(talk: list[Any]) -> LinkTrace:
    """`a` is watched: the phone sends, the laptop gets copies of all."""
    events: list[LinkEvent] = [Open(1, 1.0, "L1", PHONE, "a.example"), Open(2, 1.0, "L2", LAPTOP, "a.example")]
    for item in talk:
        size = 1576 + 684 * item.level + (3 if item.kind == "typing" else 0)
        id = len(events) + 1
        events.append(Record(id, item.time, "L1", "up" if item.sender == "a" else "down", "app", size))
        events.append(Record(id + 1, item.time + 0.004, "L2", "down", "app", size + 200))
    return LinkTrace("client-network.alice", tuple(events))


def test_messages_are_counted_both_ways_and_nobody_is_named(make_talk: Callable[[int], list[Any]]) -> None:
    findings = {finding.question: finding for finding in observe(watched(make_talk(20)))}
    assert findings["who"].answer == {"pairs": []}
    sent = findings["count"].answer["sent"]
    assert abs(sent[PHONE] - 20) <= 1
    assert abs(sent[""] - 20) <= 1
    assert findings["devices"].answer == {"devices": {PHONE: [PHONE, LAPTOP]}}
    assert findings["contacts"].answer == {"contacts": {}}
    assert findings["text"].answer == {"texts": []}
    assert all(ref.startswith("client-network.alice#") for f in findings.values() for ref in f.records)


def test_an_empty_trace() -> None:
    findings = {finding.question: finding for finding in observe(LinkTrace("p", ()))}
    assert findings["count"].answer == {"sent": {}}
