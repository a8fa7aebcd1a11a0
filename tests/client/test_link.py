"""The client's link on a clock of its own: what leaves when, what a queue holds back, and what a watcher sees of it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quietwire.client.errors import LinkError
from quietwire.client.link import HEARD, ROUNDS, Link, Ticks, lead, uplink
from quietwire.shaping.frames import Unpacker, pack
from quietwire.shaping.policy import SLOT, Policy, Profile

STEADY = uplink(Policy(Profile.STEADY))


class Handle:
    def __init__(self, call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.call = call
        self.arguments = arguments
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """The parts of an event loop that a link uses. Time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._queue: list[tuple[float, int, Handle]] = []
        self._numbers = count()

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[..., None], *arguments: Any) -> Handle:
        handle = Handle(call, arguments)
        heapq.heappush(self._queue, (at, next(self._numbers), handle))
        return handle

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> Handle:
        return self.call_at(self.now, call, *arguments)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            at, _, handle = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            if not handle.cancelled:
                handle.call(*handle.arguments)
        self.now = end


class Wire(asyncio.Transport):
    """What is under the link: keeps what is written, and when."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.loop = loop
        self.writes: list[tuple[float, bytes]] = []
        self.stalled = 0
        self.calls: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append((round(self.loop.now, 6), bytes(data)))

    def get_write_buffer_size(self) -> int:
        return self.stalled

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return name

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def made(policy: Policy) -> tuple[Link, Wire, Loop]:
    loop = Loop()
    wire = Wire(loop)
    return Link(wire, policy, loop, lambda below: below - 1), wire, loop  # type: ignore[arg-type]


def said(wire: Wire) -> bytes:
    return b"".join(data for _, data in wire.writes)


def slots(wire: Wire) -> list[int]:
    return [round(at / SLOT) for at, _ in wire.writes]


def test_steady_writes_one_cell_a_tick_and_faster_in_the_window() -> None:
    _, wire, loop = made(STEADY)
    loop.run(60)
    assert {len(data) for _, data in wire.writes} == {STEADY.cell}
    assert all(abs(at / SLOT - round(at / SLOT)) < 1e-6 for at, _ in wire.writes)
    gaps = [b - a for a, b in zip(slots(wire), slots(wire)[1:], strict=False)]
    fast, slow = round(STEADY.fast_tick / SLOT), round(STEADY.tick / SLOT)
    begin = gaps.index(slow)
    assert set(gaps[: begin - 1]) == {fast}
    assert set(gaps[begin:]) == {slow}
    assert abs(begin * STEADY.fast_tick - STEADY.window) <= STEADY.tick


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 9000)), max_size=12))
def test_nothing_that_is_said_moves_or_sizes_a_cell(put: list[tuple[float, int]]) -> None:
    spoken, wire, loop = made(STEADY)
    _, other, clock = made(STEADY)
    expected = b""
    for at, size in sorted(put):
        loop.run(max(0.0, 1000.0 + at - loop.now))
        stanza = b"<" + b"m" * size + b"/>"
        expected += stanza
        spoken.write(stanza)
    loop.run(1100 - loop.now)
    clock.run(100)
    assert [(at, len(data)) for at, data in wire.writes] == [(at, len(data)) for at, data in other.writes]
    loop.run(1000)
    assert said(wire).replace(b" ", b"") == expected


def test_order_and_marks() -> None:
    link, wire, loop = made(STEADY)
    reached: list[int] = []
    for number in range(40):
        link.write(b"<%d>" % number + b"x" * 200 + b"</>")
        link.when_written(lambda number=number: reached.append(number))  # type: ignore[misc]
    assert reached == []
    assert link.waiting() == sum(len(b"<%d>" % number) + 203 for number in range(40))
    loop.run(1.2)
    assert reached
    assert reached == list(range(len(reached)))
    assert len(reached) < 40
    loop.run(20)
    assert reached == list(range(40))
    assert link.waiting() == 0
    text = said(wire)
    assert [text.index(b"<%d>" % number) for number in range(40)] == sorted(
        text.index(b"<%d>" % number) for number in range(40)
    )
    link.when_written(lambda: reached.append(99))
    assert reached[-1] == 99


def test_a_full_queue_pushes_back_and_lets_go() -> None:
    async def run() -> None:
        link, _, loop = made(uplink(Policy(Profile.STEADY, queue=5000)))
        await link.room()
        link.write(b"x" * 4000)
        await link.room()
        waiting = asyncio.ensure_future(link.room(1000))
        await asyncio.sleep(0)
        assert not waiting.done()
        loop.run(3)
        await waiting
        link.write(b"x" * 9000)
        waiting = asyncio.ensure_future(link.room())
        await asyncio.sleep(0)
        link.over()
        await waiting  # there is a limit of its own for what waits without a link
        await link.room()

    asyncio.run(run())


def test_a_stalled_socket_is_skipped_and_nothing_is_lost() -> None:
    link, wire, loop = made(STEADY)
    loop.run(2)
    before = len(wire.writes)
    wire.stalled = 1
    link.write(b"<a/>")
    loop.run(10)
    assert len(wire.writes) == before
    wire.stalled = 0
    loop.run(2 * STEADY.fast_tick)
    assert len(wire.writes) in (before + 1, before + 2)  # no burst
    assert said(wire).strip() == b"<a/>"


def test_a_loop_that_is_early_or_late_gets_one_cell() -> None:
    link, wire, loop = made(STEADY)
    loop.run(2)
    due = slots(wire)[-1] + round(STEADY.fast_tick / SLOT)
    before = len(wire.writes)
    assert link._timer is not None
    link._timer.cancel()
    loop.now = due * SLOT - 1e-9
    link._cell(due)
    loop.run(0.2)
    assert len(wire.writes) == before + 1
    assert link._timer is not None
    link._timer.cancel()
    loop.now += 9.0  # asleep
    link._cell(due + 10)
    assert len(wire.writes) == before + 2


def test_padded() -> None:
    link, wire, loop = made(Policy(Profile.PADDED, block=256))
    reached: list[int] = []
    link.write(b"<a/>")
    link.write(b"<b/>")
    link.when_written(lambda: reached.append(1))
    assert not wire.writes
    loop.run(0)
    assert [data for _, data in wire.writes] == [b"<a/><b/>".ljust(256)]
    assert reached == [1]
    assert link.waiting() == 0


def test_jitter_keeps_order_and_its_bound() -> None:
    link, wire, loop = made(Policy(Profile.JITTER))
    expected = b""
    times: list[float] = []
    link_put: list[float] = []
    for number in range(50):
        link.write(b"<%d/>" % number)
        expected += b"<%d/>" % number
        link_put.append(loop.now)
        link.when_written(lambda: times.append(loop.now))
        loop.run(0.05)
    loop.run(1)
    assert said(wire) == expected
    assert all(0 <= left - put <= 0.3 + 1e-6 for put, left in zip(link_put, times, strict=True))
    assert len({round(left - put, 3) for put, left in zip(link_put, times, strict=True)}) > 5
    assert link.waiting() == 0


def test_garbage_and_whole_blocks() -> None:
    link, wire, loop = made(Policy(Profile.JITTER, pad=True, garbage=1.0, block=128))
    reached: list[int] = []
    for number in range(20):
        link.write(b"<%d/>" % number)
        link.when_written(lambda number=number: reached.append(number))  # type: ignore[misc]
        loop.run(1.0)
    assert said(wire).replace(b" ", b"") == b"".join(b"<%d/>" % number for number in range(20))
    assert all(len(data) % 128 == 0 for _, data in wire.writes)
    assert any(data.isspace() for _, data in wire.writes)
    assert reached == list(range(20))
    assert link.waiting() == 0
    link.close()
    written = len(wire.writes)
    loop.run(10.0)
    assert len(wire.writes) == written


def test_what_passes_through() -> None:
    link, wire, loop = made(STEADY)
    assert link.get_extra_info("ssl_object") == "ssl_object"
    link.pause_reading()
    link.resume_reading()
    link.write(b"abc")
    assert link.get_write_buffer_size() == 3
    assert not link.is_closing()
    link.close()
    assert link.is_closing()
    link.abort()
    assert wire.calls == ["pause", "resume", "close", "abort"]
    link.write(b"late")
    link.when_written(lambda: pytest.fail("was never written"))
    written = len(wire.writes)
    loop.run(10)
    assert len(wire.writes) == written


def test_nothing_leaves_and_nothing_is_confirmed_after_the_end() -> None:
    for policy in (STEADY, Policy(Profile.JITTER), Policy(Profile.PADDED)):
        link, wire, loop = made(policy)
        link.write(b"<a/>")
        link.when_written(lambda: pytest.fail("was never written"))
        link.over()
        loop.run(10)
        assert not wire.writes


def test_uplinks_stay_under_the_rates_of_stock_servers() -> None:
    assert uplink(Policy()) == Policy()
    _, wire, loop = made(STEADY)
    loop.run(30)
    assert sum(len(data) + 22 for _, data in wire.writes) / 30 < 3000
    assert Policy.slots(STEADY.tick) % Policy.slots(STEADY.fast_tick) == 0
    for tick, fast in ((30.0, 0.5), (3.0, 0.05), (1.5, 0.3), (2.2, 0.2)):
        policy = uplink(Policy(Profile.STEADY, tick=tick, fast_tick=fast))
        assert policy.cell / policy.fast_tick < 3000
    with pytest.raises(LinkError, match="more than servers take"):
        uplink(Policy(Profile.STEADY, cell=4094, tick=0.4))


def test_delay() -> None:
    link, _, _ = made(STEADY)
    assert link.delay() == pytest.approx(4 * STEADY.tick)
    link.write(b"x" * STEADY.cell)
    assert link.delay() == pytest.approx(5 * STEADY.tick)
    assert made(Policy(Profile.PADDED))[0].delay() == 0
    assert made(Policy(Profile.JITTER, batch=0.2))[0].delay() == pytest.approx(1.0)


def test_what_can_wait_waits_for_a_window() -> None:
    async def run() -> None:
        link, _, loop = made(STEADY)
        await link.window()  # the first is open
        loop.run(40)
        waiting = asyncio.ensure_future(link.window())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        assert link._steady is not None
        assert link._steady.schedule.opens(link._slot()) == round((1000 + STEADY.bulk_every) / SLOT)
        await made(Policy(Profile.PADDED))[0].window()

    asyncio.run(run())


def test_long_work_begins_after_a_cell_and_not_before_it() -> None:
    async def run() -> None:
        link, wire, loop = made(STEADY)
        loop.run(40)
        last, _ = wire.writes[-1]
        loop.run(last + STEADY.tick - 1.0 - loop.now)
        await link.calm()  # a second is enough
        loop.run(0.85)
        working = asyncio.ensure_future(link.calm())
        await asyncio.sleep(0)
        assert not working.done()
        before = len(wire.writes)
        loop.run(0.2)
        await working
        assert len(wire.writes) == before + 1
        loop.run(STEADY.tick - 0.1)
        working = asyncio.ensure_future(link.calm())
        await asyncio.sleep(0)
        link.over()
        await working
        await made(Policy(Profile.PADDED))[0].calm()

    asyncio.run(run())


def test_our_ticks_go_before_the_servers() -> None:
    link, wire, loop = made(STEADY)
    link.follow()
    server = 1.3  # seconds into each tick
    loop.run((server - loop.now) % STEADY.tick)
    for _ in range(60):
        link.heard()
        loop.run(STEADY.tick)
    last, _ = wire.writes[-1]
    assert (server - last) % STEADY.tick == pytest.approx(lead(STEADY), abs=SLOT)
    assert lead(STEADY) == pytest.approx(0.4)
    assert len({len(data) for _, data in wire.writes}) == 1


def test_arrivals_that_are_no_ticks_move_nothing() -> None:
    regular, crowd, silence, late = (Ticks(3.0, 10.0) for _ in range(4))
    for number in range(30):
        regular.arrived(0.05 + number * 3.0)
        late.arrived(0.05 + number * 3.0 + 0.5 * (number % 4 == 0))
        for more in range(5):
            crowd.arrived(number * 3.0 + more * 0.6)
    assert regular.place(11.0) is None
    assert regular.place(10.0 + HEARD * 3.0) == pytest.approx(0.05)
    assert regular.place(100.0) is None  # once
    assert late.place(100.0) == pytest.approx(0.05)
    assert crowd.place(100.0) is None
    assert silence.place(100.0) is None


def test_ticks_that_a_busy_machine_blurred_are_listened_to_again() -> None:
    ticks = Ticks(3.0, 0.0)
    for number in range(HEARD):
        ticks.arrived(number * 3.0 + 0.7 * (number % 4))
    assert ticks.place(HEARD * 3.0) is None
    for number in range(HEARD, 2 * HEARD):
        ticks.arrived(number * 3.0 + 0.05)
    assert ticks.place(HEARD * 3.0 + 1.0) is None
    assert ticks.place(2 * HEARD * 3.0) == pytest.approx(0.05)
    assert ticks.place(900.0) is None  # once


def test_it_is_not_listened_for_ever() -> None:
    ticks = Ticks(3.0, 0.0)
    for number in range(ROUNDS):
        assert ticks.place((number + 1) * HEARD * 3.0) is None
    begun = ROUNDS * HEARD
    for number in range(begun, begun + HEARD):
        ticks.arrived(number * 3.0 + 0.05)
    assert ticks.place((begun + HEARD) * 3.0) is None


def test_a_place_at_the_ends_of_the_tick_is_one_place() -> None:
    ticks = Ticks(3.0, 0.0)
    for number, off in enumerate((-0.04, 0.03, -0.02, 0.05, 0.0, 0.02, -0.03, 0.01, -0.01)):
        ticks.arrived(number * 3.0 + abs(off) if number == 0 else number * 3.0 + off)
    place = ticks.place(HEARD * 3.0)
    assert place is not None
    assert min(place, 3.0 - place) <= 0.05


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12))
def test_what_is_packed_is_counted_as_it_is_written(sizes: list[int]) -> None:
    link, wire, loop = made(STEADY)
    link.pack()
    confirmed: list[int] = []
    said = [b"<message id='%d'>" % number + b"y" * size + b"</message>" for number, size in enumerate(sizes)]
    for number, data in enumerate(said):
        link.write(data)
        link.when_written(lambda number=number: confirmed.append(number))  # type: ignore[misc]
    assert link.waiting() == sum(len(pack(data)) for data in said)
    for _ in range(200):
        loop.run(0.5)
        got = b"".join(piece for piece, _ in Unpacker().feed(b"".join(data for _, data in wire.writes)))
        assert all(data in got for data in said[: len(confirmed)])
    assert confirmed == list(range(len(said)))
    assert link.waiting() == 0
    assert got.replace(b"  ", b"").rstrip(b" ") == b"".join(said)
    assert {len(data) for _, data in wire.writes} == {STEADY.cell}


def test_packed_on_steady_links_alone() -> None:
    said = b"<message to='ben@b.example' type='chat' id='1'/>"
    for policy in (Policy(Profile.PADDED), Policy(Profile.JITTER)):
        link, wire, loop = made(policy)
        link.pack()
        link.write(said)
        loop.run(1)
        assert said in b"".join(data for _, data in wire.writes)
