"""The secrets of rooms, and what becomes of what lies under them."""

from __future__ import annotations

from sealed_world import ROOM, World, run

OTHER = b"attic@rooms.a.example"


def say(world: World) -> None:
    row = world.seals.seal("archive", ROOM, b"m1", b"hello")
    world.storage.put("archive", world.seals.owner("archive", ROOM), b"m1", row)


def heard(world: World) -> bool:
    return world.seals.open("archive", ROOM, b"m1", world.rows("archive", ROOM)[b"m1"]) == b"hello"


def opened(world: World) -> World:
    run(world.store.open())
    return world


def persistent() -> World:
    world = World()
    world.store.put("room", ROOM, b"config", b"\x01cats")
    say(world)
    return world


def test_a_room_and_what_was_said_in_it_come_back() -> None:
    again = opened(persistent().restart())
    assert again.store.owners("room").result() == [ROOM]
    assert again.store.scan("room", ROOM).result() == [(b"config", b"\x01cats")]
    assert heard(again)


def test_the_disk_has_no_name_and_one_row_more() -> None:
    world = persistent()
    world.storage.commit()
    assert len(world.rows("room", ROOM)) == 2
    everything = repr(world.storage._durable.rows).encode()
    for word in (b"den@", b"rooms.a.example", b"cats", b"hello"):
        assert word not in everything


def test_what_a_room_wrote_that_was_not_persistent_is_gone_with_the_server() -> None:
    world = World()
    say(world)
    assert heard(world)
    again = opened(world.restart())
    assert again.store.owners("room").result() == []
    assert again.rows("archive", ROOM) == {}
    assert again.rows("room", ROOM) == {}


def test_a_room_that_ceases_to_be_persistent_takes_its_secret_along() -> None:
    world = persistent()
    before = set(world.rows("room", ROOM).values())
    world.store.delete("room", ROOM, b"config")
    world.store.delete("room", ROOM, b"secret")
    assert world.store.owners("room").result() == []
    assert heard(world)  # as long as the server runs
    assert before.isdisjoint(world.rows("room", ROOM).values())
    again = opened(world.restart())
    assert again.rows("archive", ROOM) == {}


def test_one_that_becomes_persistent_again_keeps_what_was_said() -> None:
    world = persistent()
    world.store.delete("room", ROOM, b"secret")
    world.store.put("room", ROOM, b"config", b"\x01dogs")
    again = opened(world.restart())
    assert again.store.get("room", ROOM, b"config").result() == b"\x01dogs"
    assert heard(again)


def test_an_erased_room_leaves_nothing() -> None:
    world = persistent()
    world.store.erase(ROOM)
    world.storage.commit()
    assert world.rows("room", ROOM) == {}
    assert world.rows("archive", ROOM) == {}
    assert opened(world.restart()).store.owners("room").result() == []


def test_a_row_of_another_room_opens_in_neither() -> None:
    world = persistent()
    world.store.put("room", OTHER, b"config", b"\x01bats")
    for key, value in world.rows("room", OTHER).items():
        world.set("room", OTHER, key, None)
        world.set("room", ROOM, key, value)
    again = opened(world.restart())
    assert again.store.scan("room", ROOM).result() == [(b"config", b"\x01cats")]
    assert again.isolated


def test_a_room_whose_secret_is_damaged_is_lost_and_the_others_are_not() -> None:
    world = persistent()
    world.store.put("room", OTHER, b"config", b"\x01bats")
    key = world.store.rooms.key(ROOM)
    world.set("room", ROOM, key, world.rows("room", ROOM)[key][:-1] + b"\0")
    again = opened(world.restart())
    assert again.store.owners("room").result() == [OTHER]
    assert again.isolated == 1
    assert again.rows("archive", ROOM)  # nothing is erased: the row may be put back
