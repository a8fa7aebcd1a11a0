from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seal_vectors import ACCOUNT, SECRET, VECTORS, draws

from quietwire.seal.recovery import BITS, make_recovery_code, recovery_key
from quietwire.seal.wraps import RECOVERY, SealError, wrap


def test_vector() -> None:
    vector = VECTORS["recovery"]
    code = make_recovery_code(draws(bytes.fromhex(vector["random"])))
    assert code == vector["code"]
    assert recovery_key(code).hex() == vector["key"]
    assert wrap(SECRET, recovery_key(code), RECOVERY, ACCOUNT, bytes.fromhex(vector["nonce"])).hex() == vector["wrap"]


@given(st.binary(min_size=17, max_size=17))
def test_all_135_bits_are_in_the_code(data: bytes) -> None:
    code = make_recovery_code(draws(data))
    assert [len(group) for group in code.split("-")] == [4] * 7
    assert int.from_bytes(recovery_key(code)) == int.from_bytes(data) >> 1
    assert BITS == 135


def test_typed_as_people_type() -> None:
    code = make_recovery_code(draws(b"\0\x01" * 8 + b"\x02"))
    assert "0" in code
    assert "1" in code
    typed = [
        code.lower(),
        code.replace("-", " ") + "\n",
        code.replace("-", ""),
        code.replace("0", "O").replace("1", "l"),
    ]
    assert {recovery_key(t) for t in typed} == {recovery_key(code)}


@pytest.mark.parametrize(
    "bad", ["", "0" * 27, "0" * 29, "U" * 28, "é" * 28, "ß" * 14, "0" * 28 + " " * 200, "\ud800" * 28]
)
def test_no_code(bad: str) -> None:
    with pytest.raises(SealError):
        recovery_key(bad)


def test_most_typing_errors_are_noticed() -> None:
    code = make_recovery_code(draws(bytes(range(17)))).replace("-", "")
    wrong = {code[:at] + symbol + code[at + 1 :] for at in range(28) for symbol in "0123456789ABCDEFGHJKMNPQRSTVWXYZ"}
    noticed = 0
    for typed in wrong - {code}:
        try:
            recovery_key(typed)
        except SealError:
            noticed += 1
    assert noticed / (28 * 31) > 0.94  # one in 32 slips through
