from __future__ import annotations

import xml.etree.ElementTree as ET

from quietwire.server.http import Request, Response
from quietwire.server.modules.xep0156_host_meta import MODULE
from quietwire.testing.assembly import Assembly
from quietwire.testing.web import ask


def answer(web: str) -> Response:
    house = Assembly((MODULE,), extra={"web": web})
    return ask(house, Request("GET", "/.well-known/host-meta"))


def test_the_document_says_where_the_websocket_is() -> None:
    got = answer("https://a.example:5443")
    assert got.status == 200
    assert got.headers["Content-Type"] == "application/xrd+xml"
    root = ET.fromstring(got.body)
    (link,) = root
    assert root.tag == "{http://docs.oasis-open.org/ns/xri/xrd-1.0}XRD"
    assert link.attrib == {
        "rel": "urn:xmpp:alt-connections:websocket",
        "href": "wss://a.example:5443/xmpp-websocket",
    }


def test_any_page_may_read_it() -> None:
    assert answer("https://a.example").headers["Access-Control-Allow-Origin"] == "*"
