from __future__ import annotations

import pytest

from quietwire.seal.wraps import SealError
from quietwire.server.sealed.seals import Sealed
from quietwire.testing.safe import PlainSafe


def test_what_is_sealed_can_be_opened_unless_it_is_locked() -> None:
    safe = PlainSafe()
    row = safe.seal("t", b"o", b"k", b"content")
    assert safe.open("t", b"o", b"k", row) == b"content"
    assert safe.open("t", b"o", b"k", safe.seal_own("t", b"o", b"k", b"mine")) == b"mine"
    with pytest.raises(SealError):
        safe.open("t", b"o", b"k", b"content")
    safe.locked.add(b"o")
    assert not safe.is_open(b"o")
    assert safe.seal("t", b"o", b"k", b"content") == row
    with pytest.raises(Sealed):
        safe.seal_own("t", b"o", b"k", b"mine")
    with pytest.raises(Sealed):
        safe.open("t", b"o", b"k", row)
