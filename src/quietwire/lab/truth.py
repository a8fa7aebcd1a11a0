"""Who said what to whom when: written by the actors, read by `report` and `checks`, never by an observer.

One file of JSON lines an actor, and one file of facts about the world. Texts are not in it: their length and a digest
are enough to tell that each arrived whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal


@dataclass(frozen=True, slots=True)
class Event:
    """What one device did or got. `time` is epoch seconds, taken before the bytes left or after they were understood.

    `event`: ``sent``, ``got``, ``online``, ``cut`` or ``resumed``. `kind` is one of `findings.KINDS` or "". `id` is
    the same at the sender and at every recipient. `length` counts the characters of the text, 0 where there is none.
    `carbon` tells that a device got what another device of the same account sent.
    """

    time: float
    account: str
    device: str
    event: Literal["sent", "got", "online", "cut", "resumed"]
    kind: str = ""
    peer: str = ""
    id: str = ""
    length: int = 0
    digest: str = ""
    carbon: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The world as it was built.

    `devices`: account -> device -> its network address (a label), `omemo`: account -> device -> OMEMO device id,
    `contacts`: account -> bare JIDs, `texts`: how many texts were said.
    """

    devices: Mapping[str, Mapping[str, str]]
    contacts: Mapping[str, list[str]]
    omemo: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def account_at(self, address: str) -> str | None:
        """The account whose device has this network address."""
        for account, devices in self.devices.items():
            if address in devices.values():
                return account
        return None


def digest(text: str) -> str:
    """Enough of a hash to tell two texts of a run apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class TruthWriter:
    """Appends events to a file, each at once."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        self._file.write(json.dumps(asdict(event), separators=(",", ":")) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read(paths: Iterable[Path]) -> list[Event]:
    """All events of all files, by time. Raises ValueError or TypeError for a line that is no event."""
    events = [Event(**json.loads(line)) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(events, key=lambda event: event.time)


def write_facts(path: Path, facts: Facts) -> None:
    path.write_text(json.dumps(asdict(facts)), encoding="utf-8")


def read_facts(path: Path) -> Facts:
    return Facts(**json.loads(path.read_text(encoding="utf-8")))
