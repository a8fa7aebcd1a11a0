"""What really happened: written by the actors in the moment in which bytes are given to the link, or are understood.

An actor knows its connections by their local ports; the bed, whose taps took them, knows the links' names. `joined`
puts both together, and only then is it the truth that the report reads: ``truth.jsonl``, by time, one line for each
link on which an event shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

Way = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Event:
    """`at`: epoch seconds. `user`, `device`: whose link it is. `peer`: whom it was for (up) or from (down): a user, or
    a room for the kinds of rooms; -1 for none. `size`: characters of text, bytes of a file. `id`: of the stanza, the
    same wherever it shows; "" where there is none. `carbon`: a copy for another device of one's own account.
    `link`: in the actor's file the local port, then the link's name."""

    at: float
    user: int
    device: int
    kind: str
    peer: int
    size: int
    link: str
    way: Way
    id: str = ""
    carbon: bool = False


class TruthFile:
    """Appends events to a file."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        document = asdict(event)
        document["at"] = round(event.at, 6)
        self._file.write(json.dumps(document, separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[Event]:
    """The events of a file. Raises ValueError, TypeError for a line that is none."""
    with path.open(encoding="utf-8") as file:
        return [Event(**json.loads(line)) for line in file]


Taken = list[tuple[float, str]]
"""When links were taken, in that order, and their names."""
DIALS = ("login", "resume")
"""What makes a connection: told of with the time when it is dialled, before the link is there."""
NOBODY: Mapping[tuple[int, int], Taken] = {}


def joined(
    events: Iterable[Event],
    ports: Mapping[tuple[int, int, int], Taken],
    helped: Mapping[tuple[int, int], Taken] = NOBODY,
) -> tuple[list[Event], int]:
    """Events by time, with names of links instead of ports, and how many were on no link. `ports`: (user, device, local
    port) -> its links: a port may serve twice, then the nearest in time before counts, or the first one after for what
    makes the connection. `helped`: (user, device) -> the links of the helper beside that device, whose ports the device
    does not know: what is said goes over the one that was taken last, what makes a connection is the next one."""
    found, lost = [], 0
    for event in events:
        taken = ports.get((event.user, event.device, int(event.link)), [])
        if not taken:
            taken = helped.get((event.user, event.device), [])
            if event.kind in DIALS and event.way == "up":
                taken = [each for each in taken if each[0] >= event.at][:1]
            elif taken and event.at < taken[0][0]:
                taken = []
        before = [name for at, name in taken if at <= event.at]
        if not taken:
            lost += 1
            continue
        document: dict[str, Any] = asdict(event) | {"link": before[-1] if before else taken[0][1]}
        found.append(Event(**document))
    return sorted(found, key=lambda event: event.at), lost
