"""The outbox of one stream: what is put in one turn of the loop leaves in one write. Pure.

The outbox is the shaper (DESIGN §5): a profile that pads or paces is another kind of outbox.
"""

from __future__ import annotations


def undeclared(part: bytes) -> bytes:
    """Without its XML declaration: spaces may stand before a stream header, but not before that (RFC 6120 §11.5)."""
    return part[part.index(b"?>") + 2 :] if part.startswith(b"<?xml") else part


class Outbox:
    """Profile `off`: everything at the turn's end, as it is. `parts` are whole stanzas, headers or nonzas."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def take(self) -> bytes:
        """What is to be written now; the outbox is empty afterwards."""
        parts = self.parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return data


class SpacePadded(Outbox):
    """Profile `padded` where TLS cannot pad: spaces after the last stanza, up to a multiple of `block` bytes.

    Spaces between stanzas are legal and nobody counts them; what is put ends at a stanza's end, so none is ever put
    inside one.
    """

    __slots__ = ("block",)

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def take(self) -> bytes:
        data = super().take()
        return data + b" " * (-len(data) % self.block)
