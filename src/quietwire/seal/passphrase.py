"""Generated passphrases: 80 random bits as five pronounceable words of five small letters, typed the same everywhere.

A word is consonant, vowel, consonant, vowel, consonant (the proquint spelling, arXiv:0901.4016): 16 · 4 · 16 · 4 · 16 =
65,536 words, 16 bits each. At 100,000 rounds of PBKDF2 a guess, 2^79 guesses on average are out of anybody's reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BITS: Final = 80
_WORDS: Final = BITS // 16
_CONSONANTS: Final = "bdfghjklmnprstvz"
_VOWELS: Final = "aiou"


def make_passphrase(randomness: Callable[[int], bytes]) -> str:
    """A new passphrase, for instance ``lusab-babad-gutih-tugad-gutuk``. `randomness` gives that many random bytes."""
    data = randomness(BITS // 8)
    return "-".join(_word(int.from_bytes(data[2 * n : 2 * n + 2])) for n in range(_WORDS))


def _word(number: int) -> str:
    return (
        _CONSONANTS[number >> 12]
        + _VOWELS[number >> 10 & 3]
        + _CONSONANTS[number >> 6 & 15]
        + _VOWELS[number >> 4 & 3]
        + _CONSONANTS[number & 15]
    )
