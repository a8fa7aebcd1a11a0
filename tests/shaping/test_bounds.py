"""Bounds are of parameters that exist, and what is chosen where nothing is said lies between them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from quietwire.shaping.bounds import BOUNDS
from quietwire.shaping.policy import Policy
from quietwire.shaping.presets import PRESETS


def test_every_number_has_bounds() -> None:
    assert set(BOUNDS) == {field.name for field in fields(Policy)} - {"profile", "pad"}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_lie_between_them(preset: str) -> None:
    for name, (least, most) in BOUNDS.items():
        assert least <= getattr(PRESETS[preset], name) <= most
