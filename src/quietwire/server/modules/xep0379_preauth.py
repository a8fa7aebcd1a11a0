"""XEP-0379: Pre-Authenticated Roster Subscription. Who asks with an open invitation of the account is let in and asked
back, while the account's own clients are away too. Any other token changes nothing."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Presence
from quietwire.server.contacts import Contacts
from quietwire.server.module import Context, Module, RequestHook, Xep
from quietwire.server.sealed.arriving import ADMIT

PREAUTH: Final = "{urn:xmpp:pars:0}preauth"


def on_request(context: Context, presence: Presence) -> None:
    account, guest = context.account, presence.from_
    if PREAUTH not in presence.names or account is None or guest is None:
        return
    element = presence.child(PREAUTH)
    assert element is not None
    token = element.get("token", "")
    invitations = context.ports["invitations"]
    found = invitations.find(token)
    if found is None or found.inviter != account.jid or not found.contact or found.name:
        return
    if account.away:
        # The guest is told now, the account's roster when its owner comes.
        if not context.ports["arrivals"].keep(account.jid, ADMIT, guest.bare, guest.bare.text.encode()):
            return
        for kind in ("subscribed", "subscribe"):
            context.services.send(Presence.make(to=guest.bare, from_=account.jid, type=kind))
    else:
        try:
            Contacts(context.services, context.ports["store"], context.domain.domain).admit(account, guest.bare)
        except StanzaError:
            return  # the roster is full: its owner decides
    invitations.done(token)


MODULE = Module(
    name="preauth",
    xep=Xep(379, "0.3.3"),
    features=("urn:xmpp:pars:0",),
    handlers=(RequestHook(on_request),),
    keeps=(),
    emits="an answer to a request with an open invitation, and a request back",
    needs=("store", "invitations", "arrivals"),
)
