"""Between what a policy's parameters may lie where somebody writes them down: configuration and command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "block": (64, 8_192),
    "delay": (0, 60),
    "batch": (0, 60),
    "garbage": (0, 86_400),
    "cell": (128, 16_382),
    "tick": (0, 86_400),
    "fast_tick": (0, 86_400),
    "window": (0, 86_400),
    "bulk_every": (0, 864_000),
    "queue": (4_096, 4 << 20),
}
"""Field of `Policy` -> (least, most), bytes or seconds. Smaller cells carry hardly a stanza's start tag, larger ones
are more than one TLS record. Whether they go together is for `Policy` to say."""
