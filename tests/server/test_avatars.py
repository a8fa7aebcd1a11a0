from __future__ import annotations

from base64 import b64encode
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar, cast

import pytest

from quietwire.core.errors import StanzaError
from quietwire.core.jid import JID, parse_jid
from quietwire.core.later import drive
from quietwire.core.stanza import Presence
from quietwire.core.xml import Element
from quietwire.server import avatars
from quietwire.server.account import Account
from quietwire.server.avatars import DATA, MEMORY, METADATA, Avatar, identify, picture, stamp
from quietwire.server.nodes import MAX_PAYLOAD, Node
from quietwire.server.publishing import Publisher
from quietwire.server.roster import Contact, Roster
from quietwire.testing.assembly import Assembly, stanza
from quietwire.testing.services import House

ALICE, BOB, EVE = map(parse_jid, ("alice@a.example", "bob@b.example", "eve@e.example"))
T = TypeVar("T")
NAME = identify(b"png")


def account(avatar: Avatar | None) -> Account:
    found = Account(ALICE, Roster((Contact(BOB, subscription="from"),)))
    if avatar is not None:
        found.memory[MEMORY] = avatar
    return found


def stamped(avatar: Avatar | None, inner: str = "", to: str = "") -> str:
    address = f" to='{to}'" if to else ""
    presence = stanza(f"<presence{address}>{inner}</presence>")
    assert isinstance(presence, Presence)
    return stamp(account(avatar), presence).to_bytes().decode()


def photo(text: str) -> str:
    return f"<x xmlns='vcard-temp:x:update'><photo>{text}</photo></x>"


def test_presence_says_which_picture() -> None:
    assert stamped(Avatar(NAME)) == f"<presence>{photo(NAME)}</presence>"
    assert stamped(Avatar(NAME), "<status>x</status>") == f"<presence><status>x</status>{photo(NAME)}</presence>"
    assert stamped(Avatar(NAME), photo(NAME)) == f"<presence>{photo(NAME)}</presence>"


def test_without_a_picture_presence_stays_as_it_is() -> None:
    assert stamped(None, photo("abc")) == f"<presence>{photo('abc')}</presence>"


def test_an_empty_element_and_a_wrong_hash_are_replaced_an_empty_photo_is_not() -> None:
    for said in ("<x xmlns='vcard-temp:x:update'/>", photo("abc")):
        assert (
            stamped(Avatar(NAME), f"<show>away</show>{said}") == f"<presence><show>away</show>{photo(NAME)}</presence>"
        )
    empty = "<presence><x xmlns='vcard-temp:x:update'><photo/></x></presence>"
    assert stamped(Avatar(NAME), "<x xmlns='vcard-temp:x:update'><photo/></x>") == empty
    assert stamped(Avatar("")) == empty
    assert stamped(Avatar(""), photo("abc")) == empty


def test_a_room_is_told_of_a_picture_that_everybody_may_fetch_and_of_no_other() -> None:
    assert NAME not in stamped(Avatar(NAME), to="room@r.example/nick")
    assert NAME in stamped(Avatar(NAME, public=True), to="room@r.example/nick")
    assert NAME in stamped(Avatar(NAME), to="bob@b.example/x")


def test_a_row_comes_back() -> None:
    avatar = Avatar(NAME, "image/gif", True)
    assert Avatar.decode(avatar.encode()) == avatar
    with pytest.raises(ValueError, match="version"):
        Avatar.decode(b"\x07{}")


def test_base64_may_have_lines_but_nothing_else() -> None:
    assert picture(" cG\n5n ") == b"png"
    for wrong in ("cG5", "cG5n!", "é"):
        with pytest.raises(StanzaError, match="bad-request"):
            picture(wrong)


class Shelf:
    """Alice's book, written as a client could."""

    def __init__(self) -> None:
        self.house = House()
        self.house.add("alice@a.example", Contact(BOB, subscription="from"))
        self.publisher = Publisher(self.house.store, self.house)
        self.house.log_in("alice@a.example/x")
        self.book = self.run(self.publisher.book(ALICE))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        done: list[tuple[Any, BaseException | None]] = []
        assert drive(work, lambda value, error: done.append((value, error)))
        [(value, error)] = done
        if error is not None:
            raise error
        return cast(T, value)

    def photo(self, owner: JID, asker: JID) -> Element | None:
        account = self.house.account(owner) or Account.absent(owner)
        return self.run(avatars.photo(self.run(self.publisher.book(owner)), account, asker))

    def put(self, node: str, item: str, payload: str) -> None:
        self.book.publish(self.book.nodes.get(node) or Node(node), item, payload.encode())

    def metadata(self, *infos: str) -> None:
        self.put(METADATA, NAME, f"<metadata xmlns='{METADATA}'>{''.join(infos)}</metadata>")

    def data(self, data: bytes = b"png", name: str = NAME) -> None:
        self.put(DATA, name, f"<data xmlns='{DATA}'>{b64encode(data).decode()}</data>")


def test_the_picture_that_is_here_is_found() -> None:
    shelf = Shelf()
    assert shelf.run(avatars.look(shelf.book)) is None
    shelf.metadata(
        f"<info id='{NAME}' type='image/gif' url='https://x.example/'/>", f"<info id='{NAME}' type='text/x'/>"
    )
    assert shelf.run(avatars.look(shelf.book)) is None
    shelf.data()
    assert shelf.run(avatars.look(shelf.book)) == (Avatar(NAME, "image/png"), b"png")


@pytest.mark.parametrize("data", [b"other", b""])
def test_a_picture_under_a_wrong_name_is_none(data: bytes) -> None:
    shelf = Shelf()
    shelf.metadata(f"<info id='{NAME}' type='image/png'/>")
    shelf.data(data)
    assert shelf.run(avatars.look(shelf.book)) is None


def test_data_that_is_no_base64_is_none() -> None:
    shelf = Shelf()
    shelf.metadata(f"<info id='{NAME}' type='image/png'/>")
    shelf.put(DATA, NAME, f"<data xmlns='{DATA}'>!</data>")
    assert shelf.run(avatars.look(shelf.book)) is None


def test_the_photo_is_for_those_who_may_read_the_nodes() -> None:
    shelf = Shelf()
    shelf.run(avatars.publish(shelf.publisher, ALICE, b"png", "image/jpeg"))
    for asker, shown in ((ALICE, True), (BOB, True), (EVE, False)):
        element = shelf.photo(ALICE, asker)
        assert (element is not None) is shown
        if element is not None:
            assert [child.text for child in element] == ["image/jpeg", "cG5n"]


def test_what_was_published_can_be_withdrawn() -> None:
    shelf = Shelf()
    shelf.run(avatars.publish(shelf.publisher, ALICE, b"png", ""))
    assert list(shelf.book.nodes[DATA].items) == [NAME]
    shelf.run(avatars.withdraw(shelf.publisher, ALICE))
    assert not shelf.book.nodes[DATA].items
    assert shelf.run(avatars.look(shelf.book)) is None


def test_a_picture_that_is_too_large_is_refused() -> None:
    shelf = Shelf()
    with pytest.raises(StanzaError, match="not-acceptable"):
        shelf.run(avatars.publish(shelf.publisher, ALICE, bytes(MAX_PAYLOAD), "image/png"))
    assert not shelf.book.nodes


def test_a_picture_for_some_contacts_only_is_not_in_presence() -> None:
    house = Assembly(())
    house.add("alice@a.example")
    house.log_in("alice@a.example/x")
    publisher = Publisher(house.store, house.router)

    async def work() -> None:
        await avatars.publish(publisher, ALICE, b"png", "image/png")
        book = await publisher.book(ALICE)
        node = book.nodes[DATA]
        book.put(replace(node, config=replace(node.config, access_model="whitelist")))
        await avatars.refresh(publisher, ALICE)
        account = house.accounts.loaded[ALICE]
        assert await avatars.photo(book, account, ALICE) is not None

    house.router.spawn(work())
    assert house.storage.store.get("vcard", b"alice@a.example", b"avatar").result() is None


def test_what_strangers_may_not_see_is_not_read_for_them() -> None:
    shelf = Shelf()
    shelf.metadata(f"<info id='{NAME}'/>")
    shelf.data()
    reads: list[str] = []
    get = shelf.house.store.get

    def counted(table: str, owner: bytes, key: bytes) -> Any:
        reads.append(table)
        return get(table, owner, key)

    shelf.house.store.get = counted  # type: ignore[method-assign]
    for owner in (ALICE, parse_jid("nobody@a.example")):
        assert shelf.photo(owner, EVE) is None
    assert reads == []
    assert shelf.photo(ALICE, BOB) is not None
    assert reads == ["item", "item"]
