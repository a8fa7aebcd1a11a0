from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.core.sasl.external import parse_external
from quietwire.core.sasl.failure import SaslFailure


def test_identity() -> None:
    assert parse_external(b"") == ""
    assert parse_external("münchen.example".encode()) == "münchen.example"


@pytest.mark.parametrize("message", [b"a\0b", b"\xff", b"a" * 8193])
def test_malformed(message: bytes) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        parse_external(message)


@given(st.binary(max_size=32))
def test_no_input_raises_anything_but_a_failure(message: bytes) -> None:
    with contextlib.suppress(SaslFailure):
        assert parse_external(message).encode() == message
