from __future__ import annotations

import pytest

from quietwire.server.http import Request, form_fields, websocket_url

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        (FORM, b"name=Tom&password=a+b%26", {"name": "Tom", "password": "a b&"}),
        (f"{FORM.upper()}; charset=utf-8", b"a=1&a=2", {"a": "1"}),
        ("text/plain", b"a=1", {}),
        ("", b"a=1", {}),
        (FORM, b"a=\xff", {}),
        (FORM, "a=\u00fc".encode(), {"a": "\u00fc"}),
        (FORM, b"&".join(b"a%d=1" % number for number in range(11)), {}),
        (FORM, b"", {}),
    ],
)
def test_fields_of_a_form(kind: str, body: bytes, found: dict[str, str]) -> None:
    headers = {"content-type": kind} if kind else {}
    assert form_fields(Request("POST", "/", {}, headers, body)) == found


def test_where_the_websocket_is() -> None:
    assert websocket_url("https://a.example") == "wss://a.example/xmpp-websocket"
