"""What an attacker is told of a defence: all of it but the secrets (Kerckhoffs)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

GAP = 0.1
"""Seconds of silence that part two bursts where nothing delays them."""
STEP = 1.0
"""Seconds of one window where one way is paced and the other is not."""


@dataclass(frozen=True, slots=True)
class Told:
    """Profiles of both ways, off, padded, jitter or steady, and the parameters of shaping. Seconds and bytes."""

    up: str = "off"
    down: str = "off"
    block: int = 512
    delay: float = 0.3
    batch: float = 0.0
    cell: int = 816
    tick: float = 2.2
    fast_tick: float = 0.2
    window: float = 30.0
    bulk_every: float = 21_600.0
    slot: float = 0.05

    @staticmethod
    def of_scenario(scenario: Mapping[str, Any]) -> Told:
        """From a scenario as the test bed writes it: `client`, `server` and `links`; what is not there is as usual."""
        known = {each.name for each in fields(Told)} - {"up", "down"}
        given = {name: value for name, value in dict(scenario.get("links") or {}).items() if name in known}
        return Told(up=str(scenario.get("client", "off")), down=str(scenario.get("server", "off")), **given)

    @property
    def paced(self) -> bool:
        """At least one way has no bursts."""
        return "steady" in (self.up, self.down)

    @property
    def step(self) -> float:
        """Seconds of one window on a paced link: a tick where both ways have it, else less."""
        return self.tick if self.up == self.down == "steady" else min(self.tick, STEP)

    def lag(self, way: int) -> float:
        """Seconds by which shaping may delay what goes this way, at most."""
        profile = self.up if way > 0 else self.down
        return self.delay + self.batch if profile == "jitter" else 0.0

    @property
    def gap(self) -> float:
        """Seconds of silence that part two bursts."""
        return GAP + max(self.lag(1), self.lag(-1))
