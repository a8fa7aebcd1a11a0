from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quietwire.core.sasl.verifier import (
    HASHES,
    SALT_BYTES,
    PasswordError,
    Verifier,
    base_mechanism,
    decoy,
    derive,
    prepare_password,
)

SECRET = b"s" * 32


@pytest.mark.parametrize(
    ("raw", "prepared"),
    [
        ("I\u00adX", "IX"),  # the examples of RFC 4013 §3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("a b ", "a b "),
        ("\u0627\u0628", "\u0627\u0628"),
        ("🍺", "🍺"),  # newer than Unicode 3.2
    ],
)
def test_saslprep(raw: str, prepared: str) -> None:
    assert prepare_password(raw) == prepared
    assert derive(raw, b"salt", 1, "SCRAM-SHA-1") == derive(prepared, b"salt", 1, "SCRAM-SHA-1")


@pytest.mark.parametrize("raw", ["", "\u00ad", "\u0007", "\u06271", "a\0b", "\ue000", "\ud800", "\u0627a\u0628"])
def test_refused_passwords(raw: str) -> None:
    with pytest.raises(PasswordError) as caught:
        derive(raw, b"salt", 1, "SCRAM-SHA-1")
    assert str(caught.value).startswith("a password must not ")


def test_only_the_hash_of_the_client_key_is_stored() -> None:
    for mechanism, name in HASHES.items():
        keys = derive("pencil", b"salt", 2, mechanism)
        assert keys.stored_key == hashlib.new(name, keys.client_key).digest()
        assert derive("pencil", b"salt", 2, mechanism + "-PLUS") == keys
        assert "b'" not in repr(keys)


@given(
    st.binary(min_size=1, max_size=255),
    st.integers(1, 2**32 - 1),
    st.sampled_from([20, 32]).flatmap(
        lambda n: st.tuples(st.binary(min_size=n, max_size=n), st.binary(min_size=n, max_size=n))
    ),
)
def test_bytes_round_trip(salt: bytes, iterations: int, keys: tuple[bytes, bytes]) -> None:
    verifier = Verifier(salt, iterations, *keys)
    assert Verifier.from_bytes(verifier.to_bytes()) == verifier


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda b: b"\x01\0\0\x10\0\x10\x14" + b))
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert Verifier.from_bytes(data).to_bytes() == data


def test_format_of_version_1() -> None:
    verifier = Verifier(b"\xaa\xbb", 4096, b"k" * 20, b"v" * 20)
    assert verifier.to_bytes().hex() == "01000010000214aabb" + "6b" * 20 + "76" * 20
    for bad in (b"", b"\x02" + verifier.to_bytes()[1:], verifier.to_bytes() + b"x", verifier.to_bytes()[:-1]):
        with pytest.raises(ValueError, match="verifier"):
            Verifier.from_bytes(bad)


def test_a_decoy_is_stable_and_looks_like_a_user() -> None:
    for mechanism in HASHES:
        keys = derive("pencil", b"x" * SALT_BYTES, 2, mechanism)
        made_up = decoy(SECRET, "nobody", mechanism, 2)
        assert made_up == decoy(SECRET, "nobody", mechanism + "-PLUS", 2)
        assert [len(b) for b in (made_up.salt, made_up.stored_key, made_up.server_key)] == [
            SALT_BYTES,
            len(keys.stored_key),
            len(keys.server_key),
        ]
        others = [decoy(SECRET, "nobody2", mechanism, 2), decoy(b"t" * 32, "nobody", mechanism, 2)]
        assert len({made_up.salt, *(o.salt for o in others)}) == 3
    assert decoy(SECRET, "n", "SCRAM-SHA-1", 2).salt != decoy(SECRET, "n", "SCRAM-SHA-256", 2).salt
    assert decoy(SECRET, "\ud800", "SCRAM-SHA-1", 2).salt


def test_base_mechanism() -> None:
    assert base_mechanism("SCRAM-SHA-1-PLUS") == base_mechanism("SCRAM-SHA-1") == "SCRAM-SHA-1"
