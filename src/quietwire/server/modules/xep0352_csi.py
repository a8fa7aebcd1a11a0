"""XEP-0352: Client State Indication. A client says that nobody looks at it; `server/resting.py` has what follows."""

from __future__ import annotations

from typing import Final

from quietwire.core.stanza import Nonza
from quietwire.core.xml import Element, build
from quietwire.server.module import Context, Module, NonzaHook, StreamFeature, Xep
from quietwire.server.resting import rest, wake

NS: Final = "urn:xmpp:csi:0"


def on_inactive(context: Context, nonza: Nonza) -> None:
    assert context.session is not None
    rest(context.session)


def on_active(context: Context, nonza: Nonza) -> None:
    assert context.session is not None
    wake(context.session)


def feature(modules: object) -> Element:
    return build(f"{{{NS}}}csi")


MODULE = Module(
    name="csi",
    xep=Xep(352, "1.0.0"),
    features=(),
    handlers=(
        NonzaHook(f"{{{NS}}}inactive", on_inactive, inline=NS),
        NonzaHook(f"{{{NS}}}active", on_active, inline=NS),
        StreamFeature(feature),
    ),
    keeps=(),
    emits="presence and personal events to an inactive device later and fewer, notices of typing not at all; who "
    "watches that device's link sees that it is inactive",
)
