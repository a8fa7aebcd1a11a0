from __future__ import annotations

from quietwire.shaping.bucket import Bucket, Meter, Rates


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_free_and_what_follows_waits_its_time() -> None:
    clock = Clock()
    bucket = Bucket(100, 400, clock)
    assert bucket.spend(400) == 0
    assert bucket.spend(50) == 0.5
    clock.now += 0.5
    assert bucket.spend(0) == 0
    assert bucket.spend(100) == 1.0


def test_over_a_long_time_the_rate_is_kept_whatever_the_portions() -> None:
    for portion in (1, 7, 100, 2_000):
        clock = Clock()
        bucket = Bucket(1_000, 4_000, clock)
        begun, sent = clock.now, 0
        while sent < 100_000:
            sent += portion
            clock.now += bucket.spend(portion)
        assert abs((sent - 4_000) / 1_000 - (clock.now - begun)) < 0.01 + portion / 1_000


def test_what_is_saved_up_is_a_burst_at_most() -> None:
    clock = Clock()
    bucket = Bucket(10, 40, clock)
    bucket.spend(40)
    clock.now += 86_400
    assert bucket.spend(40) == 0
    assert bucket.spend(10) == 1.0


def test_a_clock_that_goes_back_blocks_nobody() -> None:
    clock = Clock()
    bucket = Bucket(10, 40, clock)
    clock.now -= 3_600
    assert bucket.spend(30) == 0
    clock.now += 1
    assert bucket.spend(20) == 0


def test_a_meter_waits_for_the_slower_of_both() -> None:
    clock = Clock()
    meter = Meter(Rates(bytes=1_000, stanzas=10, burst_seconds=1), clock)
    assert meter.spend(1_000, 10) == 0
    assert meter.spend(500, 20) == 2.0
    clock.now += 2
    assert meter.spend(4_000, 0) == 3.0


def test_no_rate_no_limit() -> None:
    assert Rates().unlimited
    assert Meter(Rates(), Clock()).spend(10**12, 10**9) == 0
    assert Meter(Rates(stanzas=1), Clock()).spend(10**12, 1) == 0
    assert not Rates(bytes=1).unlimited
