"""SCRAM, the client's side (RFC 5802, RFC 7677), without I/O: for a helper that logs in for a client."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from quietwire.core.sasl.failure import SaslFailure, utf8
from quietwire.core.sasl.plain import Plain
from quietwire.core.sasl.verifier import PasswordError, prepare_password
from quietwire.core.wipe import wipe

HASHES: Final = {"SCRAM-SHA-512": "sha512", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
"""Mechanism -> hash, the best first."""
ITERATIONS: Final = 1_000_000
"""More is refused: half a second of work, ten times what servers ask for."""
_FIRST = re.compile(r"r=(?P<nonce>[!-+\--~]+),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<iterations>[1-9][0-9]{0,8})(?:,.*)?")
_ESCAPES = str.maketrans({"=": "=3D", ",": "=2C"})


class Initiator:
    """One exchange: `first()`, `final(server-first-message)`, `check(server-final-message)`.

    `binding`: (type, data) for a mechanism that binds the channel (-PLUS), else None: "not supported", which a server
    takes whatever it offers (RFC 5802 §6). `nonce`: printable, fresh, without a comma.
    """

    def __init__(self, mechanism: str, who: Plain, nonce: str, binding: tuple[str, bytes] | None = None) -> None:
        """Raises SaslFailure for a password that SCRAM cannot carry."""
        self._hash = HASHES[mechanism.removesuffix("-PLUS")]
        try:
            self._password = prepare_password(who.password).encode()
        except PasswordError:
            raise SaslFailure("not-authorized") from None
        flag, self._data = ("n", b"") if binding is None else (f"p={binding[0]}", binding[1])
        authzid = f"a={who.authzid.translate(_ESCAPES)}" if who.authzid else ""
        self._gs2 = f"{flag},{authzid},"
        self._nonce = nonce
        self._bare = f"n={who.username.translate(_ESCAPES)},r={nonce}"
        self._expected = b""

    def first(self) -> bytes:
        return (self._gs2 + self._bare).encode()

    def final(self, server_first: bytes) -> bytes:
        """Raises SaslFailure for a message that is none. The password is wiped."""
        text = utf8(server_first)
        match = _FIRST.fullmatch(text)
        if match is None or not match["nonce"].startswith(self._nonce) or match["nonce"] == self._nonce:
            raise SaslFailure("malformed-request")
        iterations = int(match["iterations"])
        if iterations > ITERATIONS:
            raise SaslFailure("mechanism-too-weak")
        try:
            salt = base64.b64decode(match["salt"], validate=True)
        except binascii.Error:
            raise SaslFailure("malformed-request") from None
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        wipe(self._password)
        self._password = b""
        channel = base64.b64encode(self._gs2.encode() + self._data).decode()
        unproved = f"c={channel},r={match['nonce']}"
        transcript = f"{self._bare},{text},{unproved}".encode()
        client_key = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._hash, client_key).digest(), transcript)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._expected = b"v=" + base64.b64encode(self._mac(self._mac(salted, b"Server Key"), transcript))
        wipe(salted)
        wipe(client_key)
        return f"{unproved},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final: bytes) -> bool:
        """Whether the server has proved that it knows the password too."""
        return bool(self._expected) and hmac.compare_digest(server_final.partition(b",")[0], self._expected)

    def _mac(self, key: bytes, message: bytes) -> bytes:
        return hmac.new(key, message, self._hash).digest()
