"""XEP-0441: Message Archive Management Preferences. Whose messages an account wants in its archive.

The wishes of an account are known while it is in memory. What comes while it is away is archived provisionally, as its
offline messages are kept, and at the next login what is not wanted is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quietwire.core.errors import ConfigError, StanzaError
from quietwire.core.stanza import Iq
from quietwire.server.account import Account
from quietwire.server.archive_prefs import DEFAULTS, KEY, MEMORY, PREFS, TABLE, Prefs, from_bytes, read_prefs, settle
from quietwire.server.module import Context, IqGet, IqSet, Keeps, Loading, Module, Opening, Setting, Xep


def make_state(settings: Mapping[str, Any]) -> str:
    default = str(settings.get("default", "always"))
    if default not in DEFAULTS:
        raise ConfigError("[modules.archive_preferences]", "default", "always, never or roster")
    return default


async def on_open(context: Context) -> None:
    context.ports["archive"].default = context.state


async def load(context: Context) -> None:
    account = context.account
    assert account is not None
    value = await context.ports["store"].get(TABLE, account.owner, KEY)
    try:
        prefs = Prefs(context.state) if value is None else from_bytes(value)
    except ValueError:
        prefs = Prefs("never")  # what was asked for cannot be read: nothing is kept that should not be
    account.memory[MEMORY] = prefs
    if not prefs.plain or account.blocks or account.closed:
        context.services.spawn(settle(context.ports["archive"], account))


def _own(context: Context, iq: Iq) -> Account:
    session = context.session
    if session is None or context.account is not session.account:
        raise StanzaError("forbidden" if iq.to is not None and iq.to.local else "service-unavailable")
    return session.account


async def on_get(context: Context, iq: Iq) -> Iq:
    account = _own(context, iq)
    prefs: Prefs = account.memory[MEMORY]
    return iq.result(prefs.element())


async def on_set(context: Context, iq: Iq) -> Iq:
    account = _own(context, iq)
    prefs = account.memory[MEMORY] = read_prefs(iq.payload)
    context.ports["store"].put(TABLE, account.owner, KEY, prefs.to_bytes())
    return iq.result(prefs.element())


MODULE = Module(
    name="archive_preferences",
    xep=Xep(441, "0.2.0"),
    features=(),
    handlers=(
        Opening(on_open),
        Loading(load),
        IqGet(PREFS, on_get),
        IqSet(PREFS, on_set),
        Setting("default", "always", "what is archived for accounts that have said nothing: always, never or roster"),
    ),
    keeps=(Keeps("whose messages the owner wants archived, and whose not", TABLE, True, "the account is deleted"),),
    emits="one reply per request",
    needs=("store", "archive"),
    state=make_state,
)
