"""An archive somebody has tampered with: what is missing, foreign, old or damaged is found, and the rest is read."""

from __future__ import annotations

import pytest
from archive_world import ALICE, DAY, NOW, ROOM, Archived, run
from sealed_world import MALLORY, World

from quietwire.core.errors import StanzaError
from quietwire.seal import pages
from quietwire.server import archive_fold
from quietwire.server.archive_index import Query
from quietwire.server.archive_shelf import TABLE


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_HEADERS", 5)
    monkeypatch.setattr(archive_fold, "FULL", 150)


def folded(count: int = 20) -> Archived:
    here = Archived(World().make(ALICE, MALLORY)).unlock()
    here.each(*map(str, range(count)))
    return here.lock()


def opened(here: Archived) -> list[str]:
    here.archive.release(ALICE)
    return here.unlock().all()


def damaged(row: bytes) -> bytes:
    return row[:-1] + bytes((row[-1] ^ 1,))


@pytest.mark.usefixtures("small")
def test_a_damaged_or_missing_segment_is_reported_and_the_rest_is_there() -> None:
    for change in (damaged, lambda row: None):
        here = folded()
        dummies = _dummies(here)
        key, row = next((key, row) for key, row in here.rows(b"s").items() if key not in dummies)
        here.world.set(TABLE, ALICE, key, change(row))
        texts = opened(here)
        assert 10 < len(texts) < 20
        assert texts == [text for text in map(str, range(20)) if text in texts]
        assert here.isolated == 1
        here.each("20")
        run(here.archive.fold(ALICE))
        assert here.all() == [*texts, "20"]
        assert here.isolated == 1


@pytest.mark.usefixtures("small")
def test_a_damaged_or_missing_page_is_reported_and_the_rest_is_there() -> None:
    for change in (damaged, lambda row: None):
        here = folded()
        dummies = _dummies(here)
        key, row = next((key, row) for key, row in here.rows(b"p").items() if key not in dummies)
        here.world.set(TABLE, ALICE, key, change(row))
        texts = opened(here)
        assert len(texts) == 15
        assert here.isolated == 1


def _dummies(here: Archived) -> list[bytes]:
    here.unlock()
    index = run(here.archive.index(ALICE))
    here.lock()
    return list(index.catalogue.dummies)


def test_a_damaged_or_missing_batch_is_reported_when_it_is_folded() -> None:
    for change in (damaged, lambda row: None):
        here = Archived(World().make(ALICE))
        here.each("0", "1", "2")
        rows = here.rows(b"a")
        here.unlock()
        lost = next(key for key, row in rows.items() if b">1<" in here.world.seals.open(TABLE, ALICE, key, row))
        here.world.set(TABLE, ALICE, lost, change(rows[lost]))
        assert here.all() == ["0", "2"]
        run(here.archive.fold(ALICE))
        assert here.all() == ["0", "2"]
        assert here.isolated == 1


def test_the_newest_batches_are_missed_by_nobody() -> None:
    here = Archived()
    here.each("0", "1")
    before = here.rows(b"a")
    here.each("2")
    (last,) = here.rows(b"a").keys() - before.keys()
    here.world.set(TABLE, ALICE, last, None)
    assert here.unlock().all() == ["0", "1"]
    run(here.archive.fold(ALICE))
    assert here.isolated == 0, "as the page on formats declares"


def test_a_batch_that_was_folded_and_is_put_back_is_not_read_again() -> None:
    here = Archived()
    here.each("0", "1")
    before = here.rows(b"a")
    here.unlock()
    run(here.archive.fold(ALICE))
    here.lock()
    for key, row in before.items():
        here.world.set(TABLE, ALICE, key, row)
    assert opened(here) == ["0", "1"]
    assert here.isolated == 2
    run(here.archive.fold(ALICE))
    assert here.all() == ["0", "1"]
    restarted = here.lock().restart()
    assert restarted.unlock().all() == ["0", "1"]


@pytest.mark.parametrize("row", [None, b"damaged"])
def test_the_count_of_starts_can_be_lost_and_no_archive_takes_new_messages_for_old_ones(row: bytes | None) -> None:
    before = Archived().unlock()
    for _ in range(3):
        before = before.lock().restart().unlock()
        before.each("a", "b")
        run(before.archive.fold(ALICE))
    world = before.lock().world
    (key,) = world.rows("preference", b"a.example")
    world.set("preference", b"a.example", key, row)
    after = before.restart()
    after.each("c", "d")
    after.unlock()
    assert after.all() == ["a", "b"] * 3 + ["c", "d"]
    run(after.archive.fold(ALICE))
    assert after.lock().restart().unlock().all() == ["a", "b"] * 3 + ["c", "d"]


def test_rows_of_another_account_open_in_neither() -> None:
    here = folded(3)
    for key, row in here.rows().items():
        here.world.set(TABLE, MALLORY, key, row)
    here.unlock(MALLORY)
    assert here.all(MALLORY) == []
    assert here.isolated > 0


def test_an_older_page_put_back_is_found() -> None:
    here = folded(3)
    old = here.rows()
    here.unlock()
    here.each("3")
    here.lock()
    for key, row in old.items():
        here.world.set(TABLE, ALICE, key, row)
    assert opened(here) == ["0", "1", "2", "3"]
    assert here.isolated > 0


def test_all_rows_put_back_with_a_newer_catalogue_are_found() -> None:
    here = folded(3)
    old = here.rows()
    here.unlock()
    here.each("3")
    here.lock()
    for key in here.rows():
        here.world.set(TABLE, ALICE, key, None)
    for key, row in old.items():
        here.world.set(TABLE, ALICE, key, row)
    opened(here)
    assert here.isolated > 0


@pytest.mark.usefixtures("small")
def test_a_room_whose_catalogue_is_lost_is_read_from_its_pages() -> None:
    for change in (damaged, lambda row: None):
        here = Archived()
        here.each(*map(str, range(20)), owner=ROOM)
        run(here.archive.fold(ROOM))
        ((key, row),) = here.rows(b"C", ROOM).items()
        here.world.set(TABLE, ROOM, key, change(row))
        here.archive.release(ROOM)
        assert here.all(ROOM) == list(map(str, range(20)))
        assert here.isolated > 0
        here.each("20", owner=ROOM)
        run(here.archive.fold(ROOM))
        here.archive.release(ROOM)
        assert here.all(ROOM) == list(map(str, range(21)))


def test_months_that_were_swept_while_the_owner_was_away_are_not_missed() -> None:
    here = Archived().unlock()
    for month in range(4):
        here.say(str(month), NOW + 31 * DAY * month)
    here.world.storage.commit()
    here.lock()
    here.say("4", NOW + 31 * DAY * 3)
    here.world.storage.commit()
    here = here.restart()
    run(here.archive.sweep(NOW + 31 * DAY * 2))
    here.world.storage.commit()
    assert len({key[1:3] for key in here.rows()}) == 2
    here = here.restart()
    assert here.unlock().all() == ["2", "3", "4"]
    run(here.archive.fold(ALICE))
    assert here.isolated == 0


def test_a_rooms_months_are_swept_apart() -> None:
    here = Archived()
    here.each("a")
    here.each("r", owner=ROOM)
    run(here.archive.sweep(NOW + 40 * DAY, rooms=True))
    assert here.rows(owner=ROOM) == {}
    assert len(here.rows()) == 1


def test_who_is_away_gets_what_fits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Archived()
    here.archive.bytes = 20_000
    for number in range(300):
        here.each(f"{number}" + "x" * 200)
    rows = here.rows()
    size = sum(map(len, rows.values()))
    assert 20_000 < size < 40_000
    here.each("one more")
    assert here.rows() == rows
    here.unlock()
    run(here.archive.fold(ALICE))
    here.each("welcome")
    texts = here.all()
    assert texts[-1] == "welcome"
    assert sum(map(len, texts)) < 20_000


def test_nothing_is_asked_of_a_locked_archive() -> None:
    here = folded(2)
    for ask in (
        here.archive.query(ALICE, Query()),
        here.archive.ends(ALICE),
        here.archive.fold(ALICE),
        here.archive.settle(ALICE, lambda with_: True),
    ):
        here.each("2")
        with pytest.raises(StanzaError):
            run(ask)


def test_no_text_nor_name_is_on_the_disk() -> None:
    here = Archived().unlock()
    here.each("canary-text")
    here.say("canary-text", with_="canary@b.example")
    here.each("canary-text", owner=ROOM)
    for _ in range(2):
        everything = repr(here.world.storage._durable.rows).encode()
        for word in (b"canary", b"b.example", b"alice", b"rooms.a"):
            assert word not in everything
        run(here.archive.fold(ALICE))
        run(here.archive.fold(ROOM))
        here.world.storage.commit()


def test_an_account_that_nobody_has_logged_in_to_gets_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Archived(World())
    here.each("0", "1")
    here.world.make(ALICE)
    here.each("2")
    assert here.unlock().all() == ["0", "1", "2"]
    run(here.archive.fold(ALICE))
    assert here.all() == ["0", "1", "2"]


def test_batches_grow_with_what_comes_in_one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Archived().unlock()
    for number in range(2_000):
        here.say(f"{number}" + "x" * 100)
    here.world.storage.commit()
    run(here.archive.fold(ALICE))
    assert here.all() == [f"{number}" + "x" * 100 for number in range(2_000)]
