"""What an administrator asks of a server: the same commands on a running one, over its control socket, and on its
storage while none runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from quietwire.cli.checks.system import reachable
from quietwire.cli.compose import open_server
from quietwire.cli.config import Config
from quietwire.cli.logs import Log
from quietwire.core.errors import QuietwireError
from quietwire.core.jid import JID, JIDError
from quietwire.net.control import ask_control
from quietwire.net.lockdown import no_core_dumps
from quietwire.net.shell import Shell, driven
from quietwire.seal.server_key import Argon2, RawKey, Wrapping, of_raw
from quietwire.server.sealed.keeper import Keeper
from quietwire.server.server import Server

Arguments = dict[str, Any]
Command = Callable[[Server, Arguments], Awaitable[Any]]
"""Awaits `Later`s; takes and returns what JSON can hold. Raises QuietwireError."""

Ask = Callable[[str, Arguments], Awaitable[Any]]
"""(command, arguments) -> what it returns. Raises QuietwireError."""

CONTROL = "control.sock"
"""In the data directory."""


async def _add(server: Server, arguments: Arguments) -> str:
    code = arguments.get("recovery_code", "")
    return str(await server.admin.add(arguments["name"], arguments["password"], arguments.get("iterations", 0), code))


async def _import(server: Server, arguments: Arguments) -> int:
    return await server.admin.load([(n, p) for n, p in arguments["accounts"]], arguments.get("iterations", 0))


async def _passwd(server: Server, arguments: Arguments) -> dict[str, Any]:
    admin, name = server.admin, arguments["name"]
    kept = await admin.set_password(name, arguments["password"], destroy=arguments.get("destroy", False))
    return {"jid": str(admin.jid(name)), "kept": kept}


async def _change(server: Server, arguments: Arguments) -> str:
    return str(await server.admin.change_password(arguments["name"], arguments["old"], arguments["password"]))


async def _recovery(server: Server, arguments: Arguments) -> str:
    return await server.admin.make_recovery(arguments["name"], arguments.get("password", ""))


async def _recover(server: Server, arguments: Arguments) -> str:
    return str(await server.admin.recover(arguments["name"], arguments["code"], arguments["password"]))


async def _delete(server: Server, arguments: Arguments) -> dict[str, Any]:
    admin, name = server.admin, arguments["name"]
    return {"told": await admin.delete(name), "jid": str(admin.jid(name))}


async def _list(server: Server, arguments: Arguments) -> dict[str, Any]:
    return {"accounts": server.admin.number(), "unlocked": server.admin.unlocked()}


async def _show(server: Server, arguments: Arguments) -> dict[str, Any]:
    jid = str(server.admin.jid(arguments["name"]))
    return {"jid": jid, "exists": await server.admin.exists(jid), "unlocked": jid in server.admin.unlocked()}


def _account(server: Server, name: str) -> JID | None:
    """The account of that localpart or address, made or not; None for ''."""
    domain = server.settings.domain.domain
    try:
        return JID.of(name.removesuffix(f"@{domain}"), domain) if name else None
    except JIDError:
        raise QuietwireError(f"{name!r} is not an account of {domain}") from None


async def _invite(server: Server, arguments: Arguments) -> dict[str, Any]:
    invitations, domain = server.invitations, server.settings.domain
    inviter = _account(server, arguments.get("inviter", "")) or domain
    name = _account(server, arguments.get("name", ""))
    if inviter is not domain and not server.accounts.exists(inviter):
        raise QuietwireError(f"{inviter} has no account here")
    if name is not None and server.accounts.exists(name):
        raise QuietwireError(f"{name} exists already")
    token, made = invitations.make(
        inviter,
        days=arguments["days"],
        register=True,
        contact=inviter is not domain,
        name=name.local if name is not None else "",
        unlimited=True,
    )
    await server.admin.durable()
    return {"uri": invitations.uri(token, made), "page": invitations.landing(token), "expires": made.expires}


async def _invite_list(server: Server, arguments: Arguments) -> list[dict[str, Any]]:
    return [
        {
            "handle": handle,
            "operator": server.invitations.operators(one),
            "named": bool(one.name),
            "register": one.register,
            "expires": one.expires,
        }
        for handle, one in server.invitations.listed()
    ]


async def _invite_revoke(server: Server, arguments: Arguments) -> int:
    taken = server.invitations.revoke(arguments["handle"])
    if not taken:
        raise QuietwireError("no open invitation has that handle: `quietwire invite list` shows them")
    await server.admin.durable()
    return taken


def _keeper(server: Server) -> Keeper:
    assert server.ports.keeper is not None  # which `open_server` sees to
    return server.ports.keeper


async def _key_show(server: Server, arguments: Arguments) -> dict[str, Any]:
    return _keeper(server).shown()


async def _key_add(server: Server, arguments: Arguments) -> None:
    """`key`: of a `Wrapping`; `id` and `argon2`, where it comes from a passphrase."""
    key = bytes.fromhex(arguments["key"])
    argon2 = arguments.get("argon2")
    await _keeper(server).add(
        Wrapping(key, bytes.fromhex(arguments["id"]), Argon2.from_bytes(bytes.fromhex(argon2)))
        if argon2
        else of_raw(RawKey(key))
    )


async def _key_settle(server: Server, arguments: Arguments) -> None:
    await _keeper(server).settle(bytes.fromhex(arguments["key"]))


COMMANDS: dict[str, Command] = {
    "key-show": _key_show,
    "key-add": _key_add,
    "key-settle": _key_settle,
    "invite": _invite,
    "invite-list": _invite_list,
    "invite-revoke": _invite_revoke,
    "account-add": _add,
    "account-import": _import,
    "account-passwd": _passwd,
    "account-change": _change,
    "account-recovery": _recovery,
    "account-recover": _recover,
    "account-show": _show,
    "account-delete": _delete,
    "account-list": _list,
}


async def carry_out(server: Server, command: str, arguments: Arguments) -> Any:
    """Raises QuietwireError for an unknown command and for what cannot be done."""
    found = COMMANDS.get(command)
    if found is None:
        raise QuietwireError(f"no such command: {command}")
    return await found(server, arguments)


def answers(
    server: Server, own: Mapping[str, Callable[[Arguments], Awaitable[Any]]]
) -> Callable[[str, Arguments], Awaitable[Any]]:
    """What the control socket serves. `own`: commands that only a running server has; they await the event loop's
    futures."""

    async def serve(command: str, arguments: Arguments) -> Any:
        if command in own:
            return await own[command](arguments)
        return await driven(carry_out(server, command, arguments))

    return serve


def administrate(config: Config, command: str, **arguments: Any) -> Any:
    """Carries out one command, wherever the database is open. Raises QuietwireError."""
    return asyncio.run(_administrate(config, command, arguments))


async def _administrate(config: Config, command: str, arguments: Arguments) -> Any:
    async with reaching(config) as ask:
        return await ask(command, arguments)


@asynccontextmanager
async def reaching(config: Config) -> AsyncIterator[Ask]:
    """Several commands, wherever the database is open: it is opened once. Raises QuietwireError, as they do."""
    if reachable(config.data / CONTROL):
        yield partial(ask_control, config.data / CONTROL)
        return
    # No server is running: the lock of the data directory is free.
    no_core_dumps()
    shell = Shell(asyncio.get_running_loop(), workers=2)
    try:
        server = await open_server(config, shell, Log("error"))
        try:
            yield lambda command, arguments: driven(carry_out(server, command, arguments))
        finally:
            server.ports.storage.close()
    finally:
        shell.close()


def ask_running(config: Config, command: str, **arguments: Any) -> Any:
    """The same for what only a running server can tell. Raises QuietwireError where none runs."""
    try:
        return asyncio.run(ask_control(config.data / CONTROL, command, arguments))
    except OSError:
        raise QuietwireError("no server is running with this configuration") from None
