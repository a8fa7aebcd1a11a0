"""What a client's login can be bound to, of one TLS connection (XEP-0440, XEP-0515)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from quietwire.net.exporter import exporter
from quietwire.net.tls import channel_bindings

_VERSIONS: Final[Mapping[str | None, str]] = {"TLSv1.2": "0303", "TLSv1.3": "0304"}


def bindings_of(connection: ssl.SSLObject, certificate: bytes) -> Mapping[str, bytes]:
    """`links.Link.bindings` of a connection on which we showed `certificate` (DER), the strongest first."""
    bindings = dict(channel_bindings(certificate))
    exported = exporter(connection)
    if exported is not None:
        bindings = {"tls-exporter": exported, **bindings}
    if connection.version() == "TLSv1.3":
        # The client's Finished message, a MAC over this handshake under its own keys. Nothing defines it as a binding
        # of TLS 1.3 (RFC 9266 §1), so it is not announced; older clients bind to it unasked (slixmpp to 1.8, poezio).
        finished = connection.get_channel_binding("tls-unique")
        if finished:
            bindings["tls-unique"] = finished
    return bindings


def version_of(connection: ssl.SSLObject) -> str:
    """`links.Link.tls`."""
    return _VERSIONS.get(connection.version(), "")
