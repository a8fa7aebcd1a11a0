"""The recovery code: shown once, opens the account's secret when the password is lost.

27 symbols hold 135 random bits, a 28th checks them: seven groups of four. With that much randomness the code needs no
slow hash. The alphabet is Crockford's base 32, where what looks alike is taken as alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from quietwire.seal.wraps import SealError

BITS: Final = 135
_BYTES: Final = 17
_SYMBOLS: Final = 27
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE = str.maketrans("OIL", "011", "- \t\r\n")
_MAX_TYPED: Final = 128
"""Characters: the code with a separator after each symbol, twice over. More is no code."""


def make_recovery_code(randomness: Callable[[int], bytes]) -> str:
    """A new code, for instance ``4G7Q-0X9T-…`` (seven groups)."""
    number = int.from_bytes(randomness(_BYTES)) >> (8 * _BYTES - BITS)
    symbols = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_SYMBOLS)))
    symbols += _check_symbol(number)
    return "-".join(symbols[at : at + 4] for at in range(0, len(symbols), 4))


def recovery_key(code: str) -> bytes:
    """The key that `code` stands for, 17 bytes, however it was typed. Raises `SealError` for a mistyped one."""
    symbols = code[:_MAX_TYPED].upper().translate(_ALIKE)
    if len(symbols) != _SYMBOLS + 1 or len(code) > _MAX_TYPED or not set(symbols) <= set(_ALPHABET):
        raise SealError("a recovery code has 28 letters and digits")
    number = 0
    for symbol in symbols[:-1]:
        number = number << 5 | _ALPHABET.index(symbol)
    if symbols[-1] != _check_symbol(number):
        raise SealError("the recovery code is mistyped")
    return number.to_bytes(_BYTES)


def _check_symbol(number: int) -> str:
    digest = hashlib.sha256(b"quietwire recovery 1\0" + number.to_bytes(_BYTES)).digest()
    return _ALPHABET[digest[0] >> 3]
