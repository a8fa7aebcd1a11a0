"""SASL, the server's side, as pure state machines."""

from __future__ import annotations

from quietwire.core.sasl.downgrade import announced, attributes, offered_hash
from quietwire.core.sasl.external import parse_external
from quietwire.core.sasl.failure import CONDITIONS, SaslFailure, check_authzid, decode_payload, encode_payload
from quietwire.core.sasl.ht import HT_BINDINGS, Hashed, ht_mechanisms, initiator, parse_ht, responder
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
    "HT_BINDINGS",
    "KEY_BYTES",
    "MECHANISMS",
    "SALT_BYTES",
    "Hashed",
    "Keys",
    "PasswordError",
    "Plain",
    "Request",
    "SaslFailure",
    "Scram",
    "Success",
    "Verifier",
    "announced",
    "attributes",
    "base_mechanism",
    "check_authzid",
    "check_plain",
    "decode_payload",
    "decoy",
    "derive",
    "encode_payload",
    "ht_mechanisms",
    "initiator",
    "make_nonce",
    "offered_hash",
    "parse_external",
    "parse_ht",
    "parse_plain",
    "prepare_password",
    "responder",
]
