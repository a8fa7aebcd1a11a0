"""Size classes: what is sealed is padded to one of few lengths, so that a length tells little. Pure."""

from __future__ import annotations

from typing import Final

SMALL: Final = (224, 480, 992, 2_016)
"""Bytes of a small row's content: with what seals it, it fits a class of 256, 512, 1,024 or 2,048 bytes."""


def size_class(size: int, smallest: int = 1) -> int:
    """The size that stands for `size`: at most 12 % more. From 1 to 2 MB there are 32 of them, and not many more for
    any doubling (Padmé: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019, §4)."""
    if size <= smallest:
        return smallest
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def small_class(size: int) -> int:
    """The class of a row's content: one of `SMALL`, beyond them as `size_class`."""
    for each in SMALL:
        if size <= each:
            return each
    return size_class(size)


def rounded(count: int) -> int:
    """The count of rows that stands for `count`: the next power of two; 0 for 0."""
    return 1 << (count - 1).bit_length() if count > 0 else 0
