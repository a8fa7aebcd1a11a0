"""What a study does: each end alone and both, every peer, each means alone and together, and what is promised."""

from __future__ import annotations

from fnmatch import fnmatchcase

from quietwire.lab.study.bounds import read
from quietwire.lab.study.plan import ALONE, SHAPINGS, TOGETHER, full, small


def test_what_was_measured_and_what_was_simulated_share_a_column() -> None:
    assert {f"quietwire-{name}" for name in SHAPINGS} <= {each.name for each in full().played}
    assert {each.name for each in small().played} == {"quietwire-off", "quietwire-steady"}


def test_the_small_study_looks_after_promises() -> None:
    plan = small()
    systems = {each.name for each in plan.played} | {f"quietwire-{name}" for name in plan.profiles}
    for bound in read():
        assert not bound.small or any(fnmatchcase(system, bound.system) for system in systems)
    assert len([bound for bound in read() if bound.small and bound.most is not None]) >= 2


def test_the_whole_study_has_each_end_alone_every_peer_and_the_shield_before_them() -> None:
    names = {each.name for each in full().played}
    assert {
        "quietwire-server-steady", "quietwire-client-steady", "prosody", "ejabberd", "prosody-server-shield-steady",
        "prosody-shield-steady", "prosody-client-shield-steady", "quietwire-padded-records", "quietwire-padded-spaces",
        "prosody-server-padded-records", "prosody-server-shield-padded", "quietwire-jitter, garbage",
    } <= names  # fmt: skip
    assert len(names) == len(full().played)
    assert set(full().profiles) == set(SHAPINGS)


def test_each_means_is_there_alone_and_all_of_them_together() -> None:
    (prosody,) = [each for each in full().played if each.changed]
    assert len(prosody.changed) == len(ALONE) + len(TOGETHER)
    assert {name.partition(" with ")[2] for name, _ in prosody.changed} == {*ALONE, *TOGETHER}
    for name, defence in TOGETHER.items():
        parts = [ALONE[part] for part in name.split(" + ")]
        for what in ("block", "delay", "batch", "garbage"):
            assert getattr(defence, what) == max(getattr(part, what) for part in parts)


def test_lives_of_other_families_are_held_out() -> None:
    for each in full((4, 5)).played:
        families = {scenario.people.get("family", "hawkes") for scenario in each.scenarios}
        assert (len(families) == 3) is each.unknown
        assert {scenario.seed for scenario in each.scenarios} == ({4} if each.unknown else {4, 5})
