"""Requests between occupants: neither learns the other's address (XEP-0045 §15.4, XEP-0410)."""

from __future__ import annotations

from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.stanza import Iq
from quietwire.server import disco
from quietwire.server.rooms import names
from quietwire.server.rooms.join import condition_of
from quietwire.server.rooms.messages import spend
from quietwire.server.rooms.model import Room
from quietwire.server.rooms.state import Rooms

_TO_ACCOUNT: Final = frozenset(
    (names.VCARD_TAG, "{urn:ietf:params:xml:ns:vcard-4.0}vcard", "{http://jabber.org/protocol/pubsub}pubsub")
)
"""What is the account's to answer, not the client's."""


def forward(rooms: Rooms, room: Room, iq: Iq) -> Iq | None:
    """To the occupant addressed; the answer goes back later. Raises StanzaError: not-acceptable for who is not in the
    room (bad-request where it is service discovery, §6.6), item-not-found for no such occupant."""
    assert iq.from_ is not None
    assert iq.to is not None
    asker = room.occupants.by_jid.get(iq.from_)
    if asker is None:
        if iq.names[0] in (disco.INFO, disco.ITEMS):
            raise StanzaError("bad-request")
        raise StanzaError("not-acceptable", type="cancel")
    other = room.occupants.by_nick.get(iq.to.resource)
    if other is None:
        raise StanzaError("item-not-found")
    if other is asker and iq.names[0] == names.PING_TAG:
        return iq.result()  # XEP-0410 §3.1: no device needs to wake up for that
    if iq.names[0] in _TO_ACCOUNT and iq.type == "set":
        raise StanzaError("not-allowed")
    spend(rooms, asker)
    to = other.bare if iq.names[0] in _TO_ACCOUNT else other.primary
    nick, former = other.jid, asker.jid

    def answered(reply: Iq | None) -> None:
        if room.occupants.by_jid.get(iq.from_) is not asker:  # type: ignore[arg-type]
            return
        if reply is None:
            answer = iq.error("remote-server-timeout")
        elif reply.type == "error":
            answer = iq.error(condition_of(reply.tree))
        else:
            answer = Iq({"type": reply.type, "id": iq.id}, reply.inner, reply.names)
        answer.to, answer.from_ = iq.from_, nick
        rooms.send(answer)

    rooms.services.ask(iq.addressed(to=to, from_=former), answered)
    return None
