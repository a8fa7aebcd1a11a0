"""The configuration of a room (XEP-0045 §10.1, §10.2, §15.5) and the form it travels in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from quietwire.core.errors import StanzaError
from quietwire.core.xml import Element, build
from quietwire.server import forms
from quietwire.server.forms import field
from quietwire.server.rooms import names
from quietwire.server.rooms.ranks import Role

MAX_NAME: Final = 256
"""Bytes of a room's name: read by people in a list of rooms."""
MAX_DESCRIPTION: Final = 2_048
"""Bytes of a description: a paragraph."""
MAX_PASSWORD: Final = 256
"""Bytes of a room's password: it is typed by people."""
MAX_LANG: Final = 35
"""Characters of a language tag (RFC 5646 §4.4.1)."""
MAX_HISTORY: Final = 100
"""Messages sent to who enters, at most: what a screen or two hold. More is what archives are for."""
MAX_SLOW: Final = 86_400
"""Seconds between two messages of one occupant: a day."""

MODERATORS: Final = "moderators"
ANYONE: Final = "anyone"
_AWAY: Final = "none"
"""In the list of broadcast roles: registered members who are not in the room are shown as away."""
PRESENCE_ROLES: Final = (Role.MODERATOR.label, Role.PARTICIPANT.label, Role.VISITOR.label, _AWAY)
LIST_ROLES: Final = PRESENCE_ROLES[:3]


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """What can be configured. The defaults tell as little as a room can do with (docs/adr: quiet rooms)."""

    name: str = ""
    description: str = ""
    lang: str = ""
    public: bool = False
    """Listed by the service."""
    persistent: bool = False
    moderated: bool = False
    members_only: bool = True
    password: str = ""
    """'' for none."""
    whois: str = ANYONE
    """Who sees real JIDs: ``anyone`` (non-anonymous) or ``moderators`` (semi-anonymous)."""
    allow_pm: str = ANYONE
    """Who may send private messages: ``anyone``, ``participants``, ``moderators``, ``none``."""
    allow_invites: bool = False
    """Whether those who are not admins may invite to a members-only room."""
    change_subject: bool = False
    max_users: int = 0
    """0: as many as the service allows."""
    presence: tuple[str, ...] = LIST_ROLES[:2]
    """Roles whose presence is broadcast."""
    member_list: tuple[str, ...] = LIST_ROLES[:2]
    """Roles in which members may ask for the lists of members, admins and owners."""
    history: int = 20
    archive: bool = True
    """Messages are kept for members who were away (XEP-0313)."""
    logging: bool = False
    """Somebody publishes what is said: occupants are warned (status 170)."""
    slow: int = 0
    """Seconds that a participant waits between two messages (XEP-0500)."""

    @property
    def anonymous(self) -> bool:
        """Semi-anonymous: real JIDs for moderators only."""
        return self.whois == MODERATORS

    def apply(self, values: forms.Fields) -> RoomConfig:
        """With the fields of a submitted form; what it does not mention stays. Raises StanzaError(not-acceptable) for
        a value that is not supported, or protection by a password without one; fields of others' making are ignored."""
        parsed: dict[str, Any] = {}
        for rule in RULES:
            for var in (rule.var, *rule.aliases):
                if var in values:
                    try:
                        parsed[rule.attribute] = rule.read(values[var])
                    except (ValueError, KeyError):
                        raise StanzaError("not-acceptable", f"{var}: value not supported") from None
                    break
        protected = values.get(_PROTECTED)
        if protected is not None:
            try:
                wanted = _bool(protected)
            except (ValueError, KeyError):
                raise StanzaError("not-acceptable", f"{_PROTECTED}: value not supported") from None
            if not wanted:
                parsed["password"] = ""
            elif not parsed.get("password", self.password):
                raise StanzaError("not-acceptable", "a password is needed")
        return replace(self, **parsed)

    def form(self, title: str, owners: tuple[str, ...], admins: tuple[str, ...]) -> Element:
        """The form that an owner is given; owners and admins are bare JIDs."""
        entries = []
        for rule in RULES:
            if rule.attribute == "password":
                flag = "1" if self.password else "0"
                entries.append(field(_PROTECTED, "boolean", "A password is needed to enter", (flag,)))
            value = getattr(self, rule.attribute)
            options = rule.options
            if rule.attribute == "max_users" and value and str(value) not in (o[1] for o in options):
                options = (*options, (str(value), str(value)))
            entries.append(field(rule.var, rule.kind, rule.label, rule.show(value), options, extra=rule.extra()))
        entries.append(field(ADMINS, "jid-multi", "Admins of the room", admins))
        entries.append(field(OWNERS, "jid-multi", "Owners of the room", owners))
        return forms.form("form", names.ROOMCONFIG, entries, title=title)

    def privacy_changes(self, before: RoomConfig) -> tuple[int, ...]:
        """Status codes of what has changed for the occupants' privacy (§10.2.1)."""
        codes = []
        if self.logging != before.logging:
            codes.append(170 if self.logging else 171)
        if self.whois != before.whois:
            codes.append(173 if self.anonymous else 172)
        return tuple(codes)

    def to_dict(self) -> dict[str, Any]:
        """For the store. Everything, since the defaults belong to the service and may change under the room."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RoomConfig:
        names_ = {f.name for f in fields(cls)}
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names_}
        return cls(**known)


ADMINS: Final = "muc#roomconfig_roomadmins"
OWNERS: Final = "muc#roomconfig_roomowners"
_PROTECTED: Final = "muc#roomconfig_passwordprotectedroom"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A field: how it is read (ValueError or KeyError for what is not supported) and shown."""

    attribute: str
    var: str
    kind: str
    label: str
    read: Callable[[tuple[str, ...]], Any]
    show: Callable[[Any], tuple[str, ...]]
    options: tuple[tuple[str, str], ...] = ()
    aliases: tuple[str, ...] = ()
    extra: Callable[[], tuple[Element, ...]] = lambda: ()


def _one(values: tuple[str, ...]) -> str:
    (value,) = values
    return value.strip()


def _bool(values: tuple[str, ...]) -> bool:
    return {"1": True, "true": True, "0": False, "false": False}[_one(values)]


def _flag(attribute: str, var: str, label: str, *aliases: str) -> _Rule:
    return _Rule(attribute, var, "boolean", label, _bool, lambda value: ("1" if value else "0",), aliases=aliases)


def _text(attribute: str, var: str, label: str, limit: int, kind: str = "text-single") -> _Rule:
    def read(values: tuple[str, ...]) -> str:
        value = "\n".join(values)
        if len(value.encode()) > limit:
            raise ValueError("too long")
        return value

    return _Rule(attribute, var, kind, label, read, lambda value: (value,) if value else ())


def _choice(attribute: str, var: str, label: str, *options: tuple[str, str]) -> _Rule:
    allowed = [value for _, value in options]

    def read(values: tuple[str, ...]) -> str:
        return allowed[allowed.index(_one(values))]

    return _Rule(attribute, var, "list-single", label, read, lambda value: (value,), options)


def _several(attribute: str, var: str, label: str, *options: tuple[str, str]) -> _Rule:
    allowed = [value for _, value in options]

    def read(values: tuple[str, ...]) -> tuple[str, ...]:
        if not set(values) <= set(allowed):
            raise ValueError("no such role")
        return tuple(value for value in allowed if value in values)

    return _Rule(attribute, var, "list-multi", label, read, tuple, options)


def _number(attribute: str, var: str, label: str, limit: int, *aliases: str) -> _Rule:
    def read(values: tuple[str, ...]) -> int:
        text = _one(values)
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise ValueError("no number")
        return min(int(text), limit)

    def validate() -> tuple[Element, ...]:
        space = "http://jabber.org/protocol/xdata-validate"
        limits = build(f"{{{space}}}range", {"min": "0", "max": str(limit)})
        return (build(f"{{{space}}}validate", {"datatype": "xs:integer"}, limits),)

    show = lambda value: (str(value),)  # noqa: E731
    return _Rule(attribute, var, "text-single", label, read, show, aliases=aliases, extra=validate)


def _max_users(values: tuple[str, ...]) -> int:
    text = _one(values)
    if text in ("none", ""):
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError("no number")
    return int(text)


_ROLE_OPTIONS: Final = (("Moderators", "moderator"), ("Participants", "participant"), ("Visitors", "visitor"))

RULES: Final[tuple[_Rule, ...]] = (
    _text("name", "muc#roomconfig_roomname", "Name of the room", MAX_NAME),
    _text("description", "muc#roomconfig_roomdesc", "What the room is about", MAX_DESCRIPTION),
    _text("lang", "muc#roomconfig_lang", "Language spoken", MAX_LANG),
    _flag("persistent", "muc#roomconfig_persistentroom", "The room stays when everybody has left"),
    _flag("public", "muc#roomconfig_publicroom", "The room is listed for everybody"),
    _flag("members_only", "muc#roomconfig_membersonly", "Only members may enter"),
    _flag(
        "allow_invites", "muc#roomconfig_allowinvites", "Members may invite others",
        "{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites",
    ),
    _text("password", "muc#roomconfig_roomsecret", "Password", MAX_PASSWORD, "text-private"),
    _choice(
        "whois", "muc#roomconfig_whois", "Who sees the real addresses of occupants (encrypted rooms need everybody)",
        ("Moderators only", MODERATORS), ("Everybody in the room", ANYONE),
    ),
    _several(
        "presence", "muc#roomconfig_presencebroadcast", "Whose presence everybody is told",
        *_ROLE_OPTIONS, ("Registered members who are away", _AWAY),
    ),
    _several(
        "member_list", "muc#roomconfig_getmemberlist", "Which members may ask for the list of members", *_ROLE_OPTIONS
    ),
    _choice(
        "allow_pm", "muc#roomconfig_allowpm", "Who may send private messages",
        ("Anybody", ANYONE), ("Who may speak", "participants"), ("Moderators", MODERATORS), ("Nobody", "none"),
    ),
    _flag("moderated", "muc#roomconfig_moderatedroom", "Newcomers need a moderator's leave to speak"),
    _flag("change_subject", "muc#roomconfig_changesubject", "Everybody may change the subject"),
    _Rule(
        "max_users", "muc#roomconfig_maxusers", "list-single", "Occupants at most", _max_users,
        lambda value: (str(value) if value else "none",),
        (*((str(n), str(n)) for n in (10, 20, 50, 100, 200, 500, 1_000)), ("No limit of the room's own", "none")),
    ),
    _number(
        "history", "muc#maxhistoryfetch", "Messages that are sent to who enters, at most", MAX_HISTORY,
        "muc#roomconfig_historylength",
    ),
    _flag("archive", "muc#roomconfig_enablearchiving", "Messages are kept for members who were away", "mam"),
    _flag("logging", "muc#roomconfig_enablelogging", "What is said is published (everybody who enters is warned)"),
    _number("slow", "muc#roomconfig_slow_mode_duration", "Seconds between two messages of one participant", MAX_SLOW),
)  # fmt: skip
