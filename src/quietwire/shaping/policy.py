"""What a link's profile asks for and what it costs. The figures of the cost are arithmetic, not measurements."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quietwire.shaping.outbox import Outbox, SpacePadded


class Profile(StrEnum):
    """`jitter` and `steady` come with the laboratory that can judge them."""

    OFF = "off"
    PADDED = "padded"


@dataclass(frozen=True, slots=True)
class Policy:
    """A profile with its parameter. `block`, bytes: `padded` makes every record a multiple of it."""

    profile: Profile = Profile.OFF
    block: int = 512

    def outbox(self, *, records_padded: bool) -> Outbox:
        """The outbox of one stream. `records_padded`: TLS pads its records itself (TLS 1.3 with OpenSSL's
        RecordPadding); where it cannot, `padded` writes spaces between stanzas (RFC 6120 §11.7)."""
        if self.profile is Profile.PADDED and not records_padded:
            return SpacePadded(self.block)
        return Outbox()

    def on_the_wire(self, size: int) -> int:
        """Bytes of plaintext and padding for one write of `size` bytes."""
        if self.profile is Profile.OFF:
            return size
        return -(-size // self.block) * self.block
