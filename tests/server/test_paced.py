"""A whole server and a client on a link that is paced: nothing is lost, whoever can be told to wait is told, and what
the client is doing changes no time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from quietwire.core import ns
from quietwire.core.xml import Element
from quietwire.shaping.policy import Policy, Profile
from quietwire.testing.playbook import Client, Mark, Playbook, nothing

QUEUE = 2_000
POLICY = Policy(Profile.STEADY, queue=QUEUE)
PING = "<iq type='get' id='{}' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>"


def slow(client: Client, queue: int = QUEUE) -> Client:
    client.link.paced, client.link.policy, client.link.room = True, replace(POLICY, queue=queue), 0
    return client


def bodies(client: Client, sender: str = "") -> list[str]:
    """Of messages that came, one cell after the other until no more do."""
    return [body for name, body in got(client) if name.startswith(sender)]


def got(client: Client) -> Iterator[tuple[str, str]]:
    for element in cells(client):
        if element.tag == f"{{{ns.CLIENT}}}message":
            yield element.get("from", ""), element.findtext(f"{{{ns.CLIENT}}}body", "")


def cells(client: Client) -> Iterator[Element]:
    idle = 0
    while idle < 3:
        client.play.settle()
        client.link.has_room(1)
        taken = client.take()
        idle = 0 if taken else idle + 1
        for element in taken:
            assert not isinstance(element, Mark)
            yield element


def flood(sender: Client, to: str, number: int, text: str = "x" * 200) -> None:
    for each in range(number):
        sender >> f"<message to='{to}' type='chat' id='{each}'><body>{each} {text}</body></message>"


@pytest.fixture
def play() -> Playbook:
    return Playbook(accounts=["alice", "bob", "carol"])


def test_a_flood_loses_nothing_keeps_its_order_and_stalls_nobody(play: Playbook) -> None:
    alice, carol = play.client("alice/x", "<presence/>"), play.client("carol/x", "<presence/>")
    bob = slow(play.client("bob/x", "<presence/>"))
    flood(alice, "bob@a.example", 40)
    carol >> "<message to='bob@a.example' type='chat'><body>hello?</body></message>"
    came = list(got(bob))
    texts = [body for name, body in came if name.startswith("alice")]
    assert [text.split()[0] for text in texts] == [str(number) for number in range(40)]
    assert [name for name, _ in came].index("carol@a.example/x") < 10
    assert alice.take() == []
    assert play.server.spool.usage(b"bob@a.example")[0] == 0


def test_with_0198_too(play: Playbook) -> None:
    alice, bob = play.client("alice/x", "<presence/>"), play.client("bob/x", "<presence/>")
    bob >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    bob << "<enabled xmlns='urn:xmpp:sm:3' id='{id}' _='...'/>"
    slow(bob)
    flood(alice, "bob@a.example", 30)
    count, texts = 0, []
    for element in cells(bob):
        if element.tag == "{urn:xmpp:sm:3}r":
            bob >> f"<a xmlns='urn:xmpp:sm:3' h='{count}'/>"
        elif element.tag == f"{{{ns.CLIENT}}}message":
            count += 1
            texts.append(element.findtext(f"{{{ns.CLIENT}}}body", "").split()[0])
    assert texts == [str(number) for number in range(30)]
    bob >> f"<a xmlns='urn:xmpp:sm:3' h='{count}'/>"
    assert play.server.spool.usage(b"bob@a.example")[0] == 0


def test_a_session_that_is_resumed_gets_all(play: Playbook) -> None:
    alice, bob = play.client("alice/x", "<presence/>"), play.client("bob/x", "<presence/>")
    bob >> "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
    bob << "<enabled xmlns='urn:xmpp:sm:3' id='{id}' _='...'/>"
    slow(bob)
    flood(alice, "bob@a.example", 20)
    bob.cut()
    flood(alice, "bob@a.example", 1, "while away")
    new = slow(play.connect()).authenticate("bob")
    new >> f"<resume xmlns='urn:xmpp:sm:3' previd='{play.known['id']}' h='0'/>"
    assert new.link.welcomes == 1
    texts = bodies(new, "alice")
    assert len(texts) == 21
    assert sorted(texts) == sorted([f"{number} {'x' * 200}" for number in range(20)] + ["0 while away"])


def test_when_the_spool_is_full_the_sender_is_told() -> None:
    play = Playbook(accounts=["alice", "bob"], tables={"offline": {"stanzas": 20}})
    alice, bob = play.client("alice/x", "<presence/>"), slow(play.client("bob/x", "<presence/>"))
    flood(alice, "bob@a.example", 40)
    refused = [element.get("id") for element in alice.take() if not isinstance(element, Mark)]
    assert refused
    assert sorted(map(int, (text.split()[0] for text in bodies(bob)))) + sorted(map(int, refused)) == list(range(40))  # type: ignore[arg-type]


def test_a_client_is_not_read_from_while_its_own_answers_wait(play: Playbook) -> None:
    bob = slow(play.client("bob/x", "<presence/>"), 20_000)
    asked = 0
    while not bob.link.paused:
        bob >> f"<iq type='get' id='{asked}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        asked += 1
        assert asked < 100
    assert asked > 1
    answers = [element.get("id") for element in cells(bob)]
    assert answers == [str(number) for number in range(asked)]
    assert not bob.link.paused


def test_who_can_be_told_to_wait_is_told(play: Playbook) -> None:
    alice, bob = play.client("alice/x", "<presence/>"), slow(play.client("bob/x", "<presence/>"))
    told: list[Any] = []
    asked = 0
    while not told:
        alice >> PING.format(asked, "bob@a.example/x")
        told = alice.take()
        asked += 1
        assert asked < 100
    assert told[0].find(f".//{{{ns.STANZAS}}}resource-constraint") is not None
    alice >> "<message to='bob@a.example' type='chat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>"
    (refused,) = alice.take()
    assert refused.find(f".//{{{ns.STANZAS}}}resource-constraint") is not None  # type: ignore[union-attr]
    alice >> "<message to='bob@a.example' type='chat'><body>kept</body></message>"
    alice << nothing
    assert len(list(cells(bob))) == asked


def test_what_the_client_does_changes_no_time(play: Playbook) -> None:
    alice, bob = play.client("alice/x", "<presence/>"), play.client("bob/x", "<presence/>")
    assert bob.link.welcomes == 1
    slow(bob)
    for word in ("inactive", "active", "inactive"):
        bob >> f"<{word} xmlns='urn:xmpp:csi:0'/>"
        flood(alice, "bob@a.example", 3)
        list(cells(bob))
    assert bob.link.welcomes == 1
    assert bob.link.policy.tick == POLICY.tick


def test_a_client_that_leaves_the_slow_link_gets_the_rest_at_once(play: Playbook) -> None:
    alice, bob = play.client("alice/x", "<presence/>"), slow(play.client("bob/x", "<presence/>"))
    flood(alice, "bob@a.example", 30)
    bob.link.paced = False
    bob.stream.room()
    bob.play.settle()
    assert len([element for element in bob.take() if not isinstance(element, Mark)]) == 30
