"""Everything that can be asked of a room, by everybody. Who may not is refused, nothing changes in the room or in the
store, and nobody else gets a byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pytest
from den import MUC, ROOM, Den, form
from estate import condition

from quietwire.core.jid import parse_jid
from quietwire.server.rooms.dispatch import ARCHIVE, HANDLERS
from quietwire.store.ports import LOGICAL

OWNER, ADMIN, MOD, PART, MEMBER, AWAY, VISITOR = (
    "owner", "admin", "moderator", "participant", "member", "member outside", "visitor",
)  # fmt: skip
STRANGER, OUTCAST, FOREIGN, NOBODY = "stranger", "banned", "foreign stranger", "foreign bare"
PEOPLE: Final = {
    OWNER: "alice", ADMIN: "adam", MOD: "mod", PART: "part", MEMBER: "member", AWAY: "away", VISITOR: "visitor",
    STRANGER: "carol", OUTCAST: "dave", FOREIGN: "eve@b.example/x", NOBODY: "eve@b.example",
}  # fmt: skip
INSIDE: Final = frozenset((OWNER, ADMIN, MOD, PART, MEMBER, VISITOR))
ADMINS: Final = frozenset((OWNER, ADMIN))
MODS: Final = ADMINS | {MOD}
MEMBERS: Final = ADMINS | {MEMBER, AWAY}
VOICED: Final = INSIDE - {VISITOR}
ALL: Final = frozenset(PEOPLE)


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    stanza: str
    may: frozenset[str]
    refusals: frozenset[str]
    """Conditions for who may not; empty for silence."""


def _iq(kind: str, payload: str, to: str = ROOM) -> str:
    return f"<iq type='{kind}' id='q' to='{to}'>{payload}</iq>"


def _admin(item: str, kind: str = "set") -> str:
    return _iq(kind, f"<query xmlns='{MUC}#admin'><item {item}/></query>")


def _owner(inner: str, kind: str = "set") -> str:
    return _iq(kind, f"<query xmlns='{MUC}#owner'>{inner}</query>")


def _says(inner: str, kind: str = "groupchat", to: str = ROOM) -> str:
    return f"<message type='{kind}' id='m' to='{to}'>{inner}</message>"


def _user(inner: str) -> str:
    return _says(f"<x xmlns='{MUC}#user'>{inner}</x>", "normal")


FORBIDDEN: Final = frozenset(("forbidden",))
RANKED: Final = frozenset(("forbidden", "not-allowed"))
OUTSIDE: Final = frozenset(("not-acceptable",))
EITHER: Final = FORBIDDEN | OUTSIDE

_ASKS: Final = (
    f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#request</value></field>"
    "<field var='muc#role'><value>participant</value></field>{}</x>"
)
_GRANTS: Final = _ASKS.format(
    "<field var='muc#roomnick'><value>visitor</value></field><field var='muc#request_allow'><value>true</value></field>"
)
_RETRACT: Final = (
    "<moderate xmlns='urn:xmpp:message-moderate:1' id='x'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>"
)
_NICK: Final = form(**{"muc#register_roomnick": "newnick"})

TABLE: Final[list[Row]] = [
    Row("sees the form", _owner("", "get"), frozenset((OWNER,)), FORBIDDEN),
    Row("configures", _owner(form(roomname="x", whois="anyone")), frozenset((OWNER,)), FORBIDDEN),
    Row("makes oneself owner by form", _owner(form(roomowners="carol@a.example")), frozenset((OWNER,)), FORBIDDEN),
    Row("destroys", _owner("<destroy/>"), frozenset((OWNER,)), FORBIDDEN),
    Row("sets the avatar", _iq("set", "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>"), frozenset((OWNER,)), FORBIDDEN),
    Row("makes an owner", _admin("affiliation='owner' jid='carol@a.example'"), frozenset((OWNER,)), FORBIDDEN),
    Row("makes an admin", _admin("affiliation='admin' jid='carol@a.example'"), frozenset((OWNER,)), FORBIDDEN),
    Row("makes a member", _admin("affiliation='member' jid='carol@a.example'"), ADMINS, FORBIDDEN),
    Row("takes membership", _admin("affiliation='none' jid='away@a.example'"), ADMINS, FORBIDDEN),
    Row("bans", _admin("affiliation='outcast' jid='part@a.example'"), ADMINS, FORBIDDEN),
    Row("bans by nickname", _admin("affiliation='outcast' nick='part'"), ADMINS, FORBIDDEN),
    Row("bans an admin", _admin("affiliation='outcast' jid='ada@a.example'"), frozenset((OWNER,)), RANKED),
    Row("bans an owner", _admin("affiliation='outcast' jid='anna@a.example'"), frozenset((OWNER,)), RANKED),
    Row("lifts a ban", _admin("affiliation='none' jid='dave@a.example'"), ADMINS, FORBIDDEN),
    Row("kicks a visitor", _admin("role='none' nick='visitor'"), MODS, RANKED),
    Row("kicks an owner", _admin("role='none' nick='anna'"), frozenset((OWNER,)), RANKED),
    Row("kicks an admin", _admin("role='none' nick='ada'"), ADMINS, RANKED),
    Row("makes a moderator", _admin("role='moderator' nick='part'"), ADMINS, RANKED),
    Row("gives voice", _admin("role='participant' nick='visitor'"), MODS, RANKED),
    Row("takes voice", _admin("role='visitor' nick='part'"), MODS, RANKED),
    Row("lists owners", _admin("affiliation='owner'", "get"), MEMBERS, FORBIDDEN),
    Row("lists members", _admin("affiliation='member'", "get"), MEMBERS, FORBIDDEN),
    Row("lists the banned", _admin("affiliation='outcast'", "get"), ADMINS, FORBIDDEN),
    Row("lists moderators", _admin("role='moderator'", "get"), MODS, FORBIDDEN),
    Row("moderates", _iq("set", _RETRACT), MODS, FORBIDDEN),
    Row("asks for the form of a nickname", _iq("get", "<query xmlns='jabber:iq:register'/>"), MEMBERS,
        FORBIDDEN | {"registration-required"}),
    Row("reserves a nickname", _iq("set", f"<query xmlns='jabber:iq:register'>{_NICK}</query>"), MEMBERS,
        FORBIDDEN | {"registration-required"}),
    Row("reads the archive", _iq("set", "<query xmlns='urn:xmpp:mam:2'/>"), INSIDE | MEMBERS, FORBIDDEN),
    Row("asks for the archive's form", _iq("get", "<query xmlns='urn:xmpp:mam:2'/>"), INSIDE | MEMBERS, FORBIDDEN),
    Row("asks for the archive's ends", _iq("get", "<metadata xmlns='urn:xmpp:mam:2'/>"), INSIDE | MEMBERS, FORBIDDEN),
    Row("asks what it is", _iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"), ALL - {OUTCAST},
        frozenset(("item-not-found",))),
    Row("asks who is in", _iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"), ALL - {OUTCAST},
        frozenset(("item-not-found",))),
    Row("sees the avatar", _iq("get", "<vCard xmlns='vcard-temp'/>"), ALL - {OUTCAST}, frozenset(("item-not-found",))),
    Row("pings it", _iq("get", "<ping xmlns='urn:xmpp:ping'/>"), INSIDE, OUTSIDE),
    Row("asks an occupant", _iq("get", "<version xmlns='jabber:iq:version'/>", f"{ROOM}/part"), INSIDE, OUTSIDE),
    Row("changes an occupant's vCard", _iq("set", "<vCard xmlns='vcard-temp'/>", f"{ROOM}/part"), frozenset(),
        OUTSIDE | {"not-allowed"}),
    Row("says something", _says("<body>x</body>"), VOICED, EITHER),
    Row("sets the subject", _says("<subject>x</subject>"), MODS, EITHER),
    Row("whispers", _says("<body>x</body>", "chat", f"{ROOM}/part"), INSIDE, OUTSIDE),
    Row("says something to one of them as to all", _says("<body>x</body>", "groupchat", f"{ROOM}/part"), frozenset(),
        OUTSIDE | {"bad-request"}),
    Row("invites", _user("<invite to='erin@c.example'/>"), VOICED, EITHER),
    Row("declines uninvited", _user("<decline to='alice@a.example'/>"), frozenset(), frozenset()),
    Row("asks for voice", _says(_ASKS.format(""), "normal"), frozenset((VISITOR,)), OUTSIDE),
    Row("grants voice", _says(_GRANTS, "normal"), MODS, EITHER),
    Row("enters", f"<presence to='{ROOM}/newcomer'><x xmlns='{MUC}'/></presence>", ALL - {OUTCAST, NOBODY},
        frozenset(("forbidden", "bad-request"))),
    Row("takes a nickname that is in use", f"<presence to='{ROOM}/part'><x xmlns='{MUC}'/></presence>",
        frozenset((PART,)), frozenset(("conflict", "forbidden", "bad-request"))),
    Row("takes a reserved nickname", f"<presence to='{ROOM}/kept'><x xmlns='{MUC}'/></presence>", frozenset((AWAY,)),
        frozenset(("conflict", "forbidden", "bad-request"))),
    Row("probes an occupant", f"<presence to='{ROOM}/part' type='probe'/>", INSIDE, OUTSIDE),
    Row("leaves for somebody else", f"<presence to='{ROOM}/part' type='unavailable'/>", INSIDE, frozenset()),
    Row("fails for somebody else", f"<presence to='{ROOM}/part' type='error'><error type='cancel'><gone "
        "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>", INSIDE, frozenset()),
]  # fmt: skip


def a_den() -> Den:
    """A persistent, moderated, non-anonymous room with all of them."""
    den = Den(rate=0, days=1)
    for name in ("adam", "ada", "anna", "mod", "part", "member", "away", "visitor"):
        den.add(f"{name}@a.example")
    alice = den.make(membersonly="0", moderatedroom="1", persistentroom="1")
    ranks = {"adam": "admin", "ada": "admin", "anna": "owner", "member": "member", "dave": "outcast"}
    items = [f"affiliation='{rank}' jid='{name}@a.example'" for name, rank in ranks.items()]
    den.admin(alice, *items, "affiliation='member' jid='away@a.example' nick='kept'")
    for name in ("adam", "ada", "anna", "mod", "part", "member", "visitor"):
        den.enter(name, name)
    den.admin(alice, "role='moderator' nick='mod'", "role='participant' nick='part'")
    den.say(alice, "hello")
    den.guest("carol")
    den.guest("dave")
    den.quiet()
    return den


def state(den: Den) -> dict[str, Any]:
    room = den.rooms.rooms.get(parse_jid(ROOM))
    assert room is not None
    store = den.storage.store
    return {
        "room": (room.config, room.standings.opened(), room.vcard, room.subject, dict(room.roles), dict(room.invited)),
        "history": [line.id for line in room.history],
        "in": {each.nick: (each.role, sorted(j.text for j in each.sessions)) for each in room.occupants},
        "rooms": sorted(jid.text for jid in den.rooms.rooms),
        **{t: {o: store.scan(t, o).result() for o in store.owners(t).result()} for t in LOGICAL},
    }


def does(den: Den, who: str, text: str) -> list[str]:
    """What that one got itself."""
    name = PEOPLE[who]
    if "@" not in name:
        den.guest(name).write(text)
        return den.guest(name).take()
    den.receive(text, name)
    mine = [each.to_bytes().decode() for each in den.remote if each.to == parse_jid(name)]
    den.remote[:] = [each for each in den.remote if each.to != parse_jid(name)]
    return mine


def heard(den: Den) -> list[str]:
    return [text for guest in den.guests.values() for text in guest.take()] + den.take_remote()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_who_may_not(row: Row) -> None:
    den = a_den()
    before = state(den)
    for who in PEOPLE:
        if who in row.may:
            continue
        answers = does(den, who, row.stanza)
        if row.name == "asks for voice" and who in INSIDE:
            assert answers == []  # it has what it asks for
        elif row.refusals and not (who == NOBODY and not row.stanza.startswith(("<iq", "<message"))):
            assert len(answers) == 1, (who, answers)
            assert condition(answers[0]) in row.refusals, (who, answers)
        else:
            assert len(answers) <= 1, (who, answers)
            assert not answers or "type='error'" in answers[0], (who, answers)
        assert heard(den) == [], who
        assert state(den) == before, who


@pytest.mark.parametrize(("row", "who"), [(row, who) for row in TABLE for who in sorted(row.may)],
                         ids=lambda each: each if isinstance(each, str) else each.name)  # fmt: skip
def test_who_may(row: Row, who: str) -> None:
    den = a_den()
    answers = does(den, who, row.stanza)
    assert not any("type='error'" in each.partition(">")[0] for each in answers), answers
    if row.stanza.startswith("<iq") and f"to='{ROOM}/part'" not in row.stanza:
        assert any(" type='result'" in each.partition(">")[0] for each in answers)
    elif "error" not in row.stanza:
        assert answers or heard(den)


def test_every_request_that_rooms_know_has_a_row() -> None:
    asked = "".join(row.stanza for row in TABLE)
    for kind, tag in (*HANDLERS, *ARCHIVE):
        space, _, local = tag[1:].partition("}")
        assert any(f"type='{kind}'" in row.stanza and f"<{local} xmlns='{space}'" in row.stanza for row in TABLE), tag
    assert f"{MUC}#owner" in asked


HIDDEN: Final = [row for row in TABLE if row.stanza.startswith("<iq") and "disco#" in row.stanza]


@pytest.mark.parametrize("row", HIDDEN, ids=lambda row: row.name)
def test_a_hidden_room_is_described_as_one_that_is_not_there(row: Row) -> None:
    den = Den()
    den.full()
    for who in (STRANGER, FOREIGN, NOBODY):
        hidden = does(den, who, row.stanza)
        other = does(den, who, row.stanza.replace(ROOM, f"none@{ROOM.partition('@')[2]}"))
        assert [each.replace("none@", "den@") for each in other] == hidden
