"""XEP-0398: User Avatar to vCard-Based Avatars Conversion: the hash in presence.

The picture in the vCard is the vCard's business; how both hang together stands in `server/avatars.py`.
"""

from __future__ import annotations

from quietwire.core.stanza import Presence
from quietwire.server.avatars import DATA, KEY, MEMORY, METADATA, TABLE, Avatar, refresh, stamp
from quietwire.server.module import Context, Keeps, Loading, Module, NodeHook, PresenceStamp, Xep


async def on_loading(context: Context) -> None:
    account = context.account
    assert account is not None
    row = await context.ports["store"].get(TABLE, account.owner, KEY)
    if row is not None:
        account.memory[MEMORY] = Avatar.decode(row)


def on_change(context: Context) -> None:
    assert context.account is not None
    context.services.spawn(refresh(context.ports["pep"], context.account.jid))


def on_data(context: Context) -> None:
    """Data comes before metadata (XEP-0084 §4.2.1), and with it the former picture goes."""
    assert context.account is not None
    context.services.spawn(refresh(context.ports["pep"], context.account.jid, complete=False))


def on_presence(context: Context, presence: Presence) -> Presence:
    assert context.account is not None
    return stamp(context.account, presence)


MODULE = Module(
    name="avatars",
    xep=Xep(398, "1.0.0"),
    features=(),
    account_features=("urn:xmpp:pep-vcard-conversion:0",),
    handlers=(
        Loading(on_loading),
        NodeHook(METADATA, on_change),
        NodeHook(DATA, on_data),
        PresenceStamp(on_presence),
    ),
    keeps=(Keeps("the SHA-1 of the published avatar, its type, and whether everybody may fetch it", TABLE, True,
                 "the avatar is withdrawn"),),
    emits="the hash of the avatar in available presence to contacts, elsewhere only if everybody may fetch the avatar; "
    "presence once more when the avatar changes",
    needs=("store", "pep"),
)  # fmt: skip
