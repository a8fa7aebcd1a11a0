from __future__ import annotations

import json

from quietwire.client import events
from quietwire.client.trust import Trust


def test_events_are_json_with_their_name() -> None:
    message = events.Message(
        sender="a@x.example", peer="b@x.example", device=1, trust=Trust.UNDECIDED, id="i", stamp=1.0, text="t"
    )
    fields = json.loads(json.dumps(events.Sent(what=message).as_dict()))
    assert fields["event"] == "Sent"
    assert fields["what"]["event"] == "Message"
    assert fields["what"]["trust"] == "undecided"
    assert fields["what"]["text"] == "t"


def test_events_without_a_message_are_json_too() -> None:
    assert events.Resumed(resent=3).as_dict() == {"event": "Resumed", "resent": 3}
    assert events.LinkLost().as_dict() == {"event": "LinkLost"}
