from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from seal_vectors import VECTORS, draws

from quietwire.core.sasl import prepare_password
from quietwire.seal.passphrase import BITS, _word, make_passphrase


def test_vectors() -> None:
    vector = VECTORS["passphrase"]
    assert make_passphrase(draws(bytes.fromhex(vector["random"]))) == vector["text"]
    addresses = {
        "7f000001": "lusab-babad",
        "3f54dcc1": "gutih-tugad",
        "c0a80001": "safom-babad",
    }  # by the proquint rule
    for number, text in addresses.items():
        assert make_passphrase(draws(bytes.fromhex(number) + bytes(6))).startswith(text)


def test_entropy() -> None:
    """Every number is another word, so no bit of the 80 is lost."""
    assert len({_word(n) for n in range(1 << 16)}) == 1 << 16
    assert math.log2((1 << 16) ** 5) == BITS >= 77


@given(st.binary(min_size=10, max_size=10))
def test_typed_the_same_everywhere(data: bytes) -> None:
    text = make_passphrase(draws(data))
    assert len(text) == 29
    assert set(text) <= set("abdfghijklmnoprstuvz-")
    assert prepare_password(text) == text
