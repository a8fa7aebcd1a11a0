from __future__ import annotations

from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import parse_jid
from quietwire.core.later import drive
from quietwire.server import nodes
from quietwire.server.node_config import NodeConfig
from quietwire.server.nodes import MAX_ITEM_ID, MAX_NODE, MAX_PAYLOAD, Book, Library, Node, item_key
from quietwire.store.memory import MemoryStorage
from quietwire.store.ports import LONGEST_NAME
from quietwire.testing.assembly import Slow

T = TypeVar("T")
ALICE = parse_jid("alice@a.example")
OWNER = b"alice@a.example"


def storage() -> MemoryStorage:
    numbers = count(1)
    return MemoryStorage(lambda size: next(numbers).to_bytes(size, "big"))


def run(work: Coroutine[Any, Any, T]) -> T:
    """For what needs not wait."""
    done: list[tuple[T | None, BaseException | None]] = []
    assert drive(work, lambda value, error: done.append((value, error)))
    value, error = done[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def refusal(act: Any) -> str:
    with pytest.raises(StanzaError) as refused:
        act()
    specific = (refused.value.specific or "").rpartition("}")[2]
    return f"{refused.value.condition} {specific}".strip()


def test_a_row_comes_back_as_it_was() -> None:
    node = Node(
        "urn:n",
        NodeConfig(access_model="roster", roster_groups_allowed=("a",)),
        {"ü": 3, "b": 5},
        {parse_jid("bob@b.example"): "member"},
        frozenset((parse_jid("eve@e.example/x"),)),
    )
    back = Node.decode(*node.encode())
    assert back == node
    assert list(back.items) == ["ü", "b"]
    assert back.last == "b"
    with pytest.raises(ValueError, match="version"):
        Node.decode(b"urn:n", b"\x02{}")


def test_keys_of_items_are_unambiguous_and_fit_the_store() -> None:
    assert item_key("ab", "c") != item_key("a", "bc")
    assert len(item_key("n" * MAX_NODE, "i" * MAX_ITEM_ID)) == LONGEST_NAME


def test_what_is_published_is_read_by_a_new_book() -> None:
    store = storage().store
    book = Book(store, OWNER)
    node = Node("n", NodeConfig(max_items=2))
    for name in ("1", "2", "3"):
        book.publish(book.nodes.get("n", node), name, name.encode())
    again = run(Library().book(store, ALICE))
    assert again.nodes == book.nodes
    assert list(again.nodes["n"].items) == ["2", "3"]
    assert run(again.payload(again.nodes["n"], "3")) == b"3"
    assert run(again.payload(again.nodes["n"], "1")) is None
    assert len(store.scan("item", OWNER).result()) == 2


def test_an_item_that_is_published_again_is_the_newest() -> None:
    store = storage().store
    book = Book(store, OWNER)
    for name, payload in (("1", b"a"), ("2", b"b"), ("1", b"cc")):
        book.publish(book.nodes.get("n", Node("n", NodeConfig(max_items=2))), name, payload)
    assert book.nodes["n"].items == {"2": 1, "1": 2}
    assert book.nodes["n"].last == "1"
    assert run(book.payload(book.nodes["n"], "1")) == b"cc"


def test_fewer_items_or_none_are_kept_after_a_change() -> None:
    store = storage().store
    book = Book(store, OWNER)
    for name in ("1", "2", "3"):
        book.publish(book.nodes.get("n", Node("n", NodeConfig(max_items=3))), name, b"x")
    node = book.nodes["n"]
    book.put(Node("n", NodeConfig(max_items=2), node.items))
    assert list(book.nodes["n"].items) == ["2", "3"]
    book.put(Node("n", NodeConfig(persist_items=False), book.nodes["n"].items))
    assert book.nodes["n"].items == {}
    assert store.scan("item", OWNER).result() == []


def test_a_node_that_keeps_nothing_is_only_made() -> None:
    store = storage().store
    book = Book(store, OWNER)
    book.publish(Node("n", NodeConfig(persist_items=False)), "1", b"x")
    assert book.nodes["n"].items == {}
    assert store.scan("item", OWNER).result() == []


def test_retract_and_delete_leave_no_row() -> None:
    store = storage().store
    book = Book(store, OWNER)
    for name in ("1", "2"):
        book.publish(book.nodes.get("n", Node("n", NodeConfig(max_items=2))), name, b"x")
    book.retract(book.nodes["n"], ["1"])
    assert list(book.nodes["n"].items) == ["2"]
    book.delete(book.nodes["n"])
    assert book.nodes == {}
    assert store.scan("item", OWNER).result() == []
    assert store.scan("node", OWNER).result() == []


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(storage().store, OWNER)
    assert refusal(lambda: book.put(Node(""))) == "not-acceptable"
    assert refusal(lambda: book.put(Node("n" * (MAX_NODE + 1)))) == "not-acceptable"
    assert refusal(lambda: book.publish(Node("n"), "i" * (MAX_ITEM_ID + 1), b"")) == "not-acceptable"
    too_big = b"x" * (MAX_PAYLOAD + 1)
    assert refusal(lambda: book.publish(Node("n"), "1", too_big)) == "not-acceptable payload-too-big"
    assert book.nodes == {}
    monkeypatch.setattr(nodes, "MAX_NODES", 1)
    book.put(Node("n"))
    assert refusal(lambda: book.put(Node("m"))) == "conflict max-nodes-exceeded"
    assert refusal(lambda: book.publish(Node("m"), "1", b"x")) == "conflict max-nodes-exceeded"
    assert list(book.nodes) == ["n"]


def test_the_bytes_of_an_account_are_bounded_and_what_makes_room_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_BYTES", 4 * nodes.OVERHEAD)
    book = Book(storage().store, OWNER)
    node = Node("n", NodeConfig(max_items=3))
    book.publish(node, "1", b"x" * 1_000)
    assert refusal(lambda: book.publish(book.nodes["n"], "2", b"x" * 1_100)) == "resource-constraint"
    assert list(book.nodes["n"].items) == ["1"]
    book.publish(book.nodes["n"], "1", b"x" * 2_000)  # in place of the first
    assert book.nodes["n"].items == {"1": 2_000}


def test_one_book_an_account_however_many_read_it() -> None:
    slow, library = Slow(storage()), Library()
    slow.held = True
    books: list[Book | None] = []
    for _ in range(2):
        drive(library.book(slow, ALICE), lambda book, error: books.append(book))
    assert books == []
    slow.release()
    first, second = books
    assert first is second
    assert run(library.book(slow, ALICE)) is first
    assert library.held(ALICE) is first
    library.forget(slow, ALICE)
    assert library.held(ALICE) is None


def test_nobody_keeps_a_book_that_nobody_uses() -> None:
    store, library = storage().store, Library()
    run(library.book(store, ALICE))
    assert library.held(ALICE) is None


def test_a_row_that_cannot_be_read_is_one_node_lost_and_no_account() -> None:
    store, library = storage().store, Library()
    run(library.book(store, ALICE)).publish(Node("good"), "1", b"x")
    library.forget(store, ALICE)
    for key, row in ((b"version", b"\x09"), (b"json", b"\x01{"), (b"shape", b'\x01{"items": 7}'), (b"jid", b"\x01[]")):
        store.put("node", OWNER, key, row)
    assert set(run(library.book(store, ALICE)).nodes) == {"good"}


OPEN = NodeConfig(access_model="open", max_items=2)
TABLES = ("node", "item", "open_node", "open_item")


def rows(store: MemoryStorage) -> list[int]:
    return [len(store.scan(table, OWNER).result()) for table in TABLES]


def test_of_an_open_node_strangers_may_read_all_but_the_people() -> None:
    store, library = storage(), Library()
    people = {"affiliations": {ALICE: "outcast"}, "subscribers": frozenset((ALICE,))}
    book = run(library.book(store, ALICE))
    book.publish(Node("o", OPEN, **people), "1", b"x")  # type: ignore[arg-type]
    book.publish(Node("p", NodeConfig(access_model="presence"), **people), "1", b"y")  # type: ignore[arg-type]
    assert rows(store) == [2, 1, 1, 1]
    shown = run(library.shown(store, ALICE))
    assert shown.nodes == {"o": Node("o", OPEN, {"1": 1})}
    assert run(shown.payload(shown.nodes["o"], "1")) == b"x"
    assert run(Library().book(store, ALICE)).nodes == book.nodes
    book.publish(book.nodes["o"], "2", b"z")
    book.publish(book.nodes["o"], "3", b"z")
    book.retract(book.nodes["o"], ["2"])
    assert rows(store) == [2, 1, 1, 1]
    book.delete(book.nodes["o"])
    assert rows(store) == [1, 1, 0, 0]


def test_what_is_open_cannot_be_changed_by_who_is_not_there() -> None:
    store, library = storage(), Library()
    book = run(library.book(store, ALICE))
    book.publish(Node("o", OPEN), "1", b"x")
    shown = run(library.shown(store, ALICE))
    for act in (
        lambda: shown.put(shown.nodes["o"]),
        lambda: shown.publish(shown.nodes["o"], "2", b"y"),
        lambda: shown.retract(shown.nodes["o"], ["1"]),
        lambda: shown.delete(shown.nodes["o"]),
    ):
        assert refusal(act) == "recipient-unavailable"
    assert (rows(store), list(shown.nodes["o"].items)) == ([1, 0, 1, 1], ["1"])


@pytest.mark.parametrize("before", [True, False])
def test_a_node_that_opens_or_closes_takes_its_items_with_it(before: bool) -> None:
    store, library = storage(), Library()
    book = run(library.book(store, ALICE))
    models = ("open", "whitelist") if before else ("whitelist", "open")
    book.put(Node("n", NodeConfig(access_model=models[0], max_items=3)))
    for name in ("1", "2", "3"):
        book.publish(book.nodes["n"], name, name.encode())
    assert library.shows(store, ALICE) is before
    run(book.configure(book.nodes["n"], {"access_model": (models[1],), "max_items": ("2",)}))
    node = book.nodes["n"]
    assert (node.config.access_model, list(node.items)) == (models[1], ["2", "3"])
    assert rows(store) == ([1, 2, 0, 0] if before else [1, 0, 1, 2])
    assert run(book.payload(node, "2")) == b"2"
    assert library.shows(store, ALICE) is not before


def test_a_configuration_waits_for_what_is_published_meanwhile() -> None:
    slow, library = Slow(storage()), Library()
    book = run(library.book(slow, ALICE))
    book.publish(Node("n", NodeConfig(max_items=2)), "1", b"x")
    ended: list[BaseException | None] = []
    for delete in (False, True):
        slow.held = True
        work = book.configure(book.nodes["n"], {"access_model": ("whitelist" if delete else "open",)})
        drive(work, lambda _, error: ended.append(error))
        if delete:
            book.delete(book.nodes["n"])
        else:
            book.publish(book.nodes["n"], "2", b"y")
        slow.release()
        if not delete:
            assert (ended, rows(slow._store)) == ([None], [1, 0, 1, 2])
    assert isinstance(ended[1], StanzaError)
    assert rows(slow._store) == [0, 0, 0, 0]


def test_who_has_no_open_node_costs_no_read_and_is_known_after_a_start() -> None:
    store, library = storage(), Library()
    book = run(library.book(store, ALICE))
    book.publish(Node("p"), "1", b"x")
    reads: list[str] = []
    scan = store.scan

    def counted(table: str, owner: bytes, *rest: Any, **more: Any) -> Any:
        reads.append(table)
        return scan(table, owner, *rest, **more)

    store.scan = counted  # type: ignore[method-assign]
    for name in (ALICE, parse_jid("nobody@a.example")):
        assert run(library.shown(store, name)).nodes == {}
    assert reads == []
    book.publish(Node("o", OPEN), "1", b"x")
    again = Library()
    assert not again.shows(store, ALICE)
    run(again.open(store))
    assert list(run(again.shown(store, ALICE)).nodes) == ["o"]
    assert reads == ["open_node"]
    again.forget(store, ALICE)
    assert not again.shows(store, ALICE)
