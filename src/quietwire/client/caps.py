"""What we say about ourselves when asked: disco (XEP-0030), capabilities (XEP-0115), ping (XEP-0199). Pure.

As little as works: `+notify` makes servers send us device lists; the rest is what those protocols themselves ask for.
What goes inside an envelope is not announced: it would tell the server what our messages may be.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final
from xml.etree.ElementTree import Element

from quietwire.client.omemo_xml import DEVICES
from quietwire.core import ns
from quietwire.core.xml import build

CAPS: Final = "http://jabber.org/protocol/caps"
PING: Final = "urn:xmpp:ping"
NODE: Final = "urn:quietwire:client"

FEATURES: Final = tuple(sorted((ns.DISCO_INFO, CAPS, PING, f"{DEVICES}+notify")))


def version() -> str:
    """The verification string (XEP-0115 §5.1) of our one identity, an unnamed client, and FEATURES."""
    text = "client/pc//<" + "".join(f"{feature}<" for feature in FEATURES)
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode("ascii")


def presence() -> Element:
    """Initial presence, with nothing in it but capabilities."""
    c = build(f"{{{CAPS}}}c", {"hash": "sha-1", "node": NODE, "ver": version()})
    return build(f"{{{ns.CLIENT}}}presence", None, c)


def answer(iq: Element) -> Element:
    """The reply to a get or set that nothing else has answered."""
    query = iq.find(f"{{{ns.DISCO_INFO}}}query")
    known = query is not None and query.get("node") in (None, f"{NODE}#{version()}")
    if iq.get("type") == "get" and query is not None and known:
        identity = build(f"{{{ns.DISCO_INFO}}}identity", {"category": "client", "type": "pc"})
        features = (build(f"{{{ns.DISCO_INFO}}}feature", {"var": feature}) for feature in FEATURES)
        node = {"node": found} if (found := query.get("node")) else None
        return reply(iq, build(query.tag, node, identity, *features))
    if iq.get("type") == "get" and iq.find(f"{{{PING}}}ping") is not None:
        return reply(iq)
    error = build(f"{{{ns.CLIENT}}}error", {"type": "cancel"}, build(f"{{{ns.STANZAS}}}service-unavailable"))
    return reply(iq, error, type="error")


def reply(iq: Element, *payload: Element, type: str = "result") -> Element:
    attributes = {"type": type, "id": iq.get("id", "")}
    if sender := iq.get("from"):
        attributes["to"] = sender
    return build(f"{{{ns.CLIENT}}}iq", attributes, *payload)
