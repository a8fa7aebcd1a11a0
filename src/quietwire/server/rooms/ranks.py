"""Affiliations, roles, and who may change them (XEP-0045 §5, §8, §9, §10)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from quietwire.core.errors import StanzaError


class Affiliation(IntEnum):
    """A bare JID's lasting association with a room (§5.2)."""

    OUTCAST = -1
    NONE = 0
    MEMBER = 1
    ADMIN = 2
    OWNER = 3

    @property
    def label(self) -> str:
        return _LABELS[self]


class Role(IntEnum):
    """What an occupant may do while it is in the room (§5.1)."""

    NONE = 0
    VISITOR = 1
    PARTICIPANT = 2
    MODERATOR = 3

    @property
    def label(self) -> str:
        return _ROLES[self]


_LABELS: Final = {each: each.name.lower() for each in Affiliation}
_ROLES: Final = {each: each.name.lower() for each in Role}
AFFILIATIONS: Final = {each.name.lower(): each for each in Affiliation}
ROLES: Final = {each.name.lower(): each for each in Role}


def may_affiliate(
    actor: Affiliation, old: Affiliation, new: Affiliation, *, oneself: bool = False, other_owners: bool = True
) -> None:
    """Raises StanzaError where the actor may not change a user's affiliation from `old` to `new`.

    forbidden: lists of that kind are not the actor's to edit. not-allowed: the user ranks too high (§9.1). conflict: a
    ban of oneself (§9.1), or of the only owner's status (§10.4; `other_owners` says whether there are more).
    """
    if actor < Affiliation.ADMIN:
        raise StanzaError("forbidden")
    if oneself and new is Affiliation.OUTCAST:
        raise StanzaError("conflict")
    if actor < Affiliation.OWNER:
        if new > Affiliation.MEMBER and new is not old:
            raise StanzaError("forbidden")
        if old > Affiliation.MEMBER and new is not old:
            raise StanzaError("not-allowed")
    if old is Affiliation.OWNER and new is not Affiliation.OWNER and not other_owners:
        raise StanzaError("conflict")


def may_change_role(
    actor: tuple[Affiliation, Role], target: tuple[Affiliation, Role], new: Role, *, oneself: bool = False
) -> None:
    """Raises StanzaError where the actor, an occupant, may not give another one the role `new`.

    forbidden: the actor is no moderator, or grants and revokes that role without being an admin (§9.6, §9.7).
    not-allowed: the target's affiliation protects it (§5.1.1, §8.2, §8.4). conflict: a kick of oneself (§8.2).
    """
    rank, role = actor
    target_rank, old = target
    if role < Role.MODERATOR:
        raise StanzaError("forbidden")
    if new is old:
        return
    if oneself and new is Role.NONE:
        raise StanzaError("conflict")
    if target_rank > rank:
        raise StanzaError("not-allowed")
    if new is not Role.NONE and target_rank >= Affiliation.ADMIN:
        raise StanzaError("not-allowed")  # an admin is a moderator, whatever anybody says
    if old is Role.MODERATOR and rank < Affiliation.ADMIN:
        raise StanzaError("not-allowed" if new is Role.NONE else "forbidden")
    if new is Role.MODERATOR and rank < Affiliation.ADMIN:
        raise StanzaError("forbidden")
    if new is Role.VISITOR and target_rank >= rank and target_rank > Affiliation.NONE:
        raise StanzaError("not-allowed")


def default_role(affiliation: Affiliation, *, moderated: bool) -> Role:
    """The role on entering (§5.1.2)."""
    if affiliation >= Affiliation.ADMIN:
        return Role.MODERATOR
    if affiliation is Affiliation.OUTCAST:
        return Role.NONE
    if affiliation is Affiliation.MEMBER or not moderated:
        return Role.PARTICIPANT
    return Role.VISITOR


def role_after(role: Role, old: Affiliation, new: Affiliation, *, moderated: bool) -> Role:
    """The role of an occupant whose affiliation has changed (§5.1.3). What is gained with an affiliation is gained at
    once; what is lost with one is what a newcomer would not have, and a moderator made by hand stays one."""
    standard = default_role(new, moderated=moderated)
    if new > old:
        return max(role, standard)
    if old >= Affiliation.ADMIN or new is Affiliation.OUTCAST:
        return standard
    return role if role is Role.MODERATOR else min(role, standard)
