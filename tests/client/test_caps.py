from __future__ import annotations

import base64
import hashlib

import pytest

from quietwire.client import caps
from quietwire.core import ns
from quietwire.core.xml import Element, build


def request(payload: Element, type: str = "get") -> Element:
    return build(f"{{{ns.CLIENT}}}iq", {"type": type, "id": "1", "from": "b.example"}, payload)


def test_the_hash_is_that_of_what_we_answer() -> None:
    answer = caps.answer(request(build(f"{{{ns.DISCO_INFO}}}query", {"node": f"{caps.NODE}#{caps.version()}"})))
    query = answer[0]
    identities = [f"{i.get('category')}/{i.get('type')}//<" for i in query if i.tag.endswith("identity")]
    features = sorted(f.get("var", "") + "<" for f in query if f.tag.endswith("feature"))
    digest = hashlib.sha1("".join(identities + features).encode()).digest()
    assert base64.b64encode(digest).decode() == caps.version()
    assert caps.presence()[0].get("ver") == caps.version()
    assert (answer.get("type"), answer.get("to"), answer.get("id")) == ("result", "b.example", "1")


def test_device_lists_are_asked_for_and_nothing_is_told_that_goes_inside_envelopes() -> None:
    assert "urn:xmpp:omemo:2:devices+notify" in caps.FEATURES
    assert not {"urn:xmpp:receipts", "http://jabber.org/protocol/chatstates"} & set(caps.FEATURES)


def test_pings_are_answered() -> None:
    assert caps.answer(request(build(f"{{{caps.PING}}}ping"))).get("type") == "result"


@pytest.mark.parametrize(
    ("payload", "type"),
    [
        (build(f"{{{ns.DISCO_INFO}}}query", {"node": "other"}), "get"),
        (build(f"{{{ns.DISCO_INFO}}}query"), "set"),
        (build("{jabber:iq:version}query"), "get"),
    ],
)
def test_everything_else_is_an_error(payload: Element, type: str) -> None:
    answer = caps.answer(request(payload, type))
    assert answer.get("type") == "error"
    assert answer.find(f"{{{ns.CLIENT}}}error/{{{ns.STANZAS}}}service-unavailable") is not None
