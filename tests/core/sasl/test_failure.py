from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.core.jid import parse_jid
from quietwire.core.sasl.failure import MAX_MESSAGE, SaslFailure, check_authzid, decode_payload, encode_payload, utf8


def condition(call: object, *args: object) -> str:
    with pytest.raises(SaslFailure) as caught:
        call(*args)  # type: ignore[operator]
    return caught.value.condition


def test_only_conditions_of_the_rfc() -> None:
    assert SaslFailure("aborted").condition == "aborted"
    with pytest.raises(ValueError, match="no such"):
        SaslFailure("bad-auth")


def test_payloads() -> None:
    assert (decode_payload("="), decode_payload(""), encode_payload(b"")) == (b"", b"", "=")
    assert decode_payload("AGp1bGlldAByMG0zMG15cjBtMzA=") == b"\0juliet\0r0m30myr0m30"
    for bad in ("a", "====", "A===", "AA==AA==", "A A=", "AAAA\n", "é", "\ud800", "AA-_"):
        assert condition(decode_payload, bad) == "incorrect-encoding"
    assert condition(decode_payload, "AAAA" * MAX_MESSAGE) == "malformed-request"


@given(st.binary(max_size=100))
def test_payloads_round_trip(data: bytes) -> None:
    assert decode_payload(encode_payload(data)) == data


@given(st.text(max_size=20))
def test_no_payload_raises_anything_but_a_failure(text: str) -> None:
    with contextlib.suppress(SaslFailure):
        assert len(decode_payload(text)) <= len(text)


def test_authorization_identity() -> None:
    account = parse_jid("juliet@example.com/balcony")
    for own in ("", "juliet@example.com", "JULIET@example.com."):
        check_authzid(own, account)
    for other in ("romeo@example.com", "juliet@example.com/x", "juliet", "@", "example.com", "\ud800"):
        assert condition(check_authzid, other, account) == "invalid-authzid"


def test_utf8() -> None:
    assert utf8("é".encode()) == "é"
    assert condition(utf8, b"\xff") == condition(utf8, b"a" * (MAX_MESSAGE + 1)) == "malformed-request"
