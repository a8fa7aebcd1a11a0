"""The client's side of SCRAM (RFC 5802), for tests: written from the RFC alone, shares no code with the server's."""

from __future__ import annotations

import base64
import hashlib
import hmac


class ScramClient:
    def __init__(
        self,
        mechanism: str,
        username: str,
        password: str,
        nonce: str,
        *,
        flag: str = "n",
        binding: bytes = b"",
        authzid: str = "",
    ) -> None:
        self.hash = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism.removesuffix("-PLUS")]
        self.password = password
        self.nonce = nonce
        self.binding = binding
        escape = str.maketrans({"=": "=3D", ",": "=2C"})
        self.gs2 = f"{flag},{'a=' + authzid.translate(escape) if authzid else ''},"
        self.bare = f"n={username.translate(escape)},r={nonce}"
        self.client_key = b""
        self.server_signature = b""

    def first(self) -> bytes:
        return (self.gs2 + self.bare).encode()

    def final(self, server_first: bytes) -> bytes:
        values = dict(item.split("=", 1) for item in server_first.decode().split(","))
        assert values["r"].startswith(self.nonce)
        assert len(values["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac(self.hash, self.password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        channel = base64.b64encode(self.gs2.encode() + self.binding).decode()
        unproved = f"c={channel},r={values['r']}"
        transcript = f"{self.bare},{server_first.decode()},{unproved}".encode()
        self.client_key = hmac.new(salted, b"Client Key", self.hash).digest()
        stored = hashlib.new(self.hash, self.client_key).digest()
        signature = hmac.new(stored, transcript, self.hash).digest()
        proof = bytes(a ^ b for a, b in zip(self.client_key, signature, strict=True))
        self.server_signature = hmac.new(
            hmac.new(salted, b"Server Key", self.hash).digest(), transcript, self.hash
        ).digest()
        return f"{unproved},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final: bytes) -> bool:
        return server_final == b"v=" + base64.b64encode(self.server_signature)
