"""XEP-0157: Contact Addresses for XMPP Services: whom to write to, as the configuration says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from quietwire.core.xml import Element
from quietwire.server.forms import field, form
from quietwire.server.module import Module, Setting, Xep

FORM: Final = "http://jabber.org/network/serverinfo"
KINDS: Final = ("abuse", "admin", "feedback", "sales", "security", "status", "support")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


def make(modules: tuple[Module, ...], settings: Mapping[str, Any]) -> Element | None:
    """None where nobody is to be written to. What is no URI is left out (§2: the values are URIs)."""
    found = {kind: [uri for uri in str(settings.get(kind, "")).split() if _URI.fullmatch(uri)] for kind in KINDS}
    fields = [field(f"{kind}-addresses", "list-multi", values=uris) for kind, uris in found.items() if uris]
    return form("result", FORM, fields) if fields else None


MODULE = Module(
    name="addresses",
    xep=Xep(157, "1.1.1"),
    features=(),
    handlers=tuple(
        Setting(kind, "", f"Addresses for {kind} as URIs, mailto: or xmpp: or https:, with spaces between them.")
        for kind in KINDS
    ),
    keeps=(),
    emits="the configured addresses in the server's disco#info",
    form=make,
)
