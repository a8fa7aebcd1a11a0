"""SCRAM, the server's side (RFC 5802, RFC 7677), with channel binding (RFC 5929, RFC 9266) and without I/O.

The exchange is three calls, in this order, each at most once; after a failure the object is spent::

    first(client-first-message) -> Request      who wants in; look the verifier up, or take a decoy
    challenge(verifier)         -> server-first-message
    final(client-final-message) -> Success      with the server-final-message and ClientKey
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from quietwire.core.sasl.failure import SaslFailure, utf8
from quietwire.core.sasl.verifier import HASHES, KEY_BYTES, Verifier, base_mechanism
from quietwire.core.wipe import wipe

MECHANISMS: Final = tuple(name + suffix for suffix in ("-PLUS", "") for name in HASHES)
"""All of them, the best first."""

MAX_NONCE: Final = 512
"""Characters of a client's nonce. Usual ones have 16 to 64; it is sent back and hashed twice."""

_NAME = r"(?:[^\0=,]|=2C|=3D)+"
_PRINTABLE = r"[!-+\--~]+"
_EXTENSIONS = r"(?:,[A-Za-z]=[^\0,]+)*"
_CLIENT_FIRST = re.compile(
    rf"(?P<gs2>(?P<flag>[ny]|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>{_NAME}))?,)"
    rf"(?P<bare>n=(?P<name>{_NAME}),r=(?P<nonce>{_PRINTABLE}){_EXTENSIONS})",
    re.DOTALL,
)
_CLIENT_FINAL = re.compile(
    rf"(?P<unproved>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>{_PRINTABLE}){_EXTENSIONS}),p=(?P<proof>[A-Za-z0-9+/=]+)",
    re.DOTALL,
)
_MANDATORY = re.compile(",m=")


class _Next(Enum):
    FIRST = "first"
    CHALLENGE = "challenge"
    FINAL = "final"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Request:
    """Whom the client claims to be, unescaped but not prepared: the caller makes a JID of it.

    `authzid` is '' when absent; hand it to `check_authzid` after success.
    """

    username: str = field(repr=False)
    authzid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Success:
    """`server_final` goes to the client; `client_key` unwraps the account's secret and is then wiped."""

    server_final: bytes
    client_key: bytearray = field(repr=False)


def make_nonce(randomness: Callable[[int], bytes]) -> str:
    """A server's part of the nonce: 144 random bits, printable and without a comma."""
    return base64.b64encode(randomness(18)).decode()


class Scram:
    """One exchange. Raises `SaslFailure` and nothing else, whatever the client sends.

    `mechanism` one of `MECHANISMS`; `bindings` the channel bindings that can be had on this connection, type -> data;
    `nonce` from `make_nonce`; `advertised_plus` whether any -PLUS mechanism was offered on this stream: a client that
    supports channel binding and says it did not see the offer was lied to by somebody in between; `attributes` of
    `core.sasl.downgrade`, told along with the challenge.
    """

    def __init__(
        self,
        mechanism: str,
        bindings: Mapping[str, bytes],
        nonce: str,
        advertised_plus: bool,
        attributes: str = "",
    ) -> None:
        if mechanism not in MECHANISMS:
            raise SaslFailure("invalid-mechanism")
        self._hash = HASHES[base_mechanism(mechanism)]
        self._key_bytes = KEY_BYTES[base_mechanism(mechanism)]
        self._plus = mechanism.endswith("-PLUS")
        self._bindings = bindings
        self._advertised_plus = advertised_plus
        self._nonce = nonce
        self._attributes = attributes
        self._next = _Next.FIRST
        self._expected_binding = b""
        self._transcript = b""
        self._verifier: Verifier | None = None

    def first(self, client_first: bytes) -> Request:
        """Reads the client-first-message.

        Raises ``malformed-request`` also for extensions marked mandatory, of which there are none yet, and
        ``not-authorized`` for a binding type that is not to be had or a downgrade (RFC 5802 §6).
        """
        self._turn(_Next.FIRST)
        match = _CLIENT_FIRST.fullmatch(utf8(client_first))
        if match is None or _MANDATORY.search(match["bare"]) or len(match["nonce"]) > MAX_NONCE:
            raise SaslFailure("malformed-request")
        if self._plus != (match["binding"] is not None):
            raise SaslFailure("malformed-request")
        data = b""
        if self._plus:
            if match["binding"] not in self._bindings:
                raise SaslFailure("not-authorized")
            data = self._bindings[match["binding"]]
        elif match["flag"] == "y" and self._advertised_plus:
            raise SaslFailure("not-authorized")
        self._expected_binding = match["gs2"].encode() + data
        self._nonce = match["nonce"] + self._nonce
        self._transcript = match["bare"].encode()
        self._next = _Next.CHALLENGE
        return Request(_unescape(match["name"]), _unescape(match["authzid"] or ""))

    def challenge(self, verifier: Verifier) -> bytes:
        """The server-first-message for this user, real or made up."""
        self._turn(_Next.CHALLENGE)
        if len(verifier.stored_key) != self._key_bytes:
            raise ValueError("a verifier of another mechanism")
        self._verifier = verifier
        salt = base64.b64encode(verifier.salt).decode()
        message = f"r={self._nonce},s={salt},i={verifier.iterations}{self._attributes}".encode()
        self._transcript += b"," + message
        self._next = _Next.FINAL
        return message

    def final(self, client_final: bytes) -> Success:
        """Checks binding, nonce and proof. Raises ``malformed-request`` or ``not-authorized``."""
        self._turn(_Next.FINAL)
        assert self._verifier is not None
        match = _CLIENT_FINAL.fullmatch(utf8(client_final))
        if match is None or _MANDATORY.search(match["unproved"]):
            raise SaslFailure("malformed-request")
        binding, proof = _base64(match["binding"]), _base64(match["proof"])
        transcript = self._transcript + b"," + match["unproved"].encode()
        signature = hmac.digest(self._verifier.stored_key, transcript, self._hash)
        if len(proof) != len(signature):
            raise SaslFailure("malformed-request")
        client_key = bytearray(proof)
        for place, byte in enumerate(signature):
            client_key[place] ^= byte
        wipe(proof)  # with StoredKey and the nonces it is as good as ClientKey
        proved = hmac.compare_digest(hashlib.new(self._hash, client_key).digest(), self._verifier.stored_key)
        same_nonce = hmac.compare_digest(match["nonce"].encode(), self._nonce.encode())
        bound = hmac.compare_digest(binding, self._expected_binding)
        if not (proved and same_nonce and bound):
            wipe(client_key)
            raise SaslFailure("not-authorized")
        server_signature = hmac.digest(self._verifier.server_key, transcript, self._hash)
        return Success(b"v=" + base64.b64encode(server_signature), client_key)

    def _turn(self, step: _Next) -> None:
        if self._next is not step:
            raise SaslFailure("malformed-request")
        self._next = _Next.NOTHING


def _unescape(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SaslFailure("malformed-request") from None
