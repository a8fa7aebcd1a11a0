from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from quietwire.core import ns
from quietwire.core.jid import parse_jid
from quietwire.core.xml import parse, serialise
from quietwire.server import bookmarks
from quietwire.server.bookmarks import CURRENT, LEGACY, NODE, to_new, to_old
from quietwire.server.node_config import defaults
from quietwire.server.nodes import MAX_PAYLOAD, Node
from quietwire.server.publishing import Publisher
from quietwire.testing.assembly import Assembly

ALICE = parse_jid("alice@a.example")
NEW = f"<conference xmlns='{NODE}' name='The Room' autojoin='true'><nick>al</nick><password>pw</password></conference>"
OLD = (
    f"<conference xmlns='{LEGACY}' jid='room@r.example' name='The Room' autojoin='true'><nick>al</nick>"
    "<password>pw</password></conference>"
)


class Shelf:
    def __init__(self) -> None:
        self.house = Assembly(())
        self.house.add("alice@a.example")
        self.house.log_in("alice@a.example/x")
        self.publisher = Publisher(self.house.store, self.house.router)
        books: list[Any] = []

        async def open() -> None:
            books.append(await self.publisher.book(ALICE))

        self.run(open())
        self.book = books[0]

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.house.router.spawn(work)

    def put(self, name: str, text: str = "", node: str = NODE) -> None:
        payload = text or f"<conference xmlns='{NODE}' name='{name}'/>"
        self.book.publish(self.book.nodes.get(node) or Node(node, defaults(node)), name, payload.encode())

    def get(self, node: str, item: str) -> str:
        payload = self.book.payload(self.book.nodes[node], item)
        found: list[bytes] = []

        async def read() -> None:
            found.append(await payload)

        self.run(read())
        return found[0].decode()

    def collate(self, *changed: str) -> None:
        left = set(changed)
        self.run(bookmarks.collate(self.publisher, ALICE, left))
        if not self.house.store.held:
            assert not left

    def replace(self, *entries: str) -> None:
        storage = parse(f"<storage xmlns='{LEGACY}'>{''.join(entries)}</storage>".encode(), ns.CLIENT)
        self.run(bookmarks.replace(self.publisher, ALICE, storage))

    def names(self) -> list[str]:
        """The rooms of the list."""
        storage = parse(self.get(LEGACY, CURRENT).encode(), ns.CLIENT)
        return [element.get("jid", element.tag) for element in storage]


def entry(name: str, jid: str = "") -> str:
    return f"<conference xmlns='{LEGACY}' jid='{jid or name}' name='{name}'/>"


def test_each_becomes_the_other() -> None:
    new, old = parse(NEW.encode(), ns.CLIENT), parse(OLD.encode(), ns.CLIENT)
    assert serialise(to_old("room@r.example", new), "").decode() == OLD
    assert serialise(to_new(old, None), "").decode() == NEW


def test_what_older_clients_do_not_know_stays() -> None:
    extended = parse(
        f"<conference xmlns='{NODE}'><extensions><x xmlns='urn:x'/></extensions></conference>".encode(), ""
    )
    again = serialise(to_new(parse(OLD.encode(), ns.CLIENT), extended), "").decode()
    assert again == NEW.replace("</conference>", "<extensions><x xmlns='urn:x'/></extensions></conference>")


def test_the_list_follows_the_items() -> None:
    shelf = Shelf()
    shelf.put("1@r.example")
    shelf.collate("1@r.example")
    shelf.put("2@r.example")
    shelf.collate("2@r.example")
    assert shelf.names() == ["1@r.example", "2@r.example"]
    shelf.put("1@r.example", f"<conference xmlns='{NODE}' name='other'/>")
    shelf.collate("1@r.example")
    assert "name='other'" in shelf.get(LEGACY, CURRENT)
    shelf.book.retract(shelf.book.nodes[NODE], ("2@r.example",))
    shelf.collate()
    assert shelf.names() == ["1@r.example"]
    assert shelf.book.nodes[LEGACY].config.access_model == "whitelist"


def test_items_that_change_while_others_are_read_are_in_the_list() -> None:
    shelf = Shelf()
    shelf.put("1@r.example")
    shelf.house.store.held = True
    shelf.collate("1@r.example")
    shelf.put("2@r.example")
    shelf.house.store.release()
    assert shelf.names() == ["1@r.example", "2@r.example"]


def test_links_to_pages_stay_in_the_list() -> None:
    shelf = Shelf()
    shelf.put(CURRENT, f"<storage xmlns='{LEGACY}'><url name='x' url='https://x.example/'/></storage>", LEGACY)
    shelf.put("1@r.example")
    shelf.collate("1@r.example")
    assert shelf.names() == ["1@r.example", f"{{{LEGACY}}}url"]


def test_the_items_follow_the_list() -> None:
    shelf = Shelf()
    shelf.put("1@r.example")
    shelf.put("2@r.example", f"<conference xmlns='{NODE}' autojoin='1'><extensions><x/></extensions></conference>")
    same = f"<conference xmlns='{LEGACY}' jid='2@R.example' autojoin='true'/>"
    before = shelf.book.nodes[NODE]
    shelf.replace(entry("1@r.example"), same)
    assert shelf.book.nodes[NODE] is before  # nothing has changed
    shelf.replace(same, entry("3@r.example"), entry("broken", "@@"))
    assert list(shelf.book.nodes[NODE].items) == ["2@r.example", "3@r.example"]
    assert "<extensions>" in shelf.get(NODE, "2@r.example")


def test_an_account_that_has_only_items_gets_a_list_when_somebody_asks() -> None:
    shelf = Shelf()
    found: list[str] = []

    async def read() -> None:
        found.append(serialise(await bookmarks.read(shelf.publisher, ALICE), "").decode())

    shelf.run(read())
    shelf.put("1@r.example")
    shelf.run(read())
    assert found == [
        f"<storage xmlns='{LEGACY}'/>",
        f"<storage xmlns='{LEGACY}'><conference jid='1@r.example' name='1@r.example'/></storage>",
    ]


def test_a_list_that_is_too_long_is_none() -> None:
    shelf = Shelf()
    for number in (1, 2):
        name = f"<conference xmlns='{NODE}' name='{'n' * (MAX_PAYLOAD // 2)}'/>"
        shelf.put(f"{number}@r.example", name)
        shelf.collate(f"{number}@r.example")
        assert (LEGACY in shelf.book.nodes) is (number == 1)
