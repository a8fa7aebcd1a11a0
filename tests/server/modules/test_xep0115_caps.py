from __future__ import annotations

from quietwire.core import ns
from quietwire.core.xml import parse
from quietwire.server.caps import verification
from quietwire.server.modules import xep0030_disco, xep0115_caps
from quietwire.server.modules.xep0115_caps import make
from quietwire.testing.assembly import Assembly


def test_the_stream_features_promise_what_disco_then_answers() -> None:
    modules = (xep0030_disco.MODULE, xep0115_caps.MODULE)
    element = make(modules)
    assert element.tag == "{http://jabber.org/protocol/caps}c"
    house = Assembly(modules)
    node = f"{element.get('node')}#{element.get('ver')}"
    house.receive(
        f"<iq type='get' id='1' to='a.example'><query xmlns='{ns.DISCO_INFO}' node='{node}'/></iq>", "b.example"
    )
    [answer] = house.take_remote()
    query = parse(answer.encode(), ns.CLIENT)[0]
    assert query.get("node") == node
    assert verification(query, "sha-1") == element.get("ver")
    assert "http://jabber.org/protocol/caps" in [feature.get("var") for feature in query]
