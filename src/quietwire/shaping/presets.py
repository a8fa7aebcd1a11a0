"""Parameters that fit: for a desktop's link, a phone's, and one between servers. Values, chosen by what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quietwire.shaping.policy import Policy

DESKTOP: Final = Policy()
"""A cell of 816 bytes every 2.2 s: 35 MB a day and direction and, at most, 2.2 seconds to wait. Between our own ends it
holds what most texts are, encrypted for one device and deflated: 720 bytes up and 770 down, and what acknowledges them.
Windows four times a day: every hour they would cost as much as 60 bytes of each cell."""
PHONE: Final = Policy(cell=2046, tick=30.0, fast_tick=0.5)
"""A radio stays awake for some 10 s after each packet, so that under 10 s it never sleeps and at 30 s it sleeps two
thirds of the time: what costs is the tick, not the bytes. One cell holds a whole encrypted message (1.4-1.8 KB), which
so waits for one tick at most, not for two. Bulk windows four times a day: each keeps the radio awake throughout."""
SERVER: Final = Policy(cell=2046, tick=1.0, fast_tick=0.25, bulk_every=3600.0, queue=1 << 20)
"""Many people's messages: one a second goes through at 187 MB a day and direction, for each server that is talked to,
and a hop costs a second at most. In windows 8.2 KB a second, under Prosody's limit for servers (30 KB)."""

PRESETS: Final[Mapping[str, Policy]] = {"desktop": DESKTOP, "phone": PHONE, "server": SERVER}
