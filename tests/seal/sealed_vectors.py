"""The test vectors of docs/protocols/sealed-store.md, read from the document itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_DOCUMENT = Path(__file__).parents[2] / "docs" / "protocols" / "sealed-store.md"
_BLOCK = re.search(r"```json\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
assert _BLOCK is not None
VECTORS: dict[str, Any] = json.loads(_BLOCK[1])


def data(*path: str) -> bytes:
    """The bytes at that place."""
    found = VECTORS
    for step in path:
        found = found[step]
    return bytes.fromhex(str(found))
