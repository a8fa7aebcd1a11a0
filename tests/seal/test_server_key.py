from __future__ import annotations

from collections.abc import Callable

import pytest
from argon2.low_level import Type, hash_secret_raw

from quietwire.seal.server_key import (
    MEMORY_KIB,
    Argon2,
    Passphrase,
    RawKey,
    Source,
    as_secret,
    box_key,
    calibrated,
    of_passphrase,
    of_raw,
)
from quietwire.seal.wraps import SealError

KEY = RawKey(bytes(range(32)))
CHEAP = Argon2(1, 8, 1, b"s" * 16)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("server.key", Source("file", "server.key")),
        ("/etc/quietwire/server.key", Source("file", "/etc/quietwire/server.key")),
        ("file:credential:x", Source("file", "credential:x")),
        ("credential:quietwire", Source("credential", "quietwire")),
        ("fd:3", Source("fd", "3")),
        ("env-fd:QUIETWIRE_KEY", Source("env-fd", "QUIETWIRE_KEY")),
        ("passphrase:prompt", Source("prompt", "", True)),
        ("passphrase:/run/phrase", Source("file", "/run/phrase", True)),
        ("passphrase:credential:phrase", Source("credential", "phrase", True)),
        ("passphrase:fd:7", Source("fd", "7", True)),
    ],
)
def test_sources(text: str, source: Source) -> None:
    assert Source.parse(text) == source
    assert Source.parse(str(source)) == source


@pytest.mark.parametrize(
    "text",
    [
        "", "file:", "credential:", "credential:a/b", "credential:..", "fd:", "fd:x", "fd:2", "fd:-3", "env-fd:",
        "env-fd:A=B", "prompt", "http://key", "passphrase:", "passphrase:passphrase:prompt", "file:a\0b", "fd:³",
    ],
)  # fmt: skip
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(ValueError):
        Source.parse(text)


def test_a_key_has_32_bytes() -> None:
    assert as_secret(KEY.key, False) == KEY
    for data in (b"", b"short", bytes(33)):
        with pytest.raises(ValueError, match="32 random bytes"):
            as_secret(data, False)


def test_a_passphrase_is_one_line() -> None:
    assert as_secret(b"correct horse\n", True) == as_secret(b"correct horse\r\n", True) == Passphrase(b"correct horse")
    assert as_secret("e\u0301".encode(), True) == as_secret("\u00e9".encode(), True), "two keyboards, one passphrase"
    for data in (b"", b"\n", b"two\nlines\n", b"\xff", b"x" * 1025, b"a\0b"):
        with pytest.raises(ValueError):
            as_secret(data, True)


def test_nothing_secret_is_shown() -> None:
    for secret in (KEY, Passphrase(b"correct horse"), of_raw(KEY)):
        assert "horse" not in repr(secret)
        assert "\\x01\\x02" not in repr(secret)


def test_argon2id_is_that_of_the_library() -> None:
    expected = hash_secret_raw(b"correct horse", b"s" * 16, 1, 8, 1, 32, Type.ID)
    wrapping = of_passphrase(Passphrase(b"correct horse"), CHEAP, lambda size: b"i" * size)
    assert (wrapping.key, wrapping.id, wrapping.argon2) == (expected, b"i" * 8, CHEAP)


def test_the_id_says_nothing_else_about_the_key() -> None:
    assert of_raw(KEY).id not in KEY.key
    assert of_raw(KEY).id != of_raw(RawKey(bytes(32))).id
    assert box_key(of_raw(KEY)) != KEY.key


def test_parameters() -> None:
    assert Argon2.from_bytes(CHEAP.to_bytes()) == CHEAP
    assert CHEAP.weak
    for one in (Argon2(0, 8, 1, b"s" * 16), Argon2(1, 7, 1, b"s" * 16), Argon2(1, 1 << 31, 1, b"s" * 16)):
        with pytest.raises(SealError, match="out of bounds"):
            Argon2.from_bytes(one.to_bytes())


def clock(*tries: float) -> Callable[[], float]:
    """Each try takes one of these."""
    times = [0.0]
    for took in tries:
        times += [times[-1] + took, times[-1] + took]
    rest = iter(times)
    return lambda: next(rest)


def test_a_quick_machine_takes_more_rounds() -> None:
    made = calibrated(clock(0.05, 0.2, 0.31, 0.9), lambda size: b"s" * size, memory_kib=64, time_cost=1)
    assert made == Argon2(7, 64, 4, b"s" * 16), "0.3 s are 6 times 0.05, and a tenth more"


def test_a_try_while_the_machine_was_busy_does_not_count() -> None:
    made = calibrated(clock(0.05, 9.0, 9.0, 0.4), lambda size: b"s" * size, memory_kib=64, time_cost=1)
    assert made.time_cost == 7


def test_a_slow_machine_takes_no_fewer_than_the_least() -> None:
    made = calibrated(clock(9.0, 8.0), lambda size: b"s" * size, memory_kib=64)
    assert made.time_cost == 3


def test_by_default_it_is_64_mib() -> None:
    made = calibrated(clock(1.0, 1.0), lambda size: b"s" * size)
    assert (made.memory_kib, made.weak) == (MEMORY_KIB, False)
    assert MEMORY_KIB == 65_536
