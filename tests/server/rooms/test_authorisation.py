"""Who may do what: every action of a room against everybody who may want it (XEP-0045 §5)."""

from __future__ import annotations

import pytest
from den import MUC, ROOM, Den, form, said

ACTORS = ("alice", "adam", "mod", "member", "away", "visitor", "carol", "dave", "eve")
"""owner, admin, unaffiliated moderator, member, member who is not in the room, visitor, stranger, banned, stranger of
another server."""
NAMES = ("owner", "admin", "moderator", "member", "member outside", "visitor", "stranger", "outcast", "foreigner")


def admin(item: str) -> tuple[str, str]:
    return "set", f"<query xmlns='{MUC}#admin'><item {item}/></query>"


def lists(item: str) -> tuple[str, str]:
    return "get", f"<query xmlns='{MUC}#admin'><item {item}/></query>"


def owner(inner: str, kind: str = "set") -> tuple[str, str]:
    return kind, f"<query xmlns='{MUC}#owner'>{inner}</query>"


RETRACT = (
    "<moderate xmlns='urn:xmpp:message-moderate:1' id='x'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>"
)
REGISTER = "<query xmlns='jabber:iq:register'/>"
MAM = "<query xmlns='urn:xmpp:mam:2'/>"

OWNER = {"owner"}
ADMIN = {"owner", "admin"}
MODERATOR = {"owner", "admin", "moderator"}
MEMBER = {"owner", "admin", "member", "member outside"}
INSIDE = {"owner", "admin", "moderator", "member", "visitor"}

TABLE: list[tuple[str, tuple[str, str], set[str]]] = [
    ("sees the form", owner("", "get"), OWNER),
    ("configures", owner(form(roomname="x")), OWNER),
    ("destroys", owner("<destroy/>"), OWNER),
    ("sets the avatar", ("set", "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>"), OWNER),
    ("makes an admin", admin("affiliation='admin' jid='bob@a.example'"), OWNER),
    ("makes an owner", admin("affiliation='owner' jid='bob@a.example'"), OWNER),
    ("makes a member", admin("affiliation='member' jid='bob@a.example'"), ADMIN),
    ("takes membership", admin("affiliation='none' jid='away@a.example'"), ADMIN),
    ("bans", admin("affiliation='outcast' jid='bob@a.example'"), ADMIN),
    ("lifts a ban", admin("affiliation='none' jid='dave@a.example'"), ADMIN),
    ("bans an admin", admin("affiliation='outcast' jid='ada@a.example'"), OWNER),
    ("makes a moderator", admin("role='moderator' nick='member'"), ADMIN),
    ("kicks", admin("role='none' nick='visitor'"), MODERATOR - {"visitor"}),
    ("gives voice", admin("role='participant' nick='visitor'"), MODERATOR),
    ("kicks an owner", admin("role='none' nick='alice2'"), OWNER),
    ("lists owners", lists("affiliation='owner'"), MEMBER),
    ("lists members", lists("affiliation='member'"), MEMBER),
    ("lists the banned", lists("affiliation='outcast'"), ADMIN),
    ("lists participants", lists("role='participant'"), MODERATOR),
    ("moderates", ("set", RETRACT), MODERATOR),
    ("asks for a nickname", ("get", REGISTER), MEMBER),
    ("reads the archive", ("set", MAM), MEMBER | INSIDE),
    ("asks what it is", ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"), set(NAMES) - {"outcast"}),
    ("pings it", ("get", "<ping xmlns='urn:xmpp:ping'/>"), INSIDE),
]


def a_den() -> Den:
    """An open, moderated, non-anonymous room with all of them."""
    den = Den()
    for name in ("adam", "ada", "mod", "member", "away", "visitor", "alice2"):
        den.add(f"{name}@a.example")
    alice = den.make(membersonly="0", moderatedroom="1")
    den.admin(
        alice,
        "affiliation='admin' jid='adam@a.example'",
        "affiliation='admin' jid='ada@a.example'",
        "affiliation='owner' jid='alice2@a.example'",
        "affiliation='member' jid='member@a.example'",
        "affiliation='member' jid='away@a.example'",
        "affiliation='outcast' jid='dave@a.example'",
    )
    for name in ("adam", "mod", "member", "visitor", "alice2"):
        den.enter(name, name)
    den.admin(alice, "role='moderator' nick='mod'")
    den.quiet()
    return den


def does(den: Den, actor: str, kind: str, payload: str) -> bool:
    if actor == "eve":
        den.receive(f"<iq type='{kind}' id='q' to='{ROOM}'>{payload}</iq>", "eve@b.example/x")
        answers = [text for text in den.take_remote() if text.startswith("<iq")]
    else:
        guest = den.guest(actor)
        guest.write(f"<iq type='{kind}' id='q' to='{ROOM}'>{payload}</iq>")
        answers = [text for text in guest.take() if text.startswith("<iq")]
    [answer] = answers
    return "type='result'" in answer


@pytest.mark.parametrize(("actor", "name"), list(zip(ACTORS, NAMES, strict=True)), ids=NAMES)
@pytest.mark.parametrize(("action", "request_", "allowed"), TABLE, ids=[row[0] for row in TABLE])
def test_requests(actor: str, name: str, action: str, request_: tuple[str, str], allowed: set[str]) -> None:
    den = a_den()
    before = (den.room.config, den.room.standings.opened(), den.room.vcard, len(den.room.occupants))
    assert does(den, actor, *request_) is (name in allowed)
    if name not in allowed:
        assert (den.room.config, den.room.standings.opened(), den.room.vcard, len(den.room.occupants)) == before


@pytest.mark.parametrize(("actor", "name"), list(zip(ACTORS[:-1], NAMES[:-1], strict=True)), ids=NAMES[:-1])
@pytest.mark.parametrize(
    ("inner", "allowed"),
    [
        ("<body>hello</body>", MODERATOR | {"member"}),
        ("<subject>Cats</subject>", MODERATOR),
    ],
    ids=["speaks", "sets the subject"],
)
def test_speaking(actor: str, name: str, inner: str, allowed: set[str]) -> None:
    den = a_den()
    den.guest(actor).write(f"<message type='groupchat' to='{ROOM}'>{inner}</message>")
    heard = said(den.guest("alice2"))
    assert bool(heard) is (name in allowed)
    assert (den.room.subject is not None) is ("subject" in inner and name in allowed)
