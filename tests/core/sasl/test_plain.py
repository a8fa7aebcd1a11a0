from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.core.sasl.failure import SaslFailure
from quietwire.core.sasl.plain import check_plain, parse_plain
from quietwire.core.sasl.verifier import HASHES, Verifier, decoy, derive


def test_examples_of_the_rfc() -> None:
    plain = parse_plain(b"\0tim\0tanstaaftanstaaf")
    assert (plain.authzid, plain.username, plain.password) == ("", "tim", "tanstaaftanstaaf")
    plain = parse_plain(b"Ursel\0Kurt\0xipj3plmq")
    assert (plain.authzid, plain.username, plain.password) == ("Ursel", "Kurt", "xipj3plmq")
    assert "xipj3plmq" not in repr(plain)


@pytest.mark.parametrize(
    "message",
    [b"", b"\0", b"\0\0", b"a\0b", b"\0a\0", b"\0\0b", b"\0a\0b\0c", b"\0a\0b\0", b"\0\xff\0b", b"\0a\0" + b"b" * 8192],
)
def test_malformed(message: bytes) -> None:
    with pytest.raises(SaslFailure, match="malformed-request"):
        parse_plain(message)


@pytest.mark.parametrize("mechanism", HASHES)
def test_password(mechanism: str) -> None:
    keys = derive("IX", b"salt", 2, mechanism)
    verifier = Verifier(b"salt", 2, keys.stored_key, keys.server_key)
    assert check_plain("IX", verifier, mechanism) == keys.client_key
    assert check_plain("\u2168", verifier, mechanism) == keys.client_key
    for wrong in ("ix", "", "\x07", "\ud800"):
        assert check_plain(wrong, verifier, mechanism) is None
    assert check_plain("IX", decoy(b"s" * 32, "nobody", mechanism, 2), mechanism) is None


@given(st.binary(max_size=32) | st.lists(st.sampled_from([b"\0", b"a", b"\xc3", b"\xa9"]), max_size=8).map(b"".join))
def test_no_input_raises_anything_but_a_failure(message: bytes) -> None:
    with contextlib.suppress(SaslFailure):
        plain = parse_plain(message)
        assert f"{plain.authzid}\0{plain.username}\0{plain.password}".encode() == message
