from __future__ import annotations

from quietwire.core.wipe import wipe, wipe_text


def test_bytes_bytearrays_and_nothing() -> None:
    held, fixed = bytearray(b"key" * 20), bytes(bytearray(b"secret" * 9))
    wipe(held, fixed, None)
    assert held == bytearray(60)
    assert fixed == bytes(54)


def test_what_the_interpreter_shares_is_left_alone() -> None:
    wipe(b"a", b"", bytes(bytearray(b"b")))
    assert (bytes([97]), bytes([98])) == (b"a", b"b")
    wipe_text("x", "")
    assert chr(120) == "x"


def test_text() -> None:
    password = "".join(chr(number) for number in range(97, 120))
    wipe_text(password)
    assert set(password) == {"\0"}
    for widest in (0xFC, 0x41F, 0x1F511):
        other = "".join(map(chr, (98, widest, 99)))
        wipe_text(other)
        assert list(map(ord, other)) == [0, 0, 0]
