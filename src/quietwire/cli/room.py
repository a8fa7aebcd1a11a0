"""`quietwire room`: what an operator may do with rooms, on a running server or in its absence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quietwire.cli.account import CONFIG
from quietwire.cli.commands import COMMANDS, Arguments, administrate
from quietwire.cli.config import load
from quietwire.core.errors import QuietwireError, StanzaError
from quietwire.core.jid import JID, JIDError
from quietwire.server.rooms import operator
from quietwire.server.rooms.ranks import AFFILIATIONS
from quietwire.server.rooms.state import Rooms
from quietwire.server.server import Server

T = TypeVar("T")
_WHY = {
    "conflict": "there is such a room already",
    "item-not-found": "there is no such room",
    "resource-constraint": "there are too many already; [modules.muc] has the limits",
    "bad-request": f"an affiliation is one of {', '.join(AFFILIATIONS)}",
}


def rooms_of(server: Server) -> Rooms:
    """The rooms of that server, at its time. Raises QuietwireError where it has none."""
    for _, context in server.router.hosted.values():
        if isinstance(context.state, Rooms):
            context.state.now = server.ports.clock()
            return context.state
    raise QuietwireError("this server has no rooms")


async def _done(server: Server, work: Callable[[Rooms], T]) -> T:
    """Does it and waits until it is durable."""
    try:
        result = work(rooms_of(server))
    except StanzaError as error:
        raise QuietwireError(_WHY.get(error.condition) or error.text or error.condition) from None
    await server.admin.durable()
    return result


def _room(server: Server, name: str) -> JID:
    """The room of that localpart or address."""
    domain = rooms_of(server).domain.domain
    return _address(name if "@" in name else f"{name}@{domain}")


def _person(server: Server, name: str) -> JID:
    """The account of that localpart, or any bare JID."""
    return _address(name if "@" in name else f"{name}@{server.settings.domain.domain}")


def _address(text: str) -> JID:
    try:
        jid = JID.parse(text)
    except JIDError:
        jid = None
    if jid is None or not jid.local or jid.resource:
        raise QuietwireError(f"{text!r} is not an address")
    return jid


async def _list(server: Server, arguments: Arguments) -> list[dict[str, Any]]:
    return [asdict(one) for one in operator.listing(rooms_of(server))]


async def _create(server: Server, arguments: Arguments) -> str:
    room, owner = _room(server, arguments["room"]), _person(server, arguments["owner"])
    if room.domain != rooms_of(server).domain.domain:
        raise QuietwireError(f"rooms of this server are at {rooms_of(server).domain}")

    def create(rooms: Rooms) -> str:
        made = operator.create(
            rooms, room.local, owner,
            name=arguments.get("name", ""), public=arguments.get("public", False), open=arguments.get("open", False),
        )  # fmt: skip
        return made.jid.text

    return await _done(server, create)


async def _destroy(server: Server, arguments: Arguments) -> str:
    room = _room(server, arguments["room"])
    await _done(server, lambda rooms: operator.destroy(rooms, room, arguments.get("reason", "")))
    return room.text


async def _members(server: Server, arguments: Arguments) -> list[tuple[str, str]]:
    room = _room(server, arguments["room"])
    return await _done(server, lambda rooms: operator.members(rooms, room))


async def _affiliate(server: Server, arguments: Arguments) -> str:
    room, person = _room(server, arguments["room"]), _person(server, arguments["who"])
    await _done(server, lambda rooms: operator.affiliate(rooms, room, person, arguments["affiliation"]))
    return person.text


COMMANDS.update(
    {
        "room-list": _list,
        "room-create": _create,
        "room-destroy": _destroy,
        "room-members": _members,
        "room-affiliation": _affiliate,
    }
)


def register(app: typer.Typer) -> None:
    room = typer.Typer(help="List, make and destroy rooms; who belongs to them.", no_args_is_help=True)
    app.add_typer(room, name="room")

    @room.command("list")
    def show(config: Path = CONFIG) -> None:
        """List all rooms, hidden ones as well."""
        table = Table(box=None, pad_edge=False)
        for column in ("room", "name", "listed", "open", "stays", "inside", "affiliated"):
            table.add_column(column, overflow="fold")
        for one in administrate(load(config), "room-list"):
            flags = (one["public"], not one["members_only"], one["persistent"])
            words = ("yes" if flag else "no" for flag in flags)
            table.add_row(one["jid"], escape(one["name"]), *words, str(one["occupants"]), str(one["members"]))
        Console().print(table)

    @room.command("create")
    def create(
        room: str,
        owner: str = typer.Option(..., help="Whose room it is: a name or an address."),
        name: str = typer.Option("", help="What people call it."),
        public: bool = typer.Option(False, "--public", help="List it for everybody."),
        open: bool = typer.Option(False, "--open", help="Everybody may enter, not members only."),
        config: Path = CONFIG,
    ) -> None:
        """Make a room that stays."""
        made = administrate(load(config), "room-create", room=room, owner=owner, name=name, public=public, open=open)
        typer.echo(made)

    @room.command("destroy")
    def destroy(
        room: str,
        reason: str = typer.Option("", help="What those inside are told."),
        yes: bool = typer.Option(False, "--yes", help="Do not ask."),
        config: Path = CONFIG,
    ) -> None:
        """Destroy a room with its archive; those inside are put out."""
        if not yes:
            typer.confirm(f"Destroy {room} with everything that was said in it?", abort=True)
        typer.echo(f"{administrate(load(config), 'room-destroy', room=room, reason=reason)} destroyed")

    @room.command("members")
    def members(room: str, config: Path = CONFIG) -> None:
        """List who belongs to a room, and as what: owners first, those who are banned last."""
        for bare, affiliation in administrate(load(config), "room-members", room=room):
            typer.echo(f"{affiliation}\t{bare}")

    @room.command("affiliation")
    def affiliation(room: str, who: str, affiliation: str, config: Path = CONFIG) -> None:
        """Make somebody owner, admin, member, none or outcast (banned) of a room."""
        person = administrate(load(config), "room-affiliation", room=room, who=who, affiliation=affiliation)
        typer.echo(f"{person} is {affiliation}")
