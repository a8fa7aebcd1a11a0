"""Links that are changed afterwards are as the defence would have made them, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from tests.lab.attack_worlds import EPOCH, place

from quietwire.lab.attacks.data import Data
from quietwire.lab.attacks.told import Told
from quietwire.lab.attacks.windows import labels, spans
from quietwire.lab.study.defences import OVERHEAD, Defence, Price, defended

ROWS = [(EPOCH + at, "message", 1, 40) for at in (10.0, 20.0, 30.0)] + [(EPOCH + 20.5, "receipt", -1, 0)]
RECORDS = [(EPOCH, 117, 1), *((EPOCH + at + 0.001, 317, 1) for at in (10.0, 20.0, 30.0)), (EPOCH + 20.49, 217, -1)]
ONE = Data("prosody", Told(), (place(0, ROWS, RECORDS),))


def changed(defence: Defence, data: Data = ONE) -> tuple[Data, Price]:
    return defended(data, defence, "prosody with it", seed=3)


def test_nothing_changes_nothing() -> None:
    made, price = changed(Defence())
    assert np.array_equal(made.places[0].flow.times, ONE.places[0].flow.times)
    assert np.array_equal(made.places[0].flow.sizes, ONE.places[0].flow.sizes)
    assert price == Price(0.0, 0.0, 0.0)
    assert (made.system, made.simulated, made.told) == ("prosody with it", True, Told(delay=0.0))


def test_padding_fills_blocks_as_tls_does() -> None:
    made, price = changed(Defence(block=512))
    assert set(made.places[0].flow.sizes.tolist()) == {512 + OVERHEAD - 1}
    assert price.bytes == pytest.approx(5 * 528 / (117 + 3 * 317 + 217) - 1)
    assert made.told.up == "padded"


@pytest.mark.parametrize("defence", [Defence(delay=0.3), Defence(batch=0.3), Defence(delay=0.3, batch=0.3)])
def test_what_waits_keeps_its_order_its_bytes_and_its_name(defence: Defence) -> None:
    generator = np.random.default_rng(1)
    records = [(EPOCH + float(at), int(size), int(way)) for at, size, way in zip(
        np.sort(generator.random(400) * 60), generator.integers(50, 900, 400), generator.choice((1, -1), 400),
        strict=True)]  # fmt: skip
    busy = Data("prosody", Told(), (place(0, [], records),))
    made, price = changed(defence, busy)
    flow, old = made.places[0].flow, busy.places[0].flow
    assert (np.diff(flow.times) >= 0).all()
    for way in (1, -1):
        text = [(each.sizes[each.ways == way] - OVERHEAD).sum() for each in (flow, old)]
        assert text[0] == text[1]
    if defence.batch:
        assert np.allclose(flow.times / defence.batch, np.round(flow.times / defence.batch))
    assert 0.1 < price.p50 < price.p95 < 2 * (defence.delay + defence.batch)
    made, _ = changed(defence)
    link = made.places[0]
    where = spans(link.flow, made.told, np.random.default_rng(1))
    found, _ = labels(link.flow, where, link.happened, made.told)
    assert [name for name in found if name != "nothing"].count("message up") == 3


def test_an_answer_never_leaves_before_what_it_answers() -> None:
    records = [(EPOCH + 2 * number, 200, 1) for number in range(50)]
    records += [(EPOCH + 2 * number + 0.01, 100, -1) for number in range(50)]
    made, _ = changed(Defence(delay=0.3), Data("prosody", Told(), (place(0, [], records),)))
    flow = made.places[0].flow
    assert (flow.times[flow.ways < 0] >= flow.times[flow.ways > 0]).all()


def test_garbage_is_as_long_as_what_is_meant() -> None:
    records = [(EPOCH + number, 100 + number % 3, 1) for number in range(400)]
    made, price = changed(Defence(garbage=1.0), Data("prosody", Told(), (place(0, [], records),)))
    flow = made.places[0].flow
    assert 700 < len(flow) < 900
    assert set(flow.sizes.tolist()) == {100, 101, 102}
    assert 0.8 < price.bytes < 1.2


def test_the_webs_links_are_left_alone() -> None:
    web = place(0, ROWS, RECORDS)
    web = type(web)(web.flow, web.happened, web.user, web=True)
    made, _ = changed(Defence(block=512, delay=0.3), Data("prosody", Told(), (web,)))
    assert made.places[0] is web
