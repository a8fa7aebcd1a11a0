from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quietwire.lab.observers.server_network import observe
from quietwire.lab.trace import LinkEvent, LinkTrace, Open, Record

PHONE, LAPTOP, STRANGER = "198.51.100.11", "198.51.100.12", "198.51.100.99"


def watched(talk: list[Any]) -> LinkTrace:
    events: list[LinkEvent] = [
        Open(1, 1.0, "L1", PHONE, "a.example"),
        Open(2, 1.0, "L2", LAPTOP, "a.example"),
        Open(3, 1.0, "L3", STRANGER, "a.example"),
        Open(4, 1.0, "S1", "a.example", "b.example"),
        Open(5, 1.0, "S2", "b.example", "a.example"),
    ]

    def put(time: float, link: str, direction: Any, size: int) -> None:
        events.append(Record(len(events) + 1, time, link, direction, "app", size))

    for item in talk:
        size = 1616 + 684 * item.level + (3 if item.kind == "typing" else 0)
        if item.sender == "a":
            put(item.time - 0.003, "L1", "up", size - 40)
            put(item.time, "S1", "up", size)
        else:
            put(item.time, "S2", "up", size)
            put(item.time + 0.003, "L1", "down", size)
        put(item.time + 0.003, "L2", "down", size + 200)
    return LinkTrace("server-network.a.example", tuple(events))


def test_in_from_alice_is_joined_with_out_to_b(make_talk: Callable[[int], list[Any]]) -> None:
    findings = {finding.question: finding for finding in observe(watched(make_talk(20)))}
    assert findings["who"].answer == {"pairs": [[PHONE, "b.example"]]}
    assert findings["contacts"].answer == {"contacts": {PHONE: ["b.example"]}}
    assert findings["devices"].answer["devices"] == {PHONE: [PHONE, LAPTOP], STRANGER: [STRANGER]}
    sent = findings["count"].answer["sent"]
    assert abs(sent[PHONE] - 20) <= 1
    assert abs(sent["b.example"] - 20) <= 1


def test_an_empty_trace() -> None:
    findings = {finding.question: finding for finding in observe(LinkTrace("p", ()))}
    assert findings["who"].answer == {"pairs": []}
