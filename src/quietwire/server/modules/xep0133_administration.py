"""XEP-0133: Service Administration, as far as running a server needs it, for accounts named in `[admin]`.

Left out on purpose: what shows an administrator who is online, when somebody was last here, and whom he knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from quietwire.core.jid import JID, JIDError
from quietwire.server.admin import AccountExists, Admin, AdminError, WouldDestroy
from quietwire.server.commands import Answer, Call
from quietwire.server.forms import field, form
from quietwire.server.module import Command, Context, Module, Xep
from quietwire.server.registration import MAX_PASSWORD, MIN_PASSWORD

NS: Final = "http://jabber.org/protocol/admin"

MAX_ACCOUNTS: Final = 50
"""Of one command: each is a handful of commits."""
DESTROY: Final = "destroy-sealed-data"
"""A field of ours: without it the password of an account whose owner is away is not replaced."""
_LOST: Final = (
    "Nothing was changed: the owner is away, and a new password would destroy what only the owner can read: contacts,"
    " bookmarks, block list, private data, message archive and waiting messages. The recovery code, on the server's"
    " command line or page, loses nothing; neither does a change while the owner is logged in. Confirm to destroy it."
)

Values = Mapping[str, tuple[str, ...]]


class _Refused(Exception):
    """The text is for the administrator."""


def may_administer(context: Context) -> bool:
    return context.session is not None and context.services.is_admin(context.session.jid)


def _failed(text: str) -> Answer:
    return Answer("completed", note=text, failed=True)


def _text(values: Values, var: str) -> str:
    return "".join(values.get(var, ()))


def _local(context: Context, text: str) -> JID:
    try:
        jid = JID.parse(text.strip())
    except JIDError:
        raise _Refused("This is not an address.") from None
    if jid.domain != context.domain.domain or not jid.local:
        raise _Refused(f"This is not an address of {context.domain.domain}.")
    return jid


def _existing(context: Context, texts: Sequence[str]) -> list[JID]:
    """All of them, or none is touched."""
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise _Refused("Name an account.")
    if len(texts) > MAX_ACCOUNTS:
        raise _Refused(f"At most {MAX_ACCOUNTS} accounts at once.")
    jids = list(dict.fromkeys(_local(context, text) for text in texts))
    if not all(context.services.exists(jid.bare) for jid in jids):
        raise _Refused("There is no such account." if len(jids) == 1 else "One of these accounts does not exist.")
    return jids


def _password(values: Values) -> str:
    password = _text(values, "password")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise _Refused(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.")
    return password


# -- forms ------------------------------------------------------------------------------------------------------------

_PASSWORD: Final = ("password", "text-private", "Password")


def _add_form() -> Answer:
    fields = (
        field("accountjid", "jid-single", "Address of the new account", required=True),
        field(*_PASSWORD, required=True),
        field("password-verify", "text-private", "The password again", required=True),
    )
    return Answer("executing", form("form", NS, fields, title="Add an account"))


def _accounts_form(title: str) -> Answer:
    fields = (field("accountjids", "jid-multi", "Addresses, one a line", required=True),)
    return Answer("executing", form("form", NS, fields, title=title))


def _password_form() -> Answer:
    fields = (
        field("accountjid", "jid-single", "Address of the account", required=True),
        field(*_PASSWORD, required=True),
        field(DESTROY, "boolean", "If the owner is away: destroy what only the owner can read", ("0",)),
    )
    return Answer("executing", form("form", NS, fields, title="Set a new password"))


# -- commands ---------------------------------------------------------------------------------------------------------


async def on_add(context: Context, call: Call) -> Answer:
    """§4.1."""
    values = call.fields(NS)
    if values is None:
        return _add_form()
    admin: Admin = context.ports["admin"]
    try:
        jid = _local(context, _text(values, "accountjid"))
        if _text(values, "password") != _text(values, "password-verify"):
            raise _Refused("These are two different passwords.")
        await admin.add(jid.bare.text, _password(values))
    except _Refused as refused:
        return _failed(str(refused))
    except AccountExists:
        return _failed("There is such an account already.")
    except AdminError:
        return _failed("This password cannot be used.")
    return Answer("completed")


async def on_delete(context: Context, call: Call) -> Answer:
    """§4.2."""
    values = call.fields(NS)
    if values is None:
        return _accounts_form("Delete accounts with everything they left")
    assert context.session is not None
    admin: Admin = context.ports["admin"]
    try:
        jids = {jid.bare for jid in _existing(context, values.get("accountjids", ()))}
        if context.session.jid.bare in jids:
            raise _Refused("Your own account is deleted with your client's command for that.")
        for jid in jids:
            await admin.delete(jid.text)
    except _Refused as refused:
        return _failed(str(refused))
    except AdminError:
        return _failed("An account was being changed by somebody else; try again.")
    return Answer("completed")


async def on_end(context: Context, call: Call) -> Answer:
    """§4.5: of a full address that session, of a bare one all. They may log in again."""
    values = call.fields(NS)
    if values is None:
        return _accounts_form("End sessions")
    try:
        jids = _existing(context, values.get("accountjids", ()))
    except _Refused as refused:
        return _failed(str(refused))
    for jid in jids:
        context.services.end_sessions(jid)
    return Answer("completed")


async def on_password(context: Context, call: Call) -> Answer:
    """§4.7. Ends the account's other sessions and its tokens. Its sealed data only on explicit demand."""
    values = call.fields(NS)
    if values is None:
        return _password_form()
    assert context.session is not None
    admin: Admin = context.ports["admin"]
    try:
        [jid] = _existing(context, (_text(values, "accountjid"),))
        confirmed = _text(values, DESTROY) in ("1", "true")
        await admin.set_password(jid.bare.text, _password(values), context.session.jid, destroy=confirmed)
    except _Refused as refused:
        return _failed(str(refused))
    except WouldDestroy:
        return _failed(_LOST)
    except AdminError:
        return _failed("This password cannot be used, or somebody else is changing the account.")
    return Answer("completed")


async def on_count(context: Context, call: Call) -> Answer:
    """§4.13."""
    admin: Admin = context.ports["admin"]
    number = str(admin.number())
    return Answer("completed", form("result", NS, (field("registeredusersnum", "text-single", values=(number,)),)))


async def on_list(context: Context, call: Call) -> Answer:
    """§4.18: how many there are. The names stand in the database as keyed hashes, and the server does not know them; it
    knows those of who is here, which is nobody's business."""
    admin: Admin = context.ports["admin"]
    text = f"{admin.number()} accounts. Their names are kept as hashes: the server cannot list them."
    return Answer("completed", form("result", NS, (field("registereduserjids", "jid-multi"),)), note=text)


MODULE = Module(
    name="administration",
    xep=Xep(133, "1.3.1"),
    features=(),
    handlers=(
        Command(f"{NS}#add-user", "Add an account", on_add, may_administer),
        Command(f"{NS}#delete-user", "Delete accounts", on_delete, may_administer),
        Command(f"{NS}#end-user-session", "End sessions", on_end, may_administer),
        Command(f"{NS}#change-user-password", "Set a new password", on_password, may_administer),
        Command(f"{NS}#get-registered-users-num", "Number of accounts", on_count, may_administer),
        Command(f"{NS}#get-registered-users-list", "List the accounts", on_list, may_administer),
    ),
    keeps=(),
    emits="one reply per command, to administrators",
    needs=("admin",),
)
