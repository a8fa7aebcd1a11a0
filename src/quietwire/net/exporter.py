"""Keying material of a TLS connection (RFC 5705), for the channel binding tls-exporter (RFC 9266).

`ssl` does not offer it. OpenSSL does, and CPython holds OpenSSL's object in the third word of its own; both are
reached through ctypes. Nothing is taken on trust: the word after it must be the connection's context, or no pointer is
followed; and OpenSSL asked that way must tell the same Finished message as `ssl` tells, or the answer is None. Then
only tls-server-end-point is offered. See docs/adr/0009-tls-exporter.md.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys
from functools import cache
from typing import Any, Final

_LABEL: Final = b"EXPORTER-Channel-Binding"
_BYTES: Final = 32
_WORD: Final = ctypes.sizeof(ctypes.c_void_p)
_HEAD: Final = object.__basicsize__
"""Of every object: count of references and type."""


def exporter(connection: ssl.SSLObject | None) -> bytes | None:
    """The binding's data for a finished TLS 1.3 connection; None where it cannot be had.

    TLS 1.2 would need the extended master secret (RFC 9266 §3), about which `ssl` says nothing."""
    if connection is None or connection.version() != "TLSv1.3":
        return None
    library, inner = _library(), getattr(connection, "_sslobj", None)
    if library is None or inner is None or type(inner) is not _ssl._SSLSocket:  # type: ignore[attr-defined]
        return None
    address = id(inner) + _HEAD
    if _word(address + 2 * _WORD) != id(connection.context):
        return None
    handle = _word(address + _WORD)
    if not handle or not _known(library, connection, handle):
        return None
    out = ctypes.create_string_buffer(_BYTES)
    done = library.SSL_export_keying_material(handle, out, _BYTES, _LABEL, len(_LABEL), b"", 0, 1)
    return out.raw if done == 1 else None


def _word(address: int) -> int:
    return ctypes.c_void_p.from_address(address).value or 0


def _known(library: Any, connection: ssl.SSLObject, handle: int) -> bool:
    """Whether OpenSSL's object is this connection's: they must agree on a Finished message."""
    for finished in (library.SSL_get_finished, library.SSL_get_peer_finished):
        out = ctypes.create_string_buffer(64)
        size = finished(handle, out, 64)
        if size and out.raw[:size] == connection.get_channel_binding("tls-unique"):
            return True
    return False


@cache
def _library() -> Any:
    """The OpenSSL that `ssl` itself uses, or None."""
    if sys.implementation.name != "cpython":
        return None
    try:
        library = ctypes.CDLL(_ssl.__file__)
        for name in ("SSL_get_finished", "SSL_get_peer_finished"):
            function = getattr(library, name)
            function.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
            function.restype = ctypes.c_size_t
        export = library.SSL_export_keying_material
    except (OSError, AttributeError):  # built in, or linked so that nothing can be found
        return None
    export.argtypes = (
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int,
    )  # fmt: skip
    export.restype = ctypes.c_int
    return library
