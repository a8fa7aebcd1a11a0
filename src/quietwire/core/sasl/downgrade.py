"""What SCRAM tells and thereby signs about the way to it: the lists that were offered (XEP-0474 0.5.0) and the version
of TLS (XEP-0515 0.1.0). Whoever in between has shortened a list or broken one TLS connection into two is found out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from quietwire.core.sasl.verifier import HASHES, base_mechanism

_BETWEEN: Final = "\x1e"
_LISTS: Final = "\x1f"


UNANNOUNCED: Final = frozenset(("tls-unique",))
"""Bindings that are taken from a client that uses them unasked, and in no list (`net/channel.py` says why)."""


def announced(bindings: Mapping[str, bytes]) -> tuple[str, ...]:
    """The types of channel binding that XEP-0440 tells of, in their order."""
    return tuple(name for name in bindings if name not in UNANNOUNCED)


def offered_hash(mechanism: str, mechanisms: Iterable[str], bindings: Iterable[str]) -> str:
    """XEP-0474 §4.1, in base64: `mechanisms` as they were offered, `bindings` as XEP-0440 announced them (none: not at
    all), hashed as `mechanism` hashes. Sorted as octets: all are ASCII."""
    text = _BETWEEN.join(sorted(mechanisms))
    listed = sorted(bindings)
    if listed:
        text += _LISTS + _BETWEEN.join(listed)
    return base64.b64encode(hashlib.new(HASHES[base_mechanism(mechanism)], text.encode()).digest()).decode()


def attributes(mechanism: str, mechanisms: Iterable[str], bindings: Iterable[str], tls: str) -> str:
    """The optional attributes of a server-first-message; `tls` as in XEP-0515 §4.1, for instance '0304', or ''."""
    told = f",h={offered_hash(mechanism, mechanisms, bindings)}"
    return f"{told},t={tls}" if tls else told
