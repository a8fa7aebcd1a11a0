"""The clock of shaped links, turned by hand; and lines under real connections in `test_stream_shaped.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from quietwire.net.pacer import BEFORE, GUARD, JitterLine, Pacer, SteadyLine, line_for
from quietwire.shaping.policy import SLOT, Policy, Profile

PLAIN = Policy(Profile.STEADY, cell=128, tick=0.2, fast_tick=0.2, window=0.0, bulk_every=0.0)


class Clock:
    """An event loop of one clock and its timers. `busy` seconds pass before each call."""

    def __init__(self) -> None:
        self.now = 100.0
        self.busy = 0.0
        self.calls: list[tuple[float, int, Callable[[], None]]] = []
        self.slept: list[float] = []
        self._number = 0

    def call_later(self, delay: float, call: Callable[..., None], *arguments: Any) -> Any:
        self._number += 1
        entry = (self.now + delay, self._number, lambda: call(*arguments))
        self.calls.append(entry)
        clock = self

        class Handle:
            def cancel(self) -> None:
                if entry in clock.calls:
                    clock.calls.remove(entry)

        return Handle()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def run(self, until: float) -> None:
        while self.calls and min(self.calls)[0] <= until:
            entry = min(self.calls)
            self.calls.remove(entry)
            self.now = max(self.now, entry[0]) + self.busy
            entry[2]()
        self.now = max(self.now, until)


class Peer:
    """Implements `pacer.Host`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.wire: list[tuple[float, bytes]] = []
        self.told: list[str] = []
        self.stalled = self.broken = False
        self.line: Any = None
        self.more: list[bytes] = []

    def write(self, data: bytes) -> None:
        if self.broken:
            raise RuntimeError("closed")
        self.wire.append((round(self._clock.now, 3), data))

    def clear(self) -> bool:
        return not self.stalled

    def drained(self) -> None:
        self.told.append("drained")

    def roomy(self) -> None:
        if self.more:
            self.line.outbox.parts.append(self.more.pop(0))

    def end(self) -> None:
        self.told.append("end")

    def abort(self) -> None:
        self.told.append("abort")
        self.line.stop()

    def put(self, data: bytes) -> None:
        self.line.outbox.parts.append(data)
        self.line.admit()

    @property
    def text(self) -> bytes:
        return b"".join(data for _, data in self.wire).replace(b" ", b"")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def world(clock: Clock, *policies: Policy) -> tuple[Pacer, list[Peer]]:
    pacer = Pacer(clock, lambda: clock.now, clock.sleep)  # type: ignore[arg-type]
    peers = []
    for policy in policies:
        peer = Peer(clock)
        peer.line = line_for(pacer, policy, peer)
        peers.append(peer)
    return pacer, peers


def test_profiles_without_time_have_no_line(clock: Clock) -> None:
    pacer, _ = world(clock)
    peer = Peer(clock)
    assert line_for(pacer, Policy(), peer) is None
    assert line_for(pacer, Policy(Profile.PADDED), peer) is None
    assert not clock.calls


def test_one_cell_a_tick_on_the_slots_of_the_clock(clock: Clock) -> None:
    pacer, (one, two) = world(clock, PLAIN, PLAIN)
    one.put(b"<hello/>")
    clock.run(102.0)
    for peer in (one, two):
        times = [at for at, _ in peer.wire]
        assert len(times) in (9, 10)
        assert all(abs(at / SLOT - round(at / SLOT)) < 1e-3 for at in times)
        assert {round(later - at, 3) for at, later in pairwise(times)} == {0.2}
        assert {len(data) for _, data in peer.wire} == {128}
    assert one.text == b"<hello/>"
    assert two.text == b""
    assert pacer.cells == len(one.wire) + len(two.wire)
    assert pacer.links == 2
    assert pacer.late == 0


def test_the_loop_sleeps_until_the_slot_begins(clock: Clock) -> None:
    clock.busy = GUARD / 2
    _, (peer,) = world(clock, PLAIN)
    clock.run(101.0)
    assert all(abs(at / SLOT - round(at / SLOT)) < 1e-3 for at, _ in peer.wire)
    assert clock.slept
    assert max(clock.slept) <= GUARD


def test_a_machine_that_slept_sends_no_burst(clock: Clock) -> None:
    pacer, (peer,) = world(clock, PLAIN)
    clock.run(100.5)
    before = len(peer.wire)
    clock.now += 60.0
    clock.run(clock.now)
    assert len(peer.wire) - before in (1, 2)  # one that is late, and its tick if that is now
    assert pacer.late > 1_000


def test_a_stalled_socket_is_skipped_and_loses_nothing(clock: Clock) -> None:
    pacer, (one, two) = world(clock, PLAIN, PLAIN)
    one.put(b"<first/>")
    one.stalled = True
    clock.run(101.0)
    one.put(b"<second/>")
    assert one.wire == []
    assert pacer.stalled > 3
    assert len(two.wire) > 3
    one.stalled = False
    clock.run(102.0)
    assert one.text == b"<first/><second/>"


def test_when_everything_is_written_it_is_told_and_more_is_fetched(clock: Clock) -> None:
    _, (peer,) = world(clock, PLAIN)
    peer.more = [b"<%d/>" % number for number in range(3)]
    clock.run(102.0)
    assert peer.text == b"<0/><1/><2/>"
    assert "drained" in peer.told
    peer.told.clear()
    peer.put(b"<x>" + b"y" * 300 + b"</x>")
    assert peer.line.space() < 0
    assert peer.line.waiting() == 307
    clock.run(102.3)
    assert "drained" not in peer.told
    clock.run(103.5)
    assert "drained" in peer.told


def test_the_end_comes_with_the_last_cell(clock: Clock) -> None:
    pacer, (peer,) = world(clock, PLAIN)
    peer.put(b"z" * 300 + b"</stream:stream>")
    peer.line.finish()
    clock.run(110.0)
    assert len(peer.wire) == 3
    assert peer.told[-1] == "end"
    assert pacer.links == 0
    assert not clock.calls
    assert peer.line.patience() == 0.2


def test_one_that_breaks_silences_nobody(clock: Clock) -> None:
    pacer, (one, two) = world(clock, PLAIN, PLAIN)
    one.broken = True
    clock.run(101.0)
    assert one.told[-1] == "abort"
    assert len(two.wire) > 3
    assert pacer.links == 1


def test_what_was_not_written_is_given_back(clock: Clock) -> None:
    pacer, (peer,) = world(clock, PLAIN)
    peer.put(b"<a/>")
    assert peer.line.stop() == b"<a/>"
    assert pacer.links == 0
    assert not clock.calls


def test_a_welcome_opens_the_next_window(clock: Clock) -> None:
    policy = Policy(Profile.STEADY, cell=128, tick=1.0, fast_tick=0.1, window=2.0, bulk_every=0.0)
    _, (peer,) = world(clock, policy)
    clock.run(102.98)
    assert len(peer.wire) in range(20, 23)  # the connection's own window, then one a tick
    peer.wire.clear()
    peer.line.welcome()
    clock.run(103.98)
    assert len(peer.wire) == 1
    peer.wire.clear()
    clock.run(105.98)
    assert len(peer.wire) in range(19, 22)


JITTER = Policy(Profile.JITTER, delay=0.3)


def test_jitter_delays_and_keeps_order(clock: Clock) -> None:
    pacer, (peer,) = world(clock, JITTER)
    for number in range(20):
        peer.put(b"<%d/>" % number)
        clock.run(clock.now + 0.05)
    clock.run(clock.now + 0.3)
    assert peer.text == b"".join(b"<%d/>" % number for number in range(20))
    assert peer.line.waiting() == 0
    assert "drained" in peer.told
    assert not peer.line.paced
    assert peer.line.space() > 1 << 20
    assert pacer.jittered == 1
    peer.put(b"<last/>")
    peer.line.finish()
    clock.run(clock.now + 0.3)
    assert peer.told[-1] == "end"
    assert isinstance(peer.line, JitterLine)


def test_garbage_among_what_is_said(clock: Clock) -> None:
    _, (peer,) = world(clock, replace(JITTER, garbage=0.5))
    said = b""
    for number in range(40):
        clock.run(clock.now + 0.7)
        peer.put(b"<%d/>" % number)
        said += b"<%d/>" % number
        assert peer.line.waiting() == len(b"<%d/>" % number)
    clock.run(clock.now + 5)
    assert peer.text.replace(b" ", b"") == said
    assert len(peer.wire) > 60
    assert peer.line.waiting() == 0
    peer.put(b"<last/>")
    peer.line.finish()
    clock.run(clock.now + 0.3)
    assert peer.told[-1] == "end"
    assert not clock.calls, "nothing comes after the end"
    _, (peer,) = world(clock, replace(JITTER, garbage=0.5))
    peer.line.stop()
    assert not clock.calls


def test_jitter_gives_back_what_waits(clock: Clock) -> None:
    pacer, (peer,) = world(clock, JITTER)
    peer.line.welcome()
    peer.put(b"<a/>")
    peer.line.outbox.parts.append(b"<b/>")
    assert peer.line.stop() == b"<a/><b/>"
    assert not clock.calls
    assert pacer.jittered == 0
    peer.line = JitterLine(pacer, JITTER, peer)
    peer.line.finish()
    assert peer.told == ["end"]
    assert peer.line.patience() == 0.3


def test_all_links_of_a_process_lie_in_one_band_of_the_tick(clock: Clock) -> None:
    policy = Policy(Profile.STEADY, cell=128, tick=2.4, fast_tick=0.3, window=3.0, bulk_every=0.0)
    places = []
    for _ in range(8):
        _, peers = world(clock, *[policy] * 40)
        clock.run(clock.now + 20.0)
        slots = [[round(at / SLOT) for at, _ in peer.wire] for peer in peers]
        first = min(slot[-1] for slot in slots)
        later = {(slot[-1] - first) % 48 for slot in slots}
        begin = next(each for each in later if (each - 1) % 48 not in later)
        assert {(each - begin) % 48 for each in later} <= set(range(policy.band()))
        assert len({slot[0] % 6 for slot in slots}) > 3, "in windows over all of the fast tick"
        places.append((first + begin) % 48)
    assert len(set(places)) > 1, "of each process elsewhere"


def test_the_turn_of_paced_peers_comes_before_all_cells_are_made(clock: Clock) -> None:
    policy = Policy(Profile.STEADY, cell=128, tick=2.0, fast_tick=0.2, window=0.0, bulk_every=0.0)
    _, peers = world(clock, *[policy] * 40)
    clock.run(clock.now + 10.0)
    turns = {round((clock.now + peer.line.turn()) / SLOT) for peer in peers}
    assert len(turns) == 1, "one for all"
    turn = turns.pop()
    cells = {(round(peer.wire[-1][0] / SLOT) - turn) % 40 for peer in peers}
    assert cells == set(range(BEFORE, BEFORE + policy.band()))


def test_lines_know_whether_they_are_paced(clock: Clock) -> None:
    _, (peer,) = world(clock, PLAIN)
    assert peer.line.paced
    assert isinstance(peer.line, SteadyLine)
