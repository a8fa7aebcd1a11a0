from __future__ import annotations

from quietwire.server.sealed.findings import EVENT, Findings, finding

ALICE, HANDLE = b"alice@a.example", b"\0#alice"


def findings() -> tuple[Findings, list[tuple[str, dict[str, str]]]]:
    notes: list[tuple[str, dict[str, str]]] = []
    names = {ALICE: HANDLE, HANDLE: HANDLE}
    return Findings(lambda event, **facts: notes.append((event, facts)), names.get), notes


def test_each_is_told_once_to_the_log_and_to_its_owner() -> None:
    found, notes = findings()
    one, two = finding("sealed", b"1", b"row"), finding("sealed", b"2", b"row")
    found.report(ALICE, (one, two))
    found.report(ALICE, (one,))
    found.report(HANDLE, (one, finding("account", b"1", b"row")))
    found.report(ALICE, ())
    assert notes == [(EVENT, {"count": "2"}), (EVENT, {"count": "1"})]
    assert (found.take(ALICE), found.take(ALICE)) == (3, 0)


def test_another_damage_of_a_row_is_another_finding() -> None:
    assert (
        len({finding("a", b"b", b""), finding("a", b"b", b"x"), finding("a", b"bc", b"x"), finding("ab", b"", b"x")})
        == 4
    )


def test_what_belongs_to_no_account_is_in_the_log_only() -> None:
    found, notes = findings()
    found.report(b"den@rooms.a.example", (finding("room", b"1", b""),))
    assert (len(notes), found.take(b"den@rooms.a.example")) == (1, 0)


def test_what_is_owed_to_an_account_that_was_erased_is_forgotten() -> None:
    found, _ = findings()
    found.report(ALICE, (finding("sealed", b"1", b""),))
    found.forget(ALICE)
    assert found.take(ALICE) == 0
