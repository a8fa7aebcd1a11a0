"""The test vectors of docs/protocols/account-secret.md, read from the document itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quietwire.core.jid import parse_jid

_DOCUMENT = Path(__file__).parents[2] / "docs" / "protocols" / "account-secret.md"
_BLOCK = re.search(r"```json\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
assert _BLOCK is not None
VECTORS: dict[str, Any] = json.loads(_BLOCK[1])
ACCOUNT = parse_jid(VECTORS["account"])
SECRET = bytes.fromhex(VECTORS["secret"])


def draws(*values: bytes) -> Callable[[int], bytes]:
    """Randomness that gives these values, in this order, and insists on their sizes. Copies: who gets them may wipe
    them."""
    rest = iter(values)

    def draw(size: int) -> bytes:
        value = next(rest)
        assert len(value) == size
        return bytes(bytearray(value))

    return draw
