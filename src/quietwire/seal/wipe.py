"""Overwriting keys in memory: `core/wipe.py`, under the name it has among what is sealed."""

from __future__ import annotations

from quietwire.core.wipe import wipe

__all__ = ["wipe"]
