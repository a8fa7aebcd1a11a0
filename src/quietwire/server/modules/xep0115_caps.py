"""XEP-0115: Entity Capabilities. Says in the stream features what disco#info of the server would answer.

What clients say of theirs is learnt where it is used, in personal eventing (`server/caps.py`).
"""

from __future__ import annotations

from quietwire.core.xml import Element
from quietwire.server.caps import NS, SERVER_NODE, make_c
from quietwire.server.disco import server_info
from quietwire.server.module import Module, StreamFeature, Xep


def make(modules: tuple[Module, ...]) -> Element:
    """``<c/>`` for the stream features (§6.3)."""
    return make_c(SERVER_NODE, server_info(modules).query())


MODULE = Module(
    name="caps",
    xep=Xep(115, "1.6.0"),
    features=(NS,),
    handlers=(StreamFeature(make),),
    keeps=(),
    emits="a hash of the server's features in the stream features",
)
