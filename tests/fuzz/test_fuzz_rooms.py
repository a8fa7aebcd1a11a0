"""Rooms, spoken to by people who hold no rule: whatever they send has a defined answer, and the room stays whole.

A fixed number of stanzas from fixed seeds. Set QUIETWIRE_FUZZ_ROUNDS for more.
"""

from __future__ import annotations

import os
import random

import pytest
from den import MUC, ROOM, SERVICE, Den

from quietwire.server.rooms.config import ADMINS, OWNERS, RULES
from quietwire.server.rooms.ranks import Affiliation, Role

ROUNDS = int(os.environ.get("QUIETWIRE_FUZZ_ROUNDS", "3000"))
GUESTS = ("alice", "bob", "bob/desk", "carol", "dave")
ROOMS = (ROOM, f"lair@{SERVICE}", SERVICE)
NICKS = ("", "al", "bo", "ca", "AL", "x y", "é", "🐈", "x" * 130, "\u00a0")
TEXTS = (
    "",
    "1",
    "0",
    "true",
    "none",
    "moderator",
    "visitor",
    "moderators",
    "anyone",
    "-1",
    "99999999999",
    "x" * 300,
    "<&>",
    "@",
)
PEOPLE = ("alice@a.example", "bob@a.example", "carol@a.example/x", "eve@b.example", "@", "", "nobody")
RANKS = (*(each.label for each in Affiliation), *(each.label for each in Role), "king", "")
SPACES = (
    "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", f"{MUC}#admin", f"{MUC}#owner",
    f"{MUC}#unique", "jabber:iq:register", "urn:xmpp:mam:2", "vcard-temp", "urn:xmpp:ping",
    "urn:xmpp:message-moderate:1",
)  # fmt: skip
LOCALS = {
    "vcard-temp": "vCard",
    "urn:xmpp:ping": "ping",
    "urn:xmpp:message-moderate:1": "moderate",
    f"{MUC}#unique": "unique",
}


def field(var: str, values: list[str]) -> str:
    return f"<field var='{escaped(var)}'>" + "".join(f"<value>{escaped(v)}</value>" for v in values) + "</field>"


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")


class Chaos:
    """What somebody may write next."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, of: tuple[str, ...]) -> str:
        return self.random.choice(of)

    def maybe(self, text: str) -> str:
        return text if self.random.random() < 0.5 else ""

    def to(self, bare: float = 0.3) -> str:
        nick = "" if self.random.random() < bare else self.one(NICKS)
        room = self.random.choices(ROOMS, (12, 4, 1))[0]
        return escaped(room + (f"/{nick}" if nick else ""))

    def form(self) -> str:
        fields = ""
        for rule in self.random.sample(RULES, self.random.randrange(4)):
            values = [value for _, value in rule.options] or ["0", "1"]
            some = self.random.sample(values, 1) if self.random.random() < 0.9 else [self.one(TEXTS)]
            fields += field(rule.var, some)
        if self.random.random() < 0.2:
            more = (
                "muc#role",
                "muc#request_allow",
                "muc#roomnick",
                "muc#register_roomnick",
                "FORM_TYPE",
                OWNERS,
                ADMINS,
            )
            fields += field(self.one(more), [self.one(TEXTS + PEOPLE + NICKS)])
        kind = self.random.choices(("submit", "cancel", "form", ""), (20, 1, 1, 1))[0]
        return f"<x xmlns='jabber:x:data' type='{kind}'>{self.maybe(fields)}</x>"

    def item(self) -> str:
        if self.random.random() < 0.8:
            by_nick = f"nick='{escaped(self.one(NICKS[1:6]))}' role='{self.one(RANKS[5:])}'"
            by_jid = f"jid='{escaped(self.one(PEOPLE[:4]))}' affiliation='{self.one(RANKS[:5])}'"
            return f"<item {self.one((by_nick, by_jid))}/>"
        attributes = "".join(
            self.maybe(f" {key}='{escaped(self.one(values))}'")
            for key, values in (("jid", PEOPLE), ("nick", NICKS), ("affiliation", RANKS), ("role", RANKS))
        )
        return f"<item{attributes}>{self.maybe('<reason>why</reason>')}</item>"

    def payload(self) -> str:
        space = self.random.choices(SPACES, (1, 1, 12, 6, 1, 3, 3, 2, 1, 2))[0]
        local = LOCALS.get(space, "query")
        if space == f"{MUC}#owner":
            return f"<query xmlns='{space}'>{self.form()}</query>"
        inner = self.random.choice((
            self.item, self.item, self.item,
            self.item, self.form, lambda: "", lambda: self.item() + self.item(), lambda: "<remove/>",
            lambda: f"<destroy jid='{escaped(self.one(PEOPLE))}'/>" if self.random.random() < 0.1 else "",
            lambda: "<retract xmlns='urn:xmpp:message-retract:1'/>",
            lambda: "<set xmlns='http://jabber.org/protocol/rsm'><max>x</max><before/></set>",
        ))()  # fmt: skip
        node = self.maybe(f" node='{self.one(('x-roomuser-item', MUC + '#traffic', 'x'))}'")
        return f"<{local} xmlns='{space}'{node} id='x'>{inner}</{local}>"

    def children(self) -> str:
        return "".join(
            self.maybe(child)
            for child in (
                f"<body>{escaped(self.one(TEXTS))}</body>", f"<subject>{escaped(self.one(TEXTS))}</subject>",
                "<thread>t</thread>", f"<x xmlns='{MUC}'><history maxchars='x' maxstanzas='1' since='never'/></x>",
                f"<x xmlns='{MUC}#user'><invite to='{escaped(self.one(PEOPLE))}'/></x>",
                f"<x xmlns='{MUC}#user'><decline to='{escaped(self.one(PEOPLE))}'/></x>",
                self.form(), "<delay xmlns='urn:xmpp:delay'/>",
                f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='x'/>",
                "<occupant-id xmlns='urn:xmpp:occupant-id:0'/>", "<retract xmlns='urn:xmpp:message-retract:1' id='x'/>",
                "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
            )
        )  # fmt: skip

    def stanza(self) -> str:
        kind = self.random.randrange(9)
        if kind < 3:
            type_ = self.random.choices(("", "unavailable", "error", "probe"), (12, 1, 1, 1))[0]
            attribute = f" type='{type_}'" if type_ else ""
            inner = self.maybe(self.children()) if type_ else f"<x xmlns='{MUC}'/>"
            return f"<presence to='{self.to(0.1)}'{attribute}>{inner}</presence>"
        if kind < 6:
            type_ = self.random.choices(("groupchat", "chat", "normal", "error", "headline"), (6, 4, 4, 1, 1))[0]
            bare = 0.1 if type_ == "chat" else 0.9
            return f"<message to='{self.to(bare)}' type='{type_}' id='m'>{self.children()}</message>"
        type_ = self.random.choices(("get", "set", "result", "error"), (4, 8, 1, 1))[0]
        return f"<iq to='{self.to(0.85)}' type='{type_}' id='q'>{self.payload()}</iq>"


def whole(den: Den) -> None:
    """What must be so of every room at any time."""
    for room in den.rooms.rooms.values():
        occupants = room.occupants
        assert set(occupants.everybody()) == set(occupants.by_jid)
        assert {id(each) for each in occupants.by_jid.values()} == {id(each) for each in occupants.by_nick.values()}
        for occupant in occupants:
            assert occupant.sessions
            assert occupant.primary in occupant.sessions
            assert occupants.alike(occupant.nick) is occupant
            assert occupant.role is not Role.NONE
            rank = room.affiliation(occupant.bare)
            assert rank is not Affiliation.OUTCAST
            assert rank >= Affiliation.MEMBER or not room.config.members_only
        assert room.owners()
        assert len(occupants) or (room.config.persistent and not room.locked)
        assert room.waiting is None
    assert not den.rooms.lost


@pytest.mark.parametrize("seed", range(4))
def test_whatever_they_say(seed: int) -> None:
    den, chaos = Den(rate=0, days=1), Chaos(seed)
    den.full("bob", membersonly=str(seed % 2), persistentroom=str(seed // 2))
    for number in range(ROUNDS // 4):
        text = chaos.stanza()
        if chaos.random.random() < 0.2:
            den.receive(text, chaos.one(("eve@b.example/x", "eve@b.example/y", "mallory@c.example/x")))
        else:
            den.guest(chaos.random.choices(GUESTS, (8, 3, 1, 2, 1))[0]).write(text)
        whole(den)
        if number % 50 == 0:
            den.pass_time(chaos.random.choice((1, 60)))
            den.quiet()
    before = {jid: (room.config, room.standings) for jid, room in den.rooms.rooms.items() if room.stored}
    after = {jid: (room.config, room.standings) for jid, room in den.restart().rooms.rooms.items()}
    assert after == before
