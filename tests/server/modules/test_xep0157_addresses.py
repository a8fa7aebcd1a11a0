from __future__ import annotations

from quietwire.core.xml import serialise
from quietwire.server.modules import xep0030_disco
from quietwire.server.modules.xep0157_addresses import MODULE, make
from quietwire.testing.assembly import Assembly

SETTINGS = {"abuse": "mailto:abuse@a.example xmpp:abuse@a.example", "support": "https://a.example/help not-a-uri"}


def test_only_addresses_that_are_configured_and_are_addresses() -> None:
    x = make((), SETTINGS)
    assert x is not None
    assert serialise(x, "jabber:x:data").decode() == (
        "<x type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value>"
        "</field><field var='abuse-addresses' type='list-multi'><value>mailto:abuse@a.example</value>"
        "<value>xmpp:abuse@a.example</value></field><field var='support-addresses' type='list-multi'>"
        "<value>https://a.example/help</value></field></x>"
    )
    assert make((), {}) is None
    assert make((), {"admin": "me"}) is None


def test_the_server_shows_them() -> None:
    house = Assembly((MODULE, xep0030_disco.MODULE), settings={"addresses": SETTINGS})
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    house.receive(f"<iq type='get' id='1' to='a.example'>{query}</iq>", "eve@e.example/x")
    assert "<value>mailto:abuse@a.example</value>" in house.take_remote()[0]
