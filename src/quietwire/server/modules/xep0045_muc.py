"""XEP-0045: Multi-User Chat. Rooms at ``conference.DOMAIN``; what they do is in `server.rooms`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from quietwire.core.jid import JID
from quietwire.core.stanza import Iq, Message, Presence
from quietwire.server.module import (
    AccountHook,
    Closing,
    Context,
    Every,
    Hosted,
    Keeps,
    Module,
    Opening,
    Reload,
    Setting,
    Xep,
)
from quietwire.server.rooms import affiliations, dispatch, ghosts, lifecycle, persistence, state
from quietwire.server.rooms.state import Rooms

LABEL: Final = "conference"
NAME: Final = "Rooms"
SWEEP_SECONDS: Final = 4 * 3600.0
"""Between two looks for what is too old."""


async def on_open(context: Context) -> None:
    rooms: Rooms = context.state
    rooms.domain = JID.of("", f"{LABEL}.{context.domain.domain}")
    rooms.host = context.domain.domain
    rooms.services = context.services
    rooms.store = context.ports["store"]
    rooms.randomness = context.ports["randomness"]
    rooms.archive = context.ports["archive"]
    rooms.now = context.now
    await persistence.load(rooms)


def on_close(context: Context) -> None:
    lifecycle.close(context.state)


def on_message(context: Context, message: Message) -> None:
    context.state.now = context.now
    dispatch.message(context.state, message)


def on_presence(context: Context, presence: Presence) -> None:
    context.state.now = context.now
    dispatch.presence(context.state, presence)


async def on_iq(context: Context, iq: Iq) -> Iq | None:
    context.state.now = context.now
    return await dispatch.iq(context.state, iq, NAME)


def on_minute(context: Context) -> None:
    context.state.now = context.now
    lifecycle.expire(context.state)
    ghosts.look(context.state)


def on_sweep(context: Context) -> None:
    """What is older than the setting goes, to the day: rooms are never locked."""
    rooms: Rooms = context.state
    context.services.spawn(_expire(rooms, context.now - rooms.limits.days * 86_400))


async def _expire(rooms: Rooms, before: float) -> None:
    for room in list(rooms.rooms.values()):
        if room.archived:
            await rooms.archive.expire(persistence.owner(room), before)


def on_reload(context: Context, settings: Mapping[str, Any]) -> None:
    """Limits for all rooms, defaults for those that are made from now on."""
    fresh = state.make(settings)
    context.state.limits, context.state.defaults = fresh.limits, fresh.defaults


def on_erased(context: Context) -> None:
    assert context.account is not None
    context.state.now = context.now
    affiliations.erase(context.state, context.account.jid)
    dispatch.settle(context.state)


MODULE = Module(
    name="muc",
    xep=Xep(45, "1.35.5"),
    features=(),
    handlers=(
        Hosted(LABEL, on_message, on_presence, on_iq, name=NAME),
        Opening(on_open),
        Closing(on_close),
        Every(60.0, on_minute),
        Every(SWEEP_SECONDS, on_sweep),
        AccountHook("erased", on_erased),
        Reload(on_reload),
        Setting("create", state.LOCAL, "who makes a room by entering it: local accounts, anyone, or nobody"),
        Setting("members_only", True, "new rooms: only members may enter"),
        Setting("public", False, "new rooms: listed for everybody"),
        Setting("persistent", False, "new rooms: they stay when everybody has left"),
        Setting("real_addresses", True, "new rooms: occupants see each other's addresses, which encryption needs"),
        Setting("show_visitors", False, "new rooms: everybody is told of those who may only read"),
        Setting("archive", True, "new rooms: messages are kept for members who were away"),
        Setting("days", 30.0, "how long a room's messages are archived"),
        Setting("rooms", 10_000, "rooms of the service; each takes some kilobytes of memory"),
        Setting("rooms_per_account", 100, "rooms that one account may own"),
        Setting("occupants", 2_000, "occupants of one room; each join is told to all of them"),
        Setting("affiliations", 5_000, "members, admins, owners and banned accounts of one room"),
        Setting("rate", 20.0, "messages a second of one occupant, in the long run; 0 for no limit"),
        Setting("burst", 200.0, "messages that one occupant may send at once"),
    ),
    keeps=(
        Keeps(
            what="of each persistent room, under a secret that the server's key opens: name, configuration, subject, "
            "picture, and everybody's address and affiliation, with the nickname that is reserved or the reason for a "
            "ban; addresses once more sealed, found by hash",
            table="room",
            sealed=False,
            until="the room is destroyed, ceases to be persistent, or the account is erased",
        ),
        Keeps(
            what="messages said in rooms that keep an archive, under the room's secret, with nickname, occupant id and "
            "time, and the sender's address where the room is not anonymous",
            table="archive",
            sealed=False,
            until="30 days old, or as configured; the room is destroyed",
        ),
    ),
    emits="who is in a room, in which role, to the others in it; real addresses in rooms that are not anonymous; "
    "messages with an id of the sender that means nothing in another room",
    needs=("store", "randomness", "archive"),
    state=state.make,
)
