"""Libraries that log what must not be logged: stanzas (slixmpp), plaintext and keys (omemo). They log nothing here."""

from __future__ import annotations

import logging
from typing import Final

_SILENT: Final = logging.CRITICAL + 1


def silence(library: str) -> None:
    """Whatever level the program sets at the root. A level, not only `propagate`: some handlers ignore that."""
    logger = logging.getLogger(library)
    logger.setLevel(_SILENT)
    logger.propagate = False
