"""PLAIN (RFC 4616), for TLS only: the caller must not offer or take it elsewhere."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from quietwire.core.sasl.failure import SaslFailure, utf8
from quietwire.core.sasl.verifier import PasswordError, Verifier, derive_prepared, prepare_password
from quietwire.core.wipe import wipe, wipe_text


@dataclass(frozen=True, slots=True)
class Plain:
    """What a PLAIN message says, not prepared. `authzid` is '' when absent."""

    authzid: str = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)


def parse_plain(message: bytes) -> Plain:
    """Reads ``[authzid] NUL authcid NUL passwd``; `message` and the password are the caller's to wipe. Raises
    `SaslFailure` ``malformed-request``."""
    text = utf8(message)
    parts = text.split("\0")
    wipe_text(text)
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise SaslFailure("malformed-request")
    return Plain(*parts)


def check_plain(password: str, verifier: Verifier, mechanism: str) -> bytes | None:
    """ClientKey under `mechanism` if the password is right, else None, after the same time.

    Give it a decoy for unknown users. Takes as long as `derive`: not on an event loop.
    """
    try:
        prepared = prepare_password(password)
    except PasswordError:
        prepared = password  # fits no verifier, since none is made of it; takes the same time
    encoded = prepared.encode("utf-8", "surrogatepass")
    if prepared is not password:
        wipe_text(prepared)
    keys = derive_prepared(encoded, verifier.salt, verifier.iterations, mechanism)
    wipe(encoded)
    if hmac.compare_digest(keys.stored_key, verifier.stored_key):
        return keys.client_key
    wipe(keys.client_key)
    return None
