"""What an outsider with ideas tries: words put into others' mouths, names that look alike, the administrator's name in
another domain."""

from __future__ import annotations

import pytest
from den import MUC, OPEN, ROOM, SERVICE, Den
from estate import REMOTE, Estate, condition

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.server.registration import Registrar
from quietwire.testing.assembly import stanza

FULLWIDTH = "\uff41lice@a.example"


@pytest.mark.parametrize("by", ["alice@a.example", "ALICE@A.EXAMPLE", FULLWIDTH, "alice@a.example/pad"])
@pytest.mark.parametrize("kind", ["contact", "foreign contact"])
def test_nobody_gives_a_message_an_id_in_the_name_of_who_gets_it(by: str, kind: str) -> None:
    estate = Estate()
    forged = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>"
    estate.asks(kind, f"<message type='chat' to='alice@a.example'><body>x</body>{forged}</message>")
    heard = [text for text in estate.heard() if "<body>x</body>" in text]
    assert heard
    assert not any("forged" in text for text in heard)


@pytest.mark.parametrize("by", [ROOM, ROOM.upper(), "\uff44en@" + SERVICE, f"{ROOM}/al", f"{ROOM}/"])
def test_nobody_gives_a_message_an_id_in_the_name_of_the_room(by: str) -> None:
    den = Den(days=1)
    alice, bob = den.full("bob", **OPEN)
    for to, kind in ((ROOM, "groupchat"), (f"{ROOM}/al", "chat")):
        forged = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='forged'/>"
        den.say(bob, "x", to=to, kind=kind, more=forged)
        [heard] = alice.take()
        assert "forged" not in heard
        bob.take()


@pytest.mark.parametrize("by", [ROOM, ROOM.upper(), "\uff44en@" + SERVICE, f"{ROOM}/al"])
def test_nobody_but_the_room_dates_what_is_said_now(by: str) -> None:
    """An owner may bring an older conversation along, but not in the room's name."""
    den = Den(days=1)
    alice, bob = den.full("bob", **OPEN)
    delay = f"<delay xmlns='urn:xmpp:delay' from='{by}' stamp='2001-01-01T00:00:00Z'/>"
    for guest in (alice, bob):
        den.say(guest, "x", more=delay)
        assert "urn:xmpp:delay" not in bob.take()[-1]


@pytest.mark.parametrize("name", ["DEN", "Den", "\uff44en", "de\uff2e"])
def test_a_room_has_one_name_however_it_is_written(name: str) -> None:
    den = Den()
    den.full("bob", **OPEN)
    before = len(den.rooms.rooms)
    carol = den.guest("carol")
    carol.write(f"<presence to='{name}@{SERVICE}/ca'><x xmlns='{MUC}'/></presence>")
    assert len(den.rooms.rooms) == before
    assert parse_jid("carol@a.example/x") in den.room.occupants.by_jid


@pytest.mark.parametrize("nick", ["BO", "\uff42o", "bo\u3000", " bo"])
def test_a_nickname_that_looks_like_one_that_is_there_is_refused(nick: str) -> None:
    den = Den()
    den.full("bob", **OPEN)
    carol = den.guest("carol")
    carol.write(f"<presence to='{ROOM}/{nick}'><x xmlns='{MUC}'/></presence>")
    assert [condition(each) for each in carol.take()] in (["conflict"], ["jid-malformed"])


@pytest.mark.parametrize("name", ["root", "ROOT", "\uff32oot", "admin", "\uff21dmin", "Postmaster"])
def test_nobody_registers_a_name_of_the_operator(name: str) -> None:
    estate = Estate()
    server = estate.server
    registrar = Registrar(estate.domain, server.router, server.store, server.admin, server.invitations, server.arrivals)
    before = estate.stored()
    with pytest.raises(StanzaError, match="conflict"):
        estate.run(registrar.register(name, "a-long-password"))
    assert estate.stored() == before


@pytest.mark.parametrize("sender", ["root@b.example/x", "root@a.example.b.example/x", "root@conference.a.example/x"])
def test_the_administrators_name_elsewhere_is_nobodys(sender: str) -> None:
    estate = Estate()
    before = estate.stored()
    node = "urn:xmpp:invite#create-account"
    command = f"<command xmlns='http://jabber.org/protocol/commands' node='{node}'/>"
    text = f"<iq type='set' id='q' to='a.example'>{command}</iq>"
    estate.server.from_remote(stanza(text, from_=parse_jid(sender)))
    assert ["forbidden" in each for each in estate.heard() if "id='q'" in each] in ([True], [])
    assert estate.stored() == before


def test_an_answer_to_what_somebody_else_was_asked_is_nobodys() -> None:
    """A result with the right id, from the wrong address, ends nothing that the server waits for."""
    estate = Estate()
    answers: list[object] = []
    ask = "<iq type='get' to='frank@b.example/x' from='a.example'><ping xmlns='urn:xmpp:ping'/></iq>"
    asked = stanza(ask, from_=parse_jid("a.example"))
    estate.server.router.ask(asked, answers.append)  # type: ignore[arg-type]
    [request] = estate.sent
    for sender in (REMOTE["outsider"], "frank@b.example/other", "b.example", "frank@a.example/x"):
        spoofed = f"<iq type='result' id='{request.id}' to='a.example'/>"
        estate.server.from_remote(stanza(spoofed, from_=parse_jid(sender)))
    assert answers == []
    estate.server.from_remote(stanza(f"<iq type='result' id='{request.id}' to='a.example'/>", from_=request.to))
    assert len(answers) == 1
