"""Clients of an account: listed to the account alone, and ended by it."""

from __future__ import annotations

import base64
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from quietwire.core.jid import parse_jid
from quietwire.core.sasl import initiator
from quietwire.server.modules.xep0494_clients import AT_MOST, Record, month, month_text
from quietwire.testing.playbook import Client, Mark, Playbook, closed, nothing

NS = "{urn:xmpp:cam:0}"
ALICE = parse_jid("alice@a.example")
HT = "HT-SHA-256-ENDP"
LIST = "<iq type='get' id='l'><list xmlns='urn:xmpp:cam:0'/></iq>"
BIND = "<bind xmlns='urn:xmpp:bind:0'/>"


def agent(number: int) -> str:
    id = f"d4565fa7-4d72-4749-b3d3-{number:012}"
    return f"<user-agent id='{id}'><software>Test</software><device>Kiva's {number}</device></user-agent>"


def world(**tables: Any) -> Playbook:
    return Playbook(accounts=["alice", "bob"], tables=tables)


def sign_in(play: Playbook, number: int, *, token: bool = False) -> tuple[Client, bytes]:
    client = play.connect()
    client.sign_in(
        "alice", agent(number) + BIND + (f"<request-token xmlns='urn:xmpp:fast:0' mechanism='{HT}'/>" * token)
    )
    told = client.take()[0]
    assert isinstance(told, Element)
    given = told.find("{urn:xmpp:fast:0}token")
    return client, given.get("token", "").encode() if given is not None else b""


def listed(client: Client) -> dict[str, Element]:
    """By the device's name, or the id where there is none."""
    client >> LIST
    (answer,) = client.take()
    assert isinstance(answer, Element)
    (clients,) = answer
    return {each.findtext(f"{NS}user-agent/{NS}device") or each.get("id", ""): each for each in clients}


def methods(client: Element) -> list[str]:
    return [each.tag.removeprefix(NS) for each in client.findall(f"{NS}auth/*")]


def revoke(client: Client, id: str | None) -> None:
    client >> f"<iq type='set' id='r'><revoke xmlns='urn:xmpp:cam:0' id='{id}'/></iq>"


def refusal(id: str, condition: str) -> str:
    code = " code='404'" if condition == "item-not-found" else ""
    told = f"<error type='cancel'{code}><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    return f"<iq type='error' id='{id}' _='...'>{told}</iq>"


REFUSED = (
    "<iq type='error' id='r' _='...'><error type='cancel'>"
    "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    "<password-reset-required xmlns='urn:xmpp:cam:0'/></error></iq>"
)


def test_what_is_listed() -> None:
    play = world()
    phone, _ = sign_in(play, 1, token=True)
    desk, _ = sign_in(play, 2)
    desk.cut()
    old = play.client("alice/old")
    found = listed(phone)
    assert len(found) == 3
    one, two = found["Kiva's 1"], found["Kiva's 2"]
    assert (one.get("connected"), two.get("connected"), one.get("type")) == ("true", "false", "session")
    assert (methods(one), methods(two)) == (["password", "fast"], ["password"])
    assert one.findtext(f"{NS}first-seen") == one.findtext(f"{NS}last-seen") == "2001-09-01T00:00:00Z"
    assert one.findtext(f"{NS}user-agent/{NS}software") == "Test"
    permission = one.find(f"{NS}permission")
    assert permission is not None
    assert permission.get("status") == "unrestricted"
    (other,) = (each for name, each in found.items() if not name.startswith("Kiva"))
    assert (other.get("connected"), methods(other)) == ("true", ["password"])
    assert "old" not in (other.get("id") or "old")
    old << nothing


@pytest.mark.parametrize("to", ["alice@a.example", "a.example"])
def test_to_nobody_else(to: str) -> None:
    play = world()
    sign_in(play, 1)
    bob = play.client("bob/desk")
    bob >> LIST.replace("type", f"to='{to}' type")
    bob << refusal("l", "service-unavailable")
    bob >> f"<iq type='set' id='r' to='{to}'><revoke xmlns='urn:xmpp:cam:0' id='x'/></iq>"
    bob << refusal("r", "service-unavailable")


def test_revoked_is_gone_with_its_token_and_the_answer_tells_that_it_knows_the_password() -> None:
    play = world()
    phone, _ = sign_in(play, 1)
    lost, token = sign_in(play, 2, token=True)
    revoke(phone, listed(phone)["Kiva's 2"].get("id"))
    phone << REFUSED
    lost << "<stream:error _='...'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    lost << closed
    again = play.connect().header()
    again >> with_token(token, 2)
    again << "<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>"
    found = listed(phone)["Kiva's 2"]
    assert (found.get("connected"), methods(found)) == ("false", ["password"])


def woken(play: Playbook) -> set[bytes]:
    """The nodes of the push services that are told of the account's messages."""
    return {key.partition(b"\0")[2] for key, _ in play.server.store.scan("push", b"alice@a.example").result()}


def enable(client: Client, node: str) -> None:
    client >> f"<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='push.example' node='{node}'/></iq>"
    client << "<iq type='result' id='e' _='...'/>"


@pytest.mark.parametrize("there", [True, False])
def test_a_revoked_client_is_not_woken_any_more(there: bool) -> None:
    play = world()
    phone, _ = sign_in(play, 1)
    lost, _ = sign_in(play, 2)
    for client, node in ((phone, "phone"), (lost, "lost")):
        enable(client, node)
    if not there:
        lost.cut()
    assert woken(play) == {b"phone", b"lost"}
    revoke(phone, listed(phone)["Kiva's 2"].get("id"))
    phone << REFUSED
    assert woken(play) == {b"phone"}


def test_a_revoked_client_that_said_nothing_of_itself_is_not_woken_any_more() -> None:
    play = world()
    phone, _ = sign_in(play, 1)
    lost = play.client("alice/lost")
    enable(lost, "lost")
    enable(phone, "phone")
    (id,) = (each.get("id") for name, each in listed(phone).items() if not name.startswith("Kiva"))
    revoke(phone, id)
    phone << REFUSED
    assert woken(play) == {b"phone"}


def with_token(token: bytes, number: int) -> str:
    payload = base64.b64encode(b"alice\0" + initiator(token, b"certificate")).decode()
    return (
        f"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{HT}'><initial-response>{payload}</initial-response>"
        f"{agent(number)}{BIND}<fast xmlns='urn:xmpp:fast:0'/></authenticate>"
    )


def test_a_client_known_by_its_token_alone_is_ended_for_good() -> None:
    """Its password was used in a time that is not remembered any more."""
    play = world()
    phone, _ = sign_in(play, 1)
    lost, token = sign_in(play, 2, token=True)
    id = listed(phone)["Kiva's 2"].get("id", "")
    play.server.store.delete("device", b"alice@a.example", id.encode())
    lost.cut()
    lost = play.connect().header()
    lost >> with_token(token, 2)
    lost.take()
    assert methods(listed(phone)["Kiva's 2"]) == ["fast"]
    revoke(phone, id)
    phone << "<iq type='result' id='r' _='...'/>"
    assert lost.link.gone
    assert list(listed(phone)) == ["Kiva's 1"]


def test_oneself_and_what_is_unknown() -> None:
    play = world()
    phone, _ = sign_in(play, 1)
    revoke(phone, "unknown")
    phone << refusal("r", "item-not-found")
    revoke(phone, listed(phone)["Kiva's 1"].get("id"))
    phone << REFUSED
    phone << "<stream:error _='...'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    phone << closed


def test_a_client_that_says_nothing_is_not_remembered_but_can_be_ended() -> None:
    play = world()
    phone, old = sign_in(play, 1)[0], play.client("alice/old")
    assert len(play.rows("alice", "device")) == 1
    (id,) = (each.get("id") for name, each in listed(phone).items() if not name.startswith("Kiva"))
    revoke(phone, id)
    phone << REFUSED
    assert old.link.gone
    assert list(listed(phone)) == ["Kiva's 1"]


def test_months_go_by_and_nothing_finer_is_written() -> None:
    play = world()
    phone, _ = sign_in(play, 1)
    before = play.rows("alice", "device")
    assert len(before) == 1
    play.pass_time(86_400 * 3)
    phone.cut()
    sign_in(play, 1)
    assert play.rows("alice", "device") == before
    play.pass_time(86_400 * 40)
    desk, _ = sign_in(play, 2)
    sign_in(play, 1)
    found = listed(desk)["Kiva's 1"]
    assert (found.findtext(f"{NS}first-seen"), found.findtext(f"{NS}last-seen")) == (
        "2001-09-01T00:00:00Z",
        "2001-10-01T00:00:00Z",
    )
    play.pass_time(86_400 * 31 * 8)
    assert play.rows("alice", "device") == {}


def test_who_has_been_away_for_long_is_not_reminded_of_old_clients() -> None:
    play = world()
    phone, _ = sign_in(play, 1)
    phone.cut()
    play.pass_time(86_400 * 31 * 8)
    assert len(play.rows("alice", "device")) == 1  # nobody could read it
    desk, _ = sign_in(play, 2)
    assert list(listed(desk)) == ["Kiva's 2"]
    assert len(play.rows("alice", "device")) == 1


def test_nothing_is_remembered_where_it_is_switched_off() -> None:
    play = world(clients={"months": 0})
    phone, _ = sign_in(play, 1)
    assert play.rows("alice", "device") == {}
    found = listed(phone)["Kiva's 1"]
    assert found.find(f"{NS}first-seen") is None
    assert methods(found) == ["password"]


def test_only_so_many_are_remembered() -> None:
    play = world()
    for number in range(AT_MOST + 3):
        sign_in(play, number)[0].cut()
    assert len(play.rows("alice", "device")) == AT_MOST


def test_records() -> None:
    record = Record(24020, 24021, True, False, "Software", "Gerät")
    assert Record.from_bytes(record.to_bytes()) == record
    for damaged in (b"", b"\2" + record.to_bytes()[1:], b"\1\0\0", record.to_bytes()[:6] + b"\xff"):
        with pytest.raises(ValueError):
            Record.from_bytes(damaged)
    assert month_text(month(1_000_000_000.0)) == "2001-09-01T00:00:00Z"


def test_a_damaged_record_costs_nobody_the_list() -> None:
    play = world()
    phone, _ = sign_in(play, 1)
    play.server.store.put("device", b"alice@a.example", b"damaged", b"\2")
    assert list(listed(phone)) == ["Kiva's 1"]
    assert not any(isinstance(each, Mark) for each in phone.inbox)
