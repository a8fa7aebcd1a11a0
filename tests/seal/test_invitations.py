from __future__ import annotations

import pytest

from quietwire.seal.invitations import open_box, seal
from quietwire.seal.wraps import SealError

TOKEN, BESIDE = b"abcdefghijklmnopqrstuvwx", b"\x02beside"


def test_who_has_the_token_reads_it() -> None:
    box = seal(TOKEN, b"content", BESIDE)
    assert b"content" not in box
    assert open_box(TOKEN, box, BESIDE) == b"content"


def test_nobody_else_does_and_nothing_can_be_changed() -> None:
    box = seal(TOKEN, b"content", BESIDE)
    wrong = (TOKEN[:-1] + b"y", box, BESIDE), (TOKEN, box, b"other"), (TOKEN, box[:-1], BESIDE), (TOKEN, b"", BESIDE)
    for token, one, beside in wrong:
        with pytest.raises(SealError):
            open_box(token, one, beside)


def test_vector() -> None:
    """That of docs/protocols/sealed-store.md."""
    assert seal(TOKEN, b"content", BESIDE).hex() == "50644e5413259095835fbdfcd79728af87472deeec1d8b"
