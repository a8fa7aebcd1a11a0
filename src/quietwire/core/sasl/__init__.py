"""SASL, the server's side, as pure state machines."""

from __future__ import annotations

from quietwire.core.sasl.external import parse_external
from quietwire.core.sasl.failure import CONDITIONS, SaslFailure, check_authzid, decode_payload, encode_payload
from quietwire.core.sasl.plain import Plain, check_plain, parse_plain
from quietwire.core.sasl.scram import MECHANISMS, Request, Scram, Success, make_nonce
from quietwire.core.sasl.verifier import (
    DEFAULT_ITERATIONS,
    HASHES,
    KEY_BYTES,
    SALT_BYTES,
    Keys,
    PasswordError,
    Verifier,
    base_mechanism,
    decoy,
    derive,
    prepare_password,
)

__all__ = [
    "CONDITIONS",
    "DEFAULT_ITERATIONS",
    "HASHES",
    "KEY_BYTES",
    "MECHANISMS",
    "SALT_BYTES",
    "Keys",
    "PasswordError",
    "Plain",
    "Request",
    "SaslFailure",
    "Scram",
    "Success",
    "Verifier",
    "base_mechanism",
    "check_authzid",
    "check_plain",
    "decode_payload",
    "decoy",
    "derive",
    "encode_payload",
    "make_nonce",
    "parse_external",
    "parse_plain",
    "prepare_password",
]
