"""The guarantee of `steady` on the pure objects: what is put changes neither when a cell is written nor its size; it
arrives whole and in order."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.shaping.frames import MARK, Unpacker, pack
from quietwire.shaping.policy import Policy, Profile
from quietwire.shaping.steady import Pacemaker, Steady, even

POLICY = Policy(Profile.STEADY, cell=128, tick=0.6, fast_tick=0.2, window=2.0, bulk_every=20.0)
STREAMS = 4
END = 500

stanza = st.one_of(
    st.binary(min_size=1, max_size=400).map(lambda inner: b"<" + inner.replace(b" ", b"_").replace(MARK, b"_") + b">"),
    st.integers(1, 60).map(lambda number: b"<message_" + b"xmlns='jabber:client'_" * number + b"/>"),
)
secret = st.dictionaries(
    st.integers(0, END), st.lists(st.tuples(st.integers(0, STREAMS - 1), stanza), max_size=4), max_size=40
)
"""What is put: slot -> (stream, stanza)."""
socket = st.sets(st.tuples(st.integers(0, END), st.integers(0, STREAMS - 1)), max_size=30)
"""(slot, stream) in which the peer takes nothing."""


class Wire:
    """Some streams on one clock. `seen`: (slot, stream, size) as the network sees it; `got`: bytes of each stream."""

    def __init__(self, stalls: set[tuple[int, int]], packs: bool) -> None:
        self.streams = [Steady(POLICY, 0, phase) for phase in (0, 5, 5, 17)]
        for stream in self.streams[1:] if packs else ():
            stream.packer = pack
        self.stalls = stalls
        self.seen: list[tuple[int, int, int]] = []
        self.got = [bytearray() for _ in self.streams]
        self.maker = Pacemaker(self._write, self._fill)
        self.maker.at = 0
        for stream in self.streams:
            self.maker.add(stream, stream.schedule)

    def _write(self, stream: object) -> None:
        number = self.streams.index(stream)  # type: ignore[arg-type]
        if (self.maker.at, number) in self.stalls:
            return
        cell = self.streams[number].cell()
        self.seen.append((self.maker.at, number, len(cell)))
        self.got[number] += cell

    def _fill(self, stream: object) -> None:
        self.streams[self.streams.index(stream)].fill()  # type: ignore[arg-type]

    def run(self, life: dict[int, list[tuple[int, bytes]]], welcome: int) -> None:
        for slot in range(1, END):
            self.maker.beat(slot)
            for number, data in life.get(slot, ()):
                self.streams[number].parts.append(data)
                if len(data) % 2:
                    self.streams[number].admit()
            if slot == welcome:
                self.streams[0].schedule.welcome(slot)
                self.maker.add(self.streams[0], self.streams[0].schedule)


@settings(max_examples=60, deadline=None)
@given(secret, secret, socket, st.integers(1, END), st.booleans(), st.booleans())
def test_times_and_sizes_do_not_depend_on_what_is_put(
    one: dict[int, list[tuple[int, bytes]]],
    other: dict[int, list[tuple[int, bytes]]],
    stalls: set[tuple[int, int]],
    welcome: int,
    packs: bool,
    other_packs: bool,
) -> None:
    wires = []
    for life, packed in ((one, packs), (other, other_packs)):
        wire = Wire(stalls, packed)
        wire.run(life, welcome)
        wires.append(wire)
    assert wires[0].seen == wires[1].seen
    assert {size for _, _, size in wires[0].seen} == {128}


@settings(max_examples=60, deadline=None)
@given(secret, socket, st.booleans())
def test_everything_arrives_once_in_order_and_unbroken(
    life: dict[int, list[tuple[int, bytes]]], stalls: set[tuple[int, int]], packs: bool
) -> None:
    wire = Wire(stalls, packs)
    wire.run(life, 1)
    for number, stream in enumerate(wire.streams):
        put = b"".join(data for slot in sorted(life) if 0 < slot < END for n, data in life[slot] if n == number)
        got = b"".join(piece for piece, _ in Unpacker().feed(bytes(wire.got[number]) + stream.rest()))
        assert got.replace(b" ", b"") == put
        assert stream.waiting() == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(stanza, min_size=1, max_size=6), st.lists(st.integers(0, 3), max_size=10))
def test_spaces_stand_between_stanzas_only(stanzas: list[bytes], cells: list[int]) -> None:
    stream, wire = Steady(POLICY, 0, 0), bytearray()
    for number, data in enumerate(stanzas):
        stream.parts.append(data)
        for _ in range(cells[number] if number < len(cells) else 1):
            wire += stream.cell()
    while stream.waiting():
        wire += stream.cell()
    at = 0
    for data in stanzas:
        at = len(wire) - len(wire[at:].lstrip(b" "))
        assert wire[at : at + len(data)] == data
        at += len(data)
    assert not wire[at:].strip(b" ")


def test_a_cell_is_made_before_its_time_and_kept_while_the_socket_is_stalled() -> None:
    stream = Steady(POLICY, 0, 0)
    stream.parts.append(b"<first/>")
    stream.fill()
    stream.parts.append(b"<second/>")
    stream.fill()
    assert stream.waiting() == len(b"<first/><second/>")
    assert stream.cell() == b"<first/>".ljust(128)
    assert stream.waiting() == len(b"<second/>")
    assert stream.room() == 128 - len(b"<second/>")
    assert stream.cell() == b"<second/>".ljust(128)


def test_room_is_what_is_left_when_it_is_packed() -> None:
    stream = Steady(POLICY, 0, 0)
    stream.packer = pack
    said = b"<message to='ben@b.example' type='chat' id='1'/>"
    stream.parts.append(said)
    assert stream.room() == 128 - len(pack(said))
    assert stream.room() > 128 - len(said)
    assert stream.waiting() == len(pack(said))
    assert stream.rest() == pack(said)


def test_no_declaration_where_spaces_may_stand_before_it() -> None:
    stream = Steady(POLICY, 0, 0)
    stream.parts.append(b"<?xml version='1.0'?><stream:stream>")
    assert stream.cell() == b"<stream:stream>".ljust(128)


def test_an_idle_stream_is_small() -> None:
    streams = [Steady(POLICY, 0, phase) for phase in range(2)]
    for stream in streams:
        stream.fill()
    assert streams[0].cell() is not streams[1].cell(), "what is shared is written faster than what is not"
    stream = streams[0]
    parts = [stream, stream.queue, stream.parts, stream.schedule]
    assert sum(map(sys.getsizeof, parts)) < 1_000
    stream.parts.append(b"x" * 100_000)
    while stream.waiting():
        stream.cell()
    assert sys.getsizeof(stream.queue) < 100


def test_cells_are_the_same_at_another_place() -> None:
    streams = [Steady(POLICY, 0, phase) for phase in range(3)]
    for number, stream in enumerate(streams[:2]):
        stream.parts.append(b"<a/>" * number)
        stream.fill()
    before = [stream.copied() for stream in streams]
    even(streams)
    assert [stream.waiting() for stream in streams] == [0, 4, 0]
    assert [stream.cell() for stream in streams][:2] == before[:2]
    assert before[2] == b"", "nothing was made yet: it is when its time comes"
    assert len(streams[2].cell()) == POLICY.cell


class Clockwork:
    """Streams that only say when they were served."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []
        self.maker = Pacemaker(
            lambda stream: self.told.append(("write", str(stream), self.maker.at)),
            lambda stream: self.told.append(("fill", str(stream), self.maker.at)),
        )
        self.maker.at = 0

    def add(self, name: str, phase: int, policy: Policy = POLICY) -> None:
        self.maker.add(name, Steady(policy, -1_000, phase).schedule)

    def beats(self, *slots: int) -> list[tuple[str, str, int]]:
        for slot in slots:
            self.maker.beat(slot)
        told, self.told = self.told, []
        return told


def test_who_was_filled_is_told_together() -> None:
    told: list[list[object]] = []
    maker = Pacemaker(lambda stream: None, lambda stream: None, lambda streams: told.append(list(streams)))
    maker.at = 0
    for name, phase in (("a", 2), ("b", 2), ("c", 3)):
        maker.add(name, Steady(PLAIN, -1_000, phase).schedule)
    maker.beat(1)
    maker.beat(2)
    assert told == [["a", "b"], ["c"]]


PLAIN = Policy(Profile.STEADY, tick=0.5, fast_tick=0.5, window=0.0, bulk_every=0.0)
LONG = Policy(Profile.STEADY, tick=1.0, fast_tick=1.0, window=0.0, bulk_every=0.0)


def test_all_that_are_due_are_written_in_the_order_of_their_arrival_then_the_next_are_filled() -> None:
    work = Clockwork()
    work.add("a", 6, PLAIN)
    work.add("long", 6, LONG)
    work.add("c", 7, PLAIN)
    work.add("d", 6, PLAIN)
    assert work.beats(5) == [("fill", "a", 5), ("fill", "long", 5), ("fill", "d", 5)]
    assert work.beats(6) == [("write", "a", 6), ("write", "long", 6), ("write", "d", 6), ("fill", "c", 6)]
    work.add("a", 6, PLAIN)
    # "long" was entered for 26 before the others were: the order is that of arrival all the same.
    assert work.beats(*range(7, 27))[-4:] == [
        ("write", "a", 26),
        ("write", "long", 26),
        ("write", "d", 26),
        ("fill", "c", 26),
    ]


def test_missed_slots_are_served_once() -> None:
    work = Clockwork()
    work.add("a", 3, PLAIN)
    work.add("b", 9, PLAIN)
    assert work.beats(58) == [("write", "a", 58), ("write", "b", 58), ("fill", "b", 58)]
    assert work.beats(58, 30) == []
    assert work.beats(59, 60, 61, 62, 63) == [("write", "b", 59), ("fill", "a", 62), ("write", "a", 63)]


def test_when_it_must_be_called() -> None:
    work = Clockwork()
    assert work.maker.next_at() is None
    work.add("a", 6, PLAIN)
    assert work.maker.next_at() == 5
    work.maker.beat(5)
    assert work.maker.next_at() == 6
    work.maker.remove("a")
    work.maker.remove("a")
    assert work.maker.next_at() is None
    assert len(work.maker) == 0


def test_streams_may_come_and_go_while_a_slot_is_served() -> None:
    served: list[str] = []

    def write(stream: object) -> None:
        served.append(str(stream))
        if stream == "a":
            maker.remove("b")
            maker.remove("a")
            maker.add("a", Steady(PLAIN, 0, 2).schedule)
            maker.add("z", Steady(PLAIN, 0, 2).schedule)

    maker = Pacemaker(write, lambda stream: None)
    maker.at = 0
    for name in ("a", "b", "c"):
        maker.add(name, Steady(PLAIN, 0, 1).schedule)
    maker.beat(1)
    assert served == ["a", "c"]
    maker.beat(2)
    assert served == ["a", "c", "a", "z"]
    assert len(maker) == 3
