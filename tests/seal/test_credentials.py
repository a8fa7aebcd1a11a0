from __future__ import annotations

import contextlib
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seal_vectors import ACCOUNT, SECRET, VECTORS, draws

from quietwire.core.jid import parse_jid
from quietwire.core.sasl import DEFAULT_ITERATIONS, HASHES, MECHANISMS, PasswordError, check_plain, derive
from quietwire.seal.credentials import Credentials
from quietwire.seal.recovery import make_recovery_code
from quietwire.seal.wraps import SealError


def stream(seed: bytes) -> Callable[[int], bytes]:
    """Randomness for tests: repeatable, each draw different."""
    state = [seed]

    def draw(size: int) -> bytes:
        state[0] = sha256(state[0]).digest()
        return state[0][:size]

    return draw


CODE = make_recovery_code(stream(b"code"))
MADE = Credentials.create("pencil", ACCOUNT, 4, randomness=stream(b"1"), recovery_code=CODE)


def client_key(credentials: Credentials, password: str, mechanism: str) -> bytes:
    verifier = credentials.verifier(mechanism)
    return derive(password, verifier.salt, verifier.iterations, mechanism).client_key


def test_vector() -> None:
    values = [SECRET]
    for vector in VECTORS["wraps"]:
        values += [bytes.fromhex(vector["salt"]), bytes.fromhex(vector["nonce"])]
    values.append(bytes.fromhex(VECTORS["recovery"]["nonce"]))
    made = Credentials.create(
        VECTORS["password"],
        ACCOUNT,
        VECTORS["iterations"],
        randomness=draws(*values),
        recovery_code=VECTORS["recovery"]["code"],
    )
    assert made.to_bytes().hex() == VECTORS["record"]
    assert Credentials.from_bytes(made.to_bytes(), ACCOUNT) == made


def test_every_mechanism_and_the_code_open_one_secret() -> None:
    opened = {bytes(MADE.unlock(m, client_key(MADE, "pencil", m))) for m in MECHANISMS}
    opened.add(bytes(MADE.recover(CODE.lower())))
    plain = check_plain("pencil", MADE.verifier("SCRAM-SHA-256"), "SCRAM-SHA-256")
    assert plain is not None
    assert opened == {bytes(MADE.unlock("SCRAM-SHA-256", plain))}
    assert len(opened.pop()) == 32


def test_wrong_keys_open_nothing() -> None:
    for mechanism in MECHANISMS:
        with pytest.raises(SealError):
            MADE.unlock(mechanism, client_key(MADE, "pen", mechanism))
    with pytest.raises(SealError):
        MADE.recover(make_recovery_code(stream(b"other")))
    with pytest.raises(SealError, match="no recovery code"):
        Credentials.create("pencil", ACCOUNT, 1, randomness=stream(b"1")).recover(CODE)


def test_a_record_moved_to_another_account_opens_nothing() -> None:
    moved = Credentials.from_bytes(MADE.to_bytes(), parse_jid("romeo@example.com"))
    with pytest.raises(SealError):
        moved.unlock("SCRAM-SHA-1", client_key(moved, "pencil", "SCRAM-SHA-1"))
    with pytest.raises(SealError):
        moved.recover(CODE)


def test_a_changed_password_keeps_the_secret() -> None:
    secret = MADE.recover(CODE)
    changed = MADE.change_password(secret, "pen", 3, randomness=stream(b"2"))
    for mechanism in HASHES:
        assert changed.unlock(mechanism, client_key(changed, "pen", mechanism)) == secret
        assert changed.verifier(mechanism).iterations == 3
        assert changed.verifier(mechanism).salt != MADE.verifier(mechanism).salt
        with pytest.raises(SealError):
            changed.unlock(mechanism, client_key(changed, "pencil", mechanism))
    assert changed.recover(CODE) == secret
    fresh = make_recovery_code(stream(b"fresh"))
    replaced = changed.with_recovery(secret, fresh, stream(b"3"))
    assert replaced.recover(fresh) == secret
    with pytest.raises(SealError):
        replaced.recover(CODE)


def test_nothing_random_is_used_twice() -> None:
    drawn: list[bytes] = []

    def draw(size: int) -> bytes:
        drawn.append(stream(bytes([len(drawn)]))(size))
        return drawn[-1]

    Credentials.create("pencil", ACCOUNT, 1, randomness=draw, recovery_code=CODE)
    assert sorted(map(len, drawn)) == [12, 12, 12, 16, 16, 32]
    assert len(set(drawn)) == len(drawn)


def test_new_passwords_cost_100000_rounds() -> None:
    made = Credentials.create("pencil", ACCOUNT, randomness=stream(b"1"))
    assert {made.verifier(m).iterations for m in MECHANISMS} == {DEFAULT_ITERATIONS} == {100_000}


def test_the_record_does_not_say_whose_it_is() -> None:
    record = MADE.to_bytes()
    for telling in (b"juliet", b"example.com", b"pencil", MADE.recover(CODE)):
        assert telling not in record
    assert "juliet" not in repr(MADE)


def test_refused() -> None:
    with pytest.raises(PasswordError):
        Credentials.create("", ACCOUNT, 1, randomness=stream(b"1"))
    with pytest.raises(SealError):
        Credentials.create("pencil", ACCOUNT, 1, randomness=stream(b"1"), recovery_code="0")
    record = MADE.to_bytes()
    swapped = record.replace(b"SCRAM-SHA-256", b"SCRAM-SHA-512")
    wrong_keys = Credentials(ACCOUNT, dict.fromkeys(HASHES, MADE.entries["SCRAM-SHA-1"])).to_bytes()
    for bad in (b"", b"\x01", b"\x02" + record[1:], record + b"x", swapped, wrong_keys, b"\x01\x01" + record[2:]):
        with pytest.raises(SealError, match="damaged"):
            Credentials.from_bytes(bad, ACCOUNT)
    for cut in range(len(record)):
        if cut != len(record) - 61:  # that cut is the record without its recovery code
            with pytest.raises(SealError):
                Credentials.from_bytes(record[:cut], ACCOUNT)


@given(st.integers(0, len(MADE.to_bytes()) - 1), st.integers(0, 255))
def test_damage_raises_nothing_but_a_seal_error(at: int, value: int) -> None:
    damaged = bytearray(MADE.to_bytes())
    damaged[at] = value
    with contextlib.suppress(SealError):
        assert Credentials.from_bytes(bytes(damaged), ACCOUNT).to_bytes() == damaged
