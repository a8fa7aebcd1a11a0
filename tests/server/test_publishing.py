from __future__ import annotations

from dataclasses import replace

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.xml import build
from quietwire.server.account import Account
from quietwire.server.node_config import NodeConfig
from quietwire.server.nodes import Node
from quietwire.server.pep import MEMORY, Interest, audience_of
from quietwire.server.publishing import Publisher, stored
from quietwire.server.roster import Roster
from quietwire.server.sealed.arriving import SENDER
from quietwire.testing.services import Client, House

ALICE = parse_jid("alice@a.example")


class World:
    def __init__(self) -> None:
        self.house = House()
        self.house.add("alice@a.example")
        self.told: list[tuple[JID, str]] = []
        self.publisher = Publisher(
            self.house.store,
            self.house,
            lambda account, node: self.told.append((account, node)),
            arrivals=self.house.arrivals,
        )
        self.client: Client = self.house.log_in("alice@a.example/x", available=True)
        interest = self.client.session.memory[MEMORY] = Interest()
        interest.learnt(frozenset(("urn:n+notify", "urn:xmpp:bookmarks:1+notify")))

    def run(self, *publications: tuple[str, str]) -> list[str]:
        """What the client was told."""

        async def work() -> None:
            book = await self.publisher.book(ALICE)
            for node, item in publications:
                self.publisher.publish(self.client.session.account, book, node, item, stored(build("{urn:p}p")))

        self.house.spawn(work())
        return self.taken()

    def taken(self) -> list[str]:
        taken, self.house.answers = self.house.answers, []
        return [stanza.to_bytes().decode() for stanza in taken]


def test_who_wants_the_node_is_told() -> None:
    world = World()
    [event] = world.run(("urn:n", "1"), ("urn:other", "1"))
    assert "<items node='urn:n'><item id='1'><p xmlns='urn:p'/></item></items>" in event
    assert world.told == []  # what a module publishes makes no other module act


def test_private_nodes_are_made_private() -> None:
    world = World()
    world.run(("urn:xmpp:bookmarks:1", "room@r.example"), ("urn:n", "1"))
    book = audience_of(world.client.session.account).book
    assert book is not None
    assert book.nodes["urn:xmpp:bookmarks:1"].config.access_model == "whitelist"
    assert book.nodes["urn:xmpp:bookmarks:1"].config.max_items == 1_000
    assert book.nodes["urn:n"].config.access_model == "presence"


def test_items_are_retracted() -> None:
    world = World()
    world.run(("urn:n", "1"))
    book = audience_of(world.client.session.account).book
    assert book is not None
    world.publisher.retract(world.client.session.account, book, book.nodes["urn:n"], ("1",))
    assert not book.nodes["urn:n"].items
    [event] = world.taken()
    assert "<retract id='1'/>" in event


def test_the_account_in_memory_holds_its_book() -> None:
    world = World()
    books = []

    async def work() -> None:
        books.append(await world.publisher.book(ALICE))

    world.house.spawn(work())
    assert audience_of(world.client.session.account).book is books[0]


BOB = parse_jid("bob@b.example/x")


def test_a_subscription_to_who_is_away_waits_and_so_does_its_end() -> None:
    world = World()
    world.run(("urn:n", "1"))
    book = audience_of(world.client.session.account).book
    assert book is not None
    book.put(replace(book.nodes["urn:n"], config=NodeConfig(access_model="open")))
    for ends in (False, True):
        world.client.leave()
        world.publisher.subscribe_later(ALICE, book.nodes["urn:n"], BOB, ends=ends)
        assert (BOB in book.nodes["urn:n"].subscribers) is ends
        account = Account(ALICE, Roster())
        audience_of(account).book = book
        world.house.spawn(world.house.arrivals.settle(account))
        assert (BOB in book.nodes["urn:n"].subscribers) is not ends
        world.client = world.house.log_in("alice@a.example/x")


def test_who_may_not_read_the_node_any_more_has_not_subscribed() -> None:
    world = World()
    world.run(("urn:n", "1"))
    book = audience_of(world.client.session.account).book
    assert book is not None
    world.client.leave()
    for name in ("urn:n", "urn:gone"):
        world.publisher.subscribe_later(ALICE, Node(name), BOB)
    account = Account(ALICE, Roster())
    audience_of(account).book = book
    world.house.spawn(world.house.arrivals.settle(account))
    assert not book.nodes["urn:n"].subscribers


def test_only_so_many_subscriptions_wait() -> None:
    world = World()
    world.client.leave()
    for number in range(SENDER):
        world.publisher.subscribe_later(ALICE, Node(f"n{number}"), BOB)
    with pytest.raises(StanzaError, match="policy-violation"):
        world.publisher.subscribe_later(ALICE, Node("one more"), BOB)
