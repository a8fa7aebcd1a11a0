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
    fixed = channel_bindings(certificate)
    exported = exporter(connection)
    return fixed if exported is None else {"tls-exporter": exported, **fixed}


def version_of(connection: ssl.SSLObject) -> str:
    """`links.Link.tls`."""
    return _VERSIONS.get(connection.version(), "")
