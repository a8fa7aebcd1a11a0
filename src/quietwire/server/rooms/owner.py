"""Configuration and destruction: ``muc#owner`` (XEP-0045 §10.1, §10.2, §10.9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, JIDError, parse_jid
from quietwire.core.stanza import Iq
from quietwire.core.xml import Element, build
from quietwire.server import forms
from quietwire.server.rooms import affiliations, lifecycle, names, persistence
from quietwire.server.rooms.config import ADMINS, OWNERS
from quietwire.server.rooms.model import MAX_REASON, Room
from quietwire.server.rooms.presences import Actor, announce, announced, shown, status
from quietwire.server.rooms.ranks import Affiliation, Role
from quietwire.server.rooms.state import Rooms

_DESTROY: Final = f"{{{names.OWNER}}}destroy"


def _check(room: Room, iq: Iq) -> JID:
    assert iq.from_ is not None
    if room.affiliation(iq.from_.bare) is not Affiliation.OWNER:
        raise StanzaError("forbidden")
    return iq.from_


def get(rooms: Rooms, room: Room, iq: Iq) -> Iq:
    """The form. Raises StanzaError(forbidden)."""
    _check(room, iq)
    owners = tuple(bare.text for bare in room.owners())
    admins = tuple(bare.text for bare in room.with_affiliation(Affiliation.ADMIN))
    form = room.config.form(f"Configuration of {room.jid.text}", owners, admins)
    return iq.result(build(names.OWNER_QUERY, {}, form))


def set(rooms: Rooms, room: Room, iq: Iq) -> tuple[Iq, tuple[int, ...]]:
    """A submitted form, or the end of the room. -> the answer, and the status codes that everybody is told after it.
    Raises StanzaError: forbidden, bad-request, not-acceptable, conflict."""
    sender = _check(room, iq)
    destroy = iq.payload.find(_DESTROY)
    if destroy is not None:
        _destroy(rooms, room, destroy)
        return iq.result(), ()
    form = iq.payload.find(forms.X)
    if form is None:
        raise StanzaError("bad-request")
    kind = form.get("type", "submit")
    if kind == "cancel":
        if room.locked:
            lifecycle.destroy(rooms, room)
        return iq.result(), ()
    if kind != "submit":
        raise StanzaError("bad-request")
    codes = configure(rooms, room, forms.read(form, names.ROOMCONFIG), sender)
    return iq.result(), codes


def configure(rooms: Rooms, room: Room, values: forms.Fields, sender: JID | None) -> tuple[int, ...]:
    """Applies the fields of a form, all or none; unlocks a new room. -> status codes to tell. Raises StanzaError."""
    config = room.config.apply(values)
    if config.max_users > rooms.limits.occupants:
        config = replace(config, max_users=rooms.limits.occupants)
    changes = _lists(rooms, room, values)
    before, room.config = room.config, config
    room.history.resize(config.history)
    for each in room.occupants:
        each.shown.clear()
    new = room.locked
    if new:
        lifecycle.unlock(rooms, room)
    elif before.persistent != config.persistent:
        persistence.save(rooms, room)
    elif before != config:
        persistence.save_config(rooms, room)
    occupant = room.occupants.by_jid.get(sender) if sender is not None else None
    actor = Actor(sender, occupant.nick if occupant is not None else "") if sender is not None else None
    for bare, affiliation in changes:
        affiliations.change(rooms, room, bare, affiliation, actor=actor)
    if config.members_only and not before.members_only:
        affiliations.close(rooms, room)
    _show(rooms, room, before.presence, before.anonymous)
    privacy = config.privacy_changes(before)
    if new:
        return (104, *privacy) if privacy else ()  # its owner alone is in, and knows what it has just chosen
    return (104, *privacy) if config != before else ()


def tell(rooms: Rooms, room: Room, codes: tuple[int, ...]) -> None:
    """Everybody learns that the configuration has changed."""
    if codes:
        status(rooms, room, codes)


def _show(rooms: Rooms, room: Room, presence: tuple[str, ...], anonymous: bool) -> None:
    """Those whose role is broadcast from now on, or whose addresses may be seen now, are shown."""
    for occupant in room.occupants:
        newly = announced(room, occupant.role) and occupant.role.label not in presence
        if newly:
            announce(rooms, room, occupant)
        elif anonymous and not room.config.anonymous and announced(room, occupant.role):
            for other in room.occupants:
                if other is not occupant and other.role is not Role.MODERATOR:
                    rooms.tell(shown(room, occupant, True), other.sessions)


def _lists(rooms: Rooms, room: Room, values: forms.Fields) -> list[tuple[JID, Affiliation]]:
    """The changes that the form's lists of owners and admins mean. Raises StanzaError: jid-malformed, conflict where
    no owner is left."""
    wanted: dict[JID, Affiliation] = {}
    replaced: list[Affiliation] = []
    for var, affiliation in ((ADMINS, Affiliation.ADMIN), (OWNERS, Affiliation.OWNER)):
        if var in values:
            replaced.append(affiliation)
            for text in values[var]:
                if text.strip():
                    wanted[_bare(text)] = affiliation
    changes = [(bare, a) for bare, a in wanted.items() if room.affiliation(bare) is not a]
    for affiliation in replaced:
        changes += [(b, Affiliation.NONE) for b in room.with_affiliation(affiliation) if b not in wanted]
    owners = {bare for bare in room.owners()} - {b for b, _ in changes}
    if not owners and not any(a is Affiliation.OWNER for _, a in changes):
        raise StanzaError("conflict")
    if len(room.standings) + len(changes) > rooms.limits.affiliations:
        raise StanzaError("resource-constraint")
    changes.sort(key=lambda change: -change[1])
    return changes


def _bare(text: str) -> JID:
    try:
        return parse_jid(text.strip()).bare
    except JIDError:
        raise StanzaError("jid-malformed") from None


def _destroy(rooms: Rooms, room: Room, element: Element) -> None:
    reason = element.findtext(f"{{{names.OWNER}}}reason", "")
    password = element.findtext(f"{{{names.OWNER}}}password", "")
    if len(reason.encode()) > MAX_REASON or len(password.encode()) > MAX_REASON:
        raise StanzaError("not-acceptable", "reason: 1 KiB at most")
    alternate = element.get("jid", "")
    if alternate:
        try:
            alternate = parse_jid(alternate).text
        except JIDError:
            raise StanzaError("jid-malformed") from None
    lifecycle.destroy(rooms, room, reason=reason, alternate=alternate, password=password)
