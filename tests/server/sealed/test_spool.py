from __future__ import annotations

import pytest
from sealed_world import ALICE, World

from quietwire.seal import arrivals
from quietwire.server.sealed.seals import Sealed


def waiting(world: World) -> list[bytes]:
    return sorted(entry.value for entry in world.spool.load(ALICE).result())


def test_what_waits_is_sealed_when_it_is_written_and_not_before() -> None:
    world = World().make(ALICE)
    confirmed, kept = world.spool.keep(ALICE, b"one"), world.spool.keep(ALICE, b"two")
    world.spool.confirm(confirmed)
    world.storage.commit()
    assert kept.value == b"two"  # in memory until its reader has it
    world = world.restart(crash=True)
    [raw] = world.storage.load(world.seals.owner("spool", ALICE)).result()
    assert raw.value[0] == arrivals.FORM
    assert arrivals.chain_of(raw.value)[1] == 0
    assert b"two" not in raw.value
    assert world.spool.usage(ALICE)[0] == 1
    with pytest.raises(Sealed):
        world.spool.load(ALICE).result()
    world.log_in(ALICE)
    assert waiting(world) == waiting(world) == [b"two"]


def test_sizes_are_classes() -> None:
    world = World().make(ALICE)
    for size in (1, 2, 100, 150):
        world.spool.keep(ALICE, bytes(size))
    world.storage.commit()
    entries = world.storage.load(world.seals.owner("spool", ALICE)).result()
    assert len({entry.size for entry in entries}) == 1


def test_entries_that_do_not_open_stay_apart_and_are_told_once() -> None:
    world = World().make(ALICE)
    for text in (b"one", b"two", b"three"):
        world.spool.keep(ALICE, text)
    world.storage.commit()
    world = world.restart(crash=True)
    name = world.seals.owner("spool", ALICE)
    damaged, other, _ = world.storage.load(name).result()
    damaged.value = damaged.value[:-1] + bytes([damaged.value[-1] ^ 1])
    other.value = b""
    world.log_in(ALICE)
    assert len(waiting(world)) == 1
    assert (len(waiting(world)), world.isolated) == (1, 2)
    assert world.store.findings.take(ALICE) == 2
    assert world.spool.usage(ALICE)[0] == 3
