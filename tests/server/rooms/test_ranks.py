from __future__ import annotations

import pytest

from quietwire.core.errors import StanzaError
from quietwire.server.rooms.ranks import Affiliation, Role, default_role, may_affiliate, may_change_role, role_after

OUTCAST, NONE, MEMBER, ADMIN, OWNER = Affiliation
GONE, VISITOR, PARTICIPANT, MODERATOR = Role


def affiliate(actor: Affiliation, old: Affiliation, new: Affiliation, **more: bool) -> str:
    try:
        may_affiliate(actor, old, new, **more)
    except StanzaError as error:
        return error.condition
    return ""


@pytest.mark.parametrize("actor", [OUTCAST, NONE, MEMBER])
@pytest.mark.parametrize("old", list(Affiliation))
@pytest.mark.parametrize("new", list(Affiliation))
def test_below_admin_no_list_can_be_edited(actor: Affiliation, old: Affiliation, new: Affiliation) -> None:
    assert affiliate(actor, old, new) == "forbidden"


@pytest.mark.parametrize(
    ("old", "new", "condition"),
    [
        (NONE, MEMBER, ""),
        (MEMBER, NONE, ""),
        (NONE, OUTCAST, ""),
        (OUTCAST, NONE, ""),
        (MEMBER, ADMIN, "forbidden"),
        (NONE, OWNER, "forbidden"),
        (ADMIN, OUTCAST, "not-allowed"),
        (ADMIN, MEMBER, "not-allowed"),
        (OWNER, NONE, "not-allowed"),
        (OWNER, ADMIN, "forbidden"),
    ],
)
def test_an_admin_edits_the_lists_of_members_and_outcasts(old: Affiliation, new: Affiliation, condition: str) -> None:
    assert affiliate(ADMIN, old, new) == condition


@pytest.mark.parametrize("old", list(Affiliation))
@pytest.mark.parametrize("new", list(Affiliation))
def test_an_owner_edits_all(old: Affiliation, new: Affiliation) -> None:
    assert affiliate(OWNER, old, new) == ""


def test_nobody_bans_himself_and_an_owner_is_left() -> None:
    assert affiliate(OWNER, OWNER, OUTCAST, oneself=True) == "conflict"
    assert affiliate(ADMIN, ADMIN, OUTCAST, oneself=True) == "conflict"
    assert affiliate(OWNER, OWNER, MEMBER, oneself=True, other_owners=False) == "conflict"
    assert affiliate(OWNER, OWNER, MEMBER, oneself=True) == ""


def role(actor: tuple[Affiliation, Role], target: tuple[Affiliation, Role], new: Role, oneself: bool = False) -> str:
    try:
        may_change_role(actor, target, new, oneself=oneself)
    except StanzaError as error:
        return error.condition
    return ""


@pytest.mark.parametrize(
    ("actor", "target", "new", "condition"),
    [
        # only moderators
        ((OWNER, PARTICIPANT), (NONE, VISITOR), PARTICIPANT, "forbidden"),
        ((NONE, VISITOR), (NONE, VISITOR), GONE, "forbidden"),
        # voice
        ((NONE, MODERATOR), (NONE, VISITOR), PARTICIPANT, ""),
        ((NONE, MODERATOR), (NONE, PARTICIPANT), VISITOR, ""),
        ((NONE, MODERATOR), (MEMBER, PARTICIPANT), VISITOR, "not-allowed"),
        ((MEMBER, MODERATOR), (MEMBER, PARTICIPANT), VISITOR, "not-allowed"),
        ((OWNER, MODERATOR), (OWNER, MODERATOR), VISITOR, "not-allowed"),
        ((OWNER, MODERATOR), (ADMIN, MODERATOR), VISITOR, "not-allowed"),
        # kicks
        ((NONE, MODERATOR), (NONE, PARTICIPANT), GONE, ""),
        ((NONE, MODERATOR), (MEMBER, PARTICIPANT), GONE, "not-allowed"),
        ((NONE, MODERATOR), (NONE, MODERATOR), GONE, "not-allowed"),
        ((MEMBER, MODERATOR), (ADMIN, MODERATOR), GONE, "not-allowed"),
        ((ADMIN, MODERATOR), (OWNER, MODERATOR), GONE, "not-allowed"),
        ((ADMIN, MODERATOR), (NONE, MODERATOR), GONE, ""),
        ((OWNER, MODERATOR), (ADMIN, MODERATOR), GONE, ""),
        # moderators
        ((NONE, MODERATOR), (NONE, PARTICIPANT), MODERATOR, "forbidden"),
        ((ADMIN, MODERATOR), (NONE, PARTICIPANT), MODERATOR, ""),
        ((ADMIN, MODERATOR), (NONE, MODERATOR), PARTICIPANT, ""),
        ((NONE, MODERATOR), (NONE, MODERATOR), PARTICIPANT, "forbidden"),
        ((ADMIN, MODERATOR), (ADMIN, MODERATOR), PARTICIPANT, "not-allowed"),
        ((NONE, MODERATOR), (ADMIN, MODERATOR), PARTICIPANT, "not-allowed"),
        # nothing changes
        ((NONE, MODERATOR), (OWNER, MODERATOR), MODERATOR, ""),
    ],
)
def test_roles(actor: tuple[Affiliation, Role], target: tuple[Affiliation, Role], new: Role, condition: str) -> None:
    assert role(actor, target, new) == condition


def test_nobody_kicks_himself() -> None:
    assert role((OWNER, MODERATOR), (OWNER, MODERATOR), GONE, oneself=True) == "conflict"


@pytest.mark.parametrize(
    ("affiliation", "moderated", "expected"),
    [
        (NONE, True, VISITOR),
        (NONE, False, PARTICIPANT),
        (MEMBER, True, PARTICIPANT),
        (ADMIN, True, MODERATOR),
        (OWNER, False, MODERATOR),
        (OUTCAST, False, GONE),
    ],
)
def test_the_first_role(affiliation: Affiliation, moderated: bool, expected: Role) -> None:
    assert default_role(affiliation, moderated=moderated) is expected


@pytest.mark.parametrize(
    ("before", "old", "new", "moderated", "after"),
    [
        (VISITOR, NONE, MEMBER, True, PARTICIPANT),
        (PARTICIPANT, MEMBER, ADMIN, False, MODERATOR),
        (MODERATOR, NONE, MEMBER, False, MODERATOR),
        (MODERATOR, ADMIN, MEMBER, False, PARTICIPANT),
        (MODERATOR, OWNER, NONE, True, VISITOR),
        (MODERATOR, OWNER, ADMIN, True, MODERATOR),
        (PARTICIPANT, MEMBER, NONE, True, VISITOR),
        (MODERATOR, MEMBER, NONE, True, MODERATOR),
        (VISITOR, MEMBER, MEMBER, False, VISITOR),
    ],
)
def test_the_role_after_another_affiliation(
    before: Role, old: Affiliation, new: Affiliation, moderated: bool, after: Role
) -> None:
    assert role_after(before, old, new, moderated=moderated) is after
