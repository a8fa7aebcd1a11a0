"""The rooms of one service, and what they ask of the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from quietwire.core.errors import ConfigError
from quietwire.core.jid import JID
from quietwire.core.stanza import Stanza
from quietwire.server.module import Services
from quietwire.server.rooms.config import ANYONE, MODERATORS, RoomConfig
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.ranks import Affiliation

LOCAL: Final = "local"
NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one service holds. Settings of the module, see there for the reasons."""

    create: str = LOCAL
    """Who may make rooms by entering them: ``local`` accounts, ``anyone``, ``nobody`` but the operator."""
    rooms: int = 10_000
    rooms_per_account: int = 100
    occupants: int = 2_000
    affiliations: int = 5_000
    rate: float = 20.0
    burst: float = 200.0
    days: float = 30.0


@dataclass(slots=True)
class Rooms:
    """State of the module, and everything its functions need. `domain` is the service's JID; services, store and
    randomness are set when it opens, `now` (seconds since the epoch) at every call."""

    limits: Limits = field(default_factory=Limits)
    defaults: RoomConfig = field(default_factory=RoomConfig)
    domain: JID = field(default_factory=lambda: JID("", "conference.invalid", ""))
    host: str = ""
    """The domain whose accounts are local."""
    services: Any = None
    store: Any = None
    randomness: Any = None
    archive: Any = None
    now: float = 0.0
    rooms: dict[JID, Room] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    """Localparts of rooms that are kept and cannot be read: nobody who comes gets their names, and with these what
    lies under them."""
    lost: set[tuple[JID, JID]] = field(default_factory=set)
    """(room, session): those that could not be reached any more; they are taken out when the call is done."""

    @property
    def _services(self) -> Services:
        services: Services = self.services
        return services

    def find(self, jid: JID) -> Room | None:
        """The room of that bare JID."""
        return self.rooms.get(jid)

    def send(self, stanza: Stanza) -> None:
        """One stanza to one address, the way of all stanzas: to accounts that are away as well."""
        self._services.send(stanza)

    def tell(self, stanza: Stanza, sessions: Iterable[JID]) -> None:
        """One stanza of a room or occupant (its `from_`) to sessions in that room."""
        absent = self._services.fan_out(stanza, sessions)
        if absent:
            assert stanza.from_ is not None
            room = stanza.from_.bare
            self.lost.update((room, session) for session in absent)

    def local(self, jid: JID) -> bool:
        return jid.domain == self.host

    def owned(self, bare: JID) -> int:
        """How many rooms that account owns."""
        return sum(room.affiliation(bare) is Affiliation.OWNER for room in self.rooms.values())

    def fresh(self) -> str:
        """An id that nobody can guess."""
        value: str = self.archive.new_id() if self.archive is not None else self.randomness(16).hex()
        return value


def make(settings: Mapping[str, Any]) -> Rooms:
    """From the settings of the module. Raises ConfigError."""
    base, limits = RoomConfig(), Limits()
    create = str(settings.get("create", limits.create))
    if create not in (LOCAL, ANYONE, NOBODY):
        raise ConfigError("modules.muc", "create", f"{LOCAL}, {ANYONE} or {NOBODY}")
    for key in ("rooms", "rooms_per_account", "occupants", "affiliations", "burst", "days"):
        if float(settings.get(key, 1)) < 0:
            raise ConfigError("modules.muc", key, "0 at least")
    defaults = replace(
        base,
        public=bool(settings.get("public", base.public)),
        persistent=bool(settings.get("persistent", base.persistent)),
        members_only=bool(settings.get("members_only", base.members_only)),
        whois=ANYONE if settings.get("real_addresses", True) else MODERATORS,
        archive=bool(settings.get("archive", base.archive)),
        presence=(*base.presence, "visitor") if settings.get("show_visitors", False) else base.presence,
    )
    return Rooms(
        Limits(
            create=create,
            rooms=int(settings.get("rooms", limits.rooms)),
            rooms_per_account=int(settings.get("rooms_per_account", limits.rooms_per_account)),
            occupants=int(settings.get("occupants", limits.occupants)),
            affiliations=int(settings.get("affiliations", limits.affiliations)),
            rate=float(settings.get("rate", limits.rate)),
            burst=float(settings.get("burst", limits.burst)),
            days=float(settings.get("days", limits.days)),
        ),
        defaults,
    )
