"""Batches become segments and pages, messages go or change: with real seals, over crashes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from archive_world import ALICE, DAY, NOW, ROOM, Archived, run

from quietwire.core.errors import StanzaError
from quietwire.core.later import drive
from quietwire.seal import pages
from quietwire.seal.pages import FULL, Catalogue, rounded
from quietwire.server import archive_fold, archive_shelf
from quietwire.server.archive_index import Query
from quietwire.server.archive_shelf import TABLE
from quietwire.server.sealed.seals import Sealed
from quietwire.store.memory import MemoryStorage


def numbers(count: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]


@pytest.mark.parametrize("owner", [ALICE, ROOM])
def test_folded_messages_are_as_they_were(owner: bytes) -> None:
    here = Archived().unlock()
    here.each(*numbers(30), owner=owner)
    before = run(here.archive.query(owner, Query()))
    letters = b"aps" if owner == ALICE else b"APS"
    assert {key[:1] for key in here.rows(owner=owner)} == {letters[:1]}
    run(here.archive.fold(owner))
    here.world.storage.commit()
    assert {key[:1] for key in here.rows(owner=owner)} - {b"C"} == {letters[1:2], letters[2:]}
    assert run(here.archive.query(owner, Query())) == before
    if owner == ALICE:
        again = here.lock().restart().unlock()
        assert run(again.archive.query(owner, Query())) == before
        assert again.isolated == 0


def test_the_last_page_and_segment_are_gone_on_with() -> None:
    here = Archived().unlock()
    for number in range(40):
        here.each(str(number))
        run(here.archive.fold(ALICE))
    assert [len(here.rows(letter)) for letter in (b"a", b"p", b"s")] == [0, 1, 1]
    assert here.texts() == numbers(40)


def test_many_pages_and_segments_that_lie_across_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_HEADERS", 7)
    monkeypatch.setattr(archive_fold, "FULL", 400)
    monkeypatch.setattr(archive_fold, "FOLDED_MESSAGES", 11)
    here = Archived().unlock()
    for start in range(0, 100, 9):
        here.each(*numbers(9, start))
        if start % 2:
            run(here.archive.fold(ALICE))
    run(here.archive.fold(ALICE))
    index = run(here.archive.index(ALICE))
    spanning = sum(a.runs[-1][0] is b.runs[0][0] for a, b in pairwise(index.catalogue.pages))
    assert spanning > 3
    assert len(index.catalogue.pages) > 14
    assert here.all() == numbers(108)
    again = here.lock().restart().unlock()
    assert again.all() == numbers(108)
    assert again.isolated == 0


def test_rows_are_rounded_with_dummies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_HEADERS", 10)
    monkeypatch.setattr(archive_fold, "FULL", 300)
    here = Archived().unlock()
    counts = set()
    for number in range(150):
        here.each(str(number))
        run(here.archive.fold(ALICE))
        for letter in (b"p", b"s"):
            count = len(here.rows(letter))
            assert count == rounded(count)
            counts.add(count)
    assert {1, 2, 4, 8, 10, 12} <= counts
    dummies = run(here.archive.index(ALICE)).catalogue.dummies
    assert dummies
    assert {len(here.rows()[key]) for key in dummies} == {FULL + 29}
    assert here.texts() == numbers(150)


def test_all_that_is_full_looks_alike() -> None:
    here = Archived().unlock()
    for number in range(600):
        here.say(str(number) + "x" * 300)
    here.world.storage.commit()
    run(here.archive.fold(ALICE))
    sizes = sorted(len(row) - 29 for row in here.rows(b"s").values())
    assert sizes[1:] == [FULL] * (len(sizes) - 1)
    assert sizes[0] in {1 << n for n in range(10, 17)}


def test_a_message_larger_than_a_segment() -> None:
    here = Archived().unlock()
    here.each("a", "x" * 100_000, "b", "y" * 100_000)
    run(here.archive.fold(ALICE))
    assert here.texts() == ["a", "x" * 100_000, "b", "y" * 100_000]


def test_a_crash_in_the_midst_of_folding_loses_nothing_and_doubles_nothing() -> None:
    for commits in range(6):
        here = Archived().unlock()
        here.each(*numbers(8))
        here.world.storage.commit()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive_fold, "FOLDED_MESSAGES", 3)
            work = here.archive.fold(ALICE)
            here.world.driver.hold = True
            drive(work, lambda value, error: None)
            for _ in range(commits):
                waiting, here.world.driver._waiting = here.world.driver._waiting, []
                for one in waiting:
                    one()
                here.world.storage.commit()
        again = here.restart(crash=True).unlock()
        assert again.texts() == numbers(8)
        run(again.archive.fold(ALICE))
        assert again.texts() == numbers(8)
        assert again.isolated == 0


def test_what_comes_while_it_is_folded_is_there_once() -> None:
    here = Archived().unlock()
    here.each(*numbers(5))
    here.world.driver.hold = True
    ended: list[bool] = []
    drive(here.archive.fold(ALICE), lambda value, error: ended.append(error is None))
    here.each("5", "6")
    here.world.driver.release()
    assert ended == [True]
    assert here.texts() == numbers(7)
    run(here.archive.fold(ALICE))
    assert here.texts() == numbers(7)


def test_a_query_whose_rows_move_meanwhile_finds_them_again() -> None:
    here = Archived().unlock()
    here.each(*numbers(5))
    assert here.texts() == numbers(5)
    driver = here.world.driver
    driver.hold = driver.late = True
    pages_: list[list[bytes]] = []

    async def ask() -> None:
        pages_.append([item.message for item in (await here.archive.query(ALICE, Query())).items])

    drive(ask(), lambda value, error: None)
    assert pages_ == []
    waiting, driver._waiting, driver.hold = driver._waiting, [], False
    run(here.archive.fold(ALICE))
    for one in waiting:
        one()
    assert pages_ == [[f"<message>{number}</message>".encode() for number in range(5)]]
    assert here.isolated == 0


def test_an_owner_who_leaves_has_all_folded() -> None:
    here = Archived().unlock()
    here.each(*numbers(5))
    here.lock()
    assert here.rows(b"a") == {}
    with pytest.raises(StanzaError):
        here.texts()
    here.each("5")
    assert len(here.rows(b"a")) == 1
    with pytest.raises((Sealed, StanzaError)):
        run(here.archive.fold(ALICE))
    assert here.unlock().texts() == numbers(6)


def test_who_is_erased_while_folded_leaves_nothing() -> None:
    here = Archived().unlock()
    here.each(*numbers(5))
    here.world.driver.hold = True
    failed: list[BaseException | None] = []
    drive(here.archive.fold(ALICE), lambda value, error: failed.append(error))
    here.world.store.erase(ALICE)
    here.archive.forget(ALICE)
    here.world.driver.release()
    assert isinstance(failed[0], StanzaError)
    here.world.storage.commit()
    assert here.rows() == {}


def test_after_many_messages_it_is_folded_by_itself() -> None:
    here = Archived().unlock()
    for number in range(1_005):
        here.say(str(number))
        if number % 10 == 0:
            here.world.storage.commit()
    here.world.storage.commit()
    assert len(here.rows(b"a")) <= 2
    assert len(here.rows(b"p")) == 1
    assert here.all() == numbers(1_005)


def test_messages_are_taken_out_of_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_HEADERS", 7)
    monkeypatch.setattr(archive_fold, "FULL", 300)
    here = Archived().unlock()
    for number in range(60):
        here.say(str(number), provisional=True, with_=f"{'eve' if number % 5 == 0 else 'bob'}@b.example")
        here.world.storage.commit()
    run(here.archive.fold(ALICE))
    assert len(here.texts()) == 60
    run(here.archive.settle(ALICE, lambda with_: with_ != "eve@b.example"))
    left = [text for text in numbers(60) if int(text) % 5]
    assert here.texts() == left
    again = here.lock().restart().unlock()
    assert again.texts() == left
    run(again.archive.settle(ALICE, lambda with_: False))
    assert again.texts() == left, "they were judged"
    for row in again.rows(b"s").values():
        assert len(row) in {1_024 + 29, FULL + 29}
    assert again.isolated == 0


def test_wishes_keep_what_waits_in_batches_from_being_folded() -> None:
    here = Archived()
    here.say("spam", with_="eve@e.example", provisional=True)
    here.say("mail", provisional=True)
    here.unlock()
    run(here.archive.settle(ALICE, lambda with_: with_ != "eve@e.example"))
    assert here.texts() == ["mail"]
    assert here.rows(b"a") == {}


def test_the_oldest_go_over_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_HEADERS", 7)
    monkeypatch.setattr(archive_fold, "FULL", 300)
    here = Archived().unlock()
    here.archive.stanzas = 40
    here.each(*numbers(100))
    run(here.archive.fold(ALICE))
    texts = here.texts()
    assert 36 <= len(texts) <= 40
    assert texts == numbers(len(texts), 100 - len(texts))
    assert len(here.rows(b"s")) == rounded(len(here.rows(b"s")))


def test_expiry_cuts_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Archived().unlock()
    for number in range(10):
        here.say(str(number), NOW + number * DAY / 10)
    run(here.archive.expire(ALICE, NOW + 0.45 * DAY))
    assert here.texts() == numbers(5, 5)
    assert here.isolated == 0


def test_a_message_is_replaced_with_a_larger_one() -> None:
    here = Archived().unlock()
    ids = here.each(*numbers(10))
    run(here.archive.rewrite(ALICE, ids[4], lambda data: data.replace(b"4", b"taken back" * 9_000)))
    assert here.texts() == [*numbers(4), "taken back" * 9_000, *numbers(5, 5)]
    again = here.lock().restart().unlock()
    assert again.texts()[4] == "taken back" * 9_000
    assert again.isolated == 0


def test_repetitions_keep_their_ids_when_they_are_folded() -> None:
    here = Archived().unlock()
    first = here.say("one", token=7)
    run(here.archive.fold(ALICE))
    again = here.say("one", token=7)
    here.say("two", token=8)
    for _ in range(2):
        assert here.texts() == ["one", "two"]
        assert here.texts(Query(after=again)) == here.texts(Query(after=first)) == ["two"]
        run(here.archive.fold(ALICE))
    here = here.lock().restart().unlock()
    assert here.texts(Query(ids=(again,))) == ["one"]


def test_a_month_has_pages_and_segments_of_its_own() -> None:
    here = Archived().unlock()
    for month in range(3):
        here.say(str(month), NOW + 31 * DAY * month)
    here.say("3", NOW)  # the clock was set back
    run(here.archive.fold(ALICE))
    assert here.texts() == numbers(4)
    for letter in (b"p", b"s"):
        assert len({key[:3] for key in here.rows(letter)}) == len(here.rows(letter)) == 3


def old_rows(storage: MemoryStorage, owner: bytes, count: int) -> list[bytes]:
    """As version 1 wrote them."""
    ids = []
    for number in range(count):
        id = b"%016d" % number
        body = f"<message>{number}</message>".encode()
        flags = 1 if number % 10 == 3 else 0
        head = b"\x01" + bytes((flags,)) + (number + 1).to_bytes(8, "big") + int(NOW * 1000).to_bytes(8, "big")
        head += len(body).to_bytes(4, "big") + (number // 2 * 2 if number == 7 else 0).to_bytes(8, "big")
        storage.put("old_archive", owner, b"m\x5f\x00" + id, head + b"\x00\x0dbob@b.example" + body)
        ids.append(id)
    storage.put("old_archive", owner, b"s", (2).to_bytes(8, "big"))
    storage.put("old_archive", owner, b"m\x5f\x00" + b"z" * 16, b"\x09damaged")
    storage.commit()
    return ids


@pytest.mark.parametrize("owner", [ALICE, ROOM])
def test_messages_from_before_the_sealed_store_are_adopted(owner: bytes) -> None:
    here = Archived()
    ids = old_rows(here.world.storage, owner, 30)
    here.say("30", owner=owner)
    here.unlock()
    run(here.archive.adopt(owner))
    run(here.archive.adopt(owner))
    assert here.texts(owner=owner) == numbers(31)
    assert here.texts(Query(ids=(ids[4].hex(),)), owner=owner) == ["4"]
    assert here.world.storage.scan("old_archive", owner).result() == []
    assert here.isolated == 0
    run(here.archive.settle(owner, lambda with_: False))
    assert here.texts(owner=owner) == [text for text in numbers(31) if text not in ("3", "13", "23")], (
        "what came provisionally, and was not judged, is judged now"
    )


def test_a_crash_while_adopting_loses_nothing_and_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_fold, "FOLDED_MESSAGES", 4)
    for portions in range(9):
        here = Archived()
        old_rows(here.world.storage, ALICE, 20)
        here.unlock()
        here.world.storage.commit()
        here.world.driver.hold = True
        drive(here.archive.adopt(ALICE), lambda value, error: None)
        for _ in range(portions):
            waiting, here.world.driver._waiting = here.world.driver._waiting, []
            for one in waiting:
                one()
            here.world.storage.commit()
        again = here.restart(crash=True).unlock()
        again.each("20")
        run(again.archive.fold(ALICE))
        run(again.archive.adopt(ALICE))
        assert again.texts() == numbers(21)
        again = again.lock().restart().unlock()
        assert again.texts() == numbers(21)
        assert again.isolated == 0


def test_the_catalogue_is_one_of_the_accounts_own_rows() -> None:
    here = Archived().unlock()
    here.each("one")
    run(here.archive.fold(ALICE))
    data = here.world.store.get("preference", ALICE, archive_shelf.CATALOGUE).result()
    assert data is not None
    catalogue = Catalogue.from_bytes(data)
    (page,) = catalogue.pages
    assert {page.key} == set(here.rows(b"p"))
    assert here.world.seals.owner(TABLE, ALICE) not in b"".join(here.rows())
