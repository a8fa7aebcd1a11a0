"""Rooms, lived in at random: every request is answered once, nobody hears a room that he is not in, and whoever was put
out hears nothing after that. Hypothesis makes a failure short."""

from __future__ import annotations

from typing import Final

from den import MUC, ROOM, Den, form
from hypothesis import given
from hypothesis import strategies as st
from words import examples

from quietwire.core.jid import JID, parse_jid
from quietwire.core.xml import escape
from quietwire.server.rooms.ranks import Affiliation, Role

LOCAL: Final = ("alice", "bob", "bob/desk", "carol")
REMOTE: Final = ("eve@b.example/x", "eve@b.example/y", "mallory@c.example/x")
PEOPLE: Final = (*LOCAL, *REMOTE)
NICKS: Final = ("al", "AL", "bo", "ca", "\uff41l", "x y", "\U0001f431")
BARE: Final = ("alice@a.example", "bob@a.example", "carol@a.example", "eve@b.example", "mallory@c.example")


def _iq(kind: str, inner: str, to: str = ROOM) -> str:
    return f"<iq type='{kind}' id='q' to='{escape(to)}'>{inner}</iq>"


def _admin(item: str, kind: str = "set") -> str:
    return _iq(kind, f"<query xmlns='{MUC}#admin'><item {item}/></query>")


def _says(inner: str, kind: str = "groupchat", to: str = ROOM) -> str:
    return f"<message type='{kind}' id='m' to='{escape(to)}'>{inner}</message>"


_NICK: Final = st.sampled_from(NICKS)
_WHOM: Final = st.sampled_from(BARE)
_SETTINGS: Final = st.fixed_dictionaries(
    {},
    optional={
        "whois": st.sampled_from(("anyone", "moderators")),
        "membersonly": st.sampled_from(("0", "1")),
        "moderatedroom": st.sampled_from(("0", "1")),
        "persistentroom": st.sampled_from(("0", "1")),
        "presencebroadcast": st.sampled_from((["moderator"], [], ["moderator", "participant", "visitor"])),
        "allowpm": st.sampled_from(("anyone", "moderators", "none")),
        "maxusers": st.sampled_from(("10", "none")),
    },
)
ACTS: Final = st.one_of(
    st.builds(lambda nick: f"<presence to='{escape(ROOM)}/{nick}'><x xmlns='{MUC}'/></presence>", _NICK),
    st.builds(lambda nick: f"<presence to='{escape(ROOM)}/{nick}'><x xmlns='{MUC}'/></presence>", _NICK),
    st.builds(lambda nick, type_: f"<presence to='{ROOM}/{nick}' type='{type_}'/>", _NICK,
              st.sampled_from(("unavailable", "probe", "unavailable"))),
    st.builds(lambda nick: f"<presence to='{ROOM}/{nick}'><show>away</show></presence>", _NICK),
    st.sampled_from(("<body>hello</body>", "<subject>cats</subject>", "<x xmlns='urn:x'/>")).map(_says),
    st.builds(lambda nick: _says("<body>psst</body>", "chat", f"{ROOM}/{nick}"), _NICK),
    st.builds(lambda whom: _says(f"<x xmlns='{MUC}#user'><invite to='{whom}'/></x>", "normal"), _WHOM),
    st.builds(lambda nick, role: _admin(f"nick='{nick}' role='{role.label}'"), _NICK, st.sampled_from(tuple(Role))),
    st.builds(lambda whom, rank: _admin(f"jid='{whom}' affiliation='{rank.label}'"), _WHOM,
              st.sampled_from(tuple(Affiliation))),
    st.builds(lambda whom, rank: _admin(f"jid='{whom}' affiliation='{rank.label}'"), _WHOM,
              st.sampled_from(tuple(Affiliation))),
    st.builds(lambda nick: _admin(f"nick='{nick}' affiliation='outcast'"), _NICK),
    st.builds(lambda rank: _admin(f"affiliation='{rank.label}'", "get"), st.sampled_from(tuple(Affiliation))),
    st.builds(lambda settings: _iq("set", f"<query xmlns='{MUC}#owner'>{form(**settings)}</query>"), _SETTINGS),
    st.builds(lambda nick: _iq("set", "<query xmlns='jabber:iq:register'>"
                               f"{form(**{'muc#register_roomnick': nick})}</query>"), _NICK),
    st.sampled_from(
        (
            _iq("set", "<query xmlns='jabber:iq:register'><remove/></query>"),
            _iq("set", "<query xmlns='urn:xmpp:mam:2'/>"),
            _iq("set", f"<query xmlns='{MUC}#owner'><destroy/></query>"),
            _iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
            _iq("get", "<ping xmlns='urn:xmpp:ping'/>"),
            _iq("get", "<ping xmlns='urn:xmpp:ping'/>", f"{ROOM}/al"),
            "hour",
        )
    ),
)  # fmt: skip


class House(Den):
    """Everybody is at home; what each has got since the last look."""

    def __init__(self) -> None:
        super().__init__(rate=0, days=1)
        for name in LOCAL:
            self.guest(name)

    def inside(self) -> frozenset[JID]:
        return frozenset(jid for room in self.rooms.rooms.values() for jid in room.occupants.by_jid)

    def address(self, who: str) -> JID:
        return parse_jid(who) if who in REMOTE else self.guest(who).session.jid

    def does(self, who: str, text: str) -> None:
        if text == "hour":
            self.pass_time(3600)
        elif who in REMOTE:
            self.receive(text, who)
        else:
            self.guest(who).write(text)

    def got(self) -> dict[JID, list[str]]:
        found = {guest.session.jid: guest.take() for guest in self.guests.values()}
        for stanza in self.remote:
            assert stanza.to is not None
            found.setdefault(stanza.to, []).append(stanza.to_bytes().decode())
        self.remote.clear()
        return found


def answers(texts: list[str]) -> list[str]:
    heads = [text.partition(">")[0] for text in texts]
    return [head for head in heads if head.startswith("<iq") and " id='q'" in head]


def answered_itself(text: str) -> bool:
    """An answer, an error, or what a room says to people who are not in it: invitations and what becomes of them."""
    head = text.partition(">")[0]
    return (
        head.startswith("<iq")
        or "type='error'" in head
        or (
            head.startswith("<message") and ("<invite " in text or "<decline " in text or "jabber:x:conference" in text)
        )
    )


FIRST: Final = (
    ("alice", f"<presence to='{ROOM}/al'><x xmlns='{MUC}'/></presence>"),
    ("alice", _iq("set", f"<query xmlns='{MUC}#owner'>{form(membersonly='0')}</query>")),
)


@examples(120)
@given(st.lists(st.tuples(st.sampled_from(PEOPLE), ACTS), min_size=10, max_size=40))
def test_who_is_told(acts: list[tuple[str, str]]) -> None:
    house = House()
    for who, text in [*FIRST, *acts]:
        before, asker = house.inside(), house.address(who)
        house.does(who, text)
        after, got = house.inside(), house.got()
        if text.startswith("<iq") and f"to='{ROOM}/" not in text:
            assert len(answers(got.get(asker, []))) == 1, (who, text)
        for jid, texts in got.items():
            if jid not in before and jid not in after and text != "hour":
                wrong = [each for each in texts if not answered_itself(each)]
                if jid == asker and "urn:xmpp:mam:2" in text:
                    wrong = [each for each in wrong if "<result xmlns='urn:xmpp:mam:2'" not in each]
                # Somebody who believes to be in, or asks to be, is told that he is not.
                assert not wrong or (jid == asker and text.startswith("<presence")), (who, text, jid.text)
            if jid in before and jid not in after:
                last = [each for each in texts if each.startswith("<presence")][-1:]
                assert last, (who, text)
                assert "type='unavailable'" in last[0].partition(">")[0], (who, text, last)
                assert "code='110'" in last[0]
        for room in house.rooms.rooms.values():
            assert room.owners()
            for occupant in room.occupants:
                assert room.affiliation(occupant.bare) is not Affiliation.OUTCAST
                assert occupant.role is not Role.NONE
