"""Tells owners what was found amiss in what the server keeps for them (`sealed/findings.py`), once, when they are
there: somebody has written on the disk, or it is failing. No name of a contact or node is in it."""

from __future__ import annotations

from quietwire.core import ns
from quietwire.core.stanza import Message, Presence
from quietwire.server.module import Context, Module, PresenceHook

BODY = f"{{{ns.CLIENT}}}body"


def text(count: int) -> str:
    what = "One entry" if count == 1 else f"{count} entries"
    verb = "was" if count == 1 else "were"
    return (
        f"{what} of what this server keeps for you {verb} not as written: damaged, replaced or missing. What cannot be"
        " trusted has been set aside and is not used; everything else is as it was. Please look through your contacts,"
        " your block list and your bookmarks, and tell whoever runs this server: its disk is failing, or somebody has"
        " changed what is on it."
    )


def on_presence(context: Context, presence: Presence) -> None:
    session, account = context.session, context.account
    if session is None or account is None or session.presence is None or session.priority < 0:
        return
    count = context.ports["findings"].take(account.owner)
    if count:
        body = f"<body>{text(count)}</body>".encode()
        context.services.send(Message({}, body, (BODY,), to=account.jid, from_=context.domain))


MODULE = Module(
    name="findings",
    xep=None,
    features=(),
    handlers=(PresenceHook("out", on_presence),),
    keeps=(),
    emits="a message to an account of whose kept rows some were not as they were written, when a device comes",
    needs=("findings",),
)
