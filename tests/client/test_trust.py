from __future__ import annotations

import pytest

from quietwire.client.trust import Decision, Policy, Trust, first_decision, judge


@pytest.mark.parametrize(
    ("policy", "known", "decision"),
    [
        (Policy.BTBV, [], Decision.BLIND),
        (Policy.BTBV, [Decision.BLIND, Decision.DISTRUSTED], Decision.BLIND),
        (Policy.BTBV, [Decision.BLIND, Decision.VERIFIED], Decision.UNDECIDED),
        (Policy.MANUAL, [], Decision.UNDECIDED),
        (Policy.MANUAL, [Decision.VERIFIED], Decision.UNDECIDED),
    ],
)
def test_blind_trust_ends_with_the_first_verification(
    policy: Policy, known: list[Decision], decision: Decision
) -> None:
    assert first_decision(policy, known) is decision


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("decision", list(Decision))
def test_a_decision_is_shown_as_what_it_is(policy: Policy, decision: Decision) -> None:
    trust = judge(decision, policy)
    blind_no_more = policy is Policy.MANUAL and decision is Decision.BLIND
    assert trust.value == ("undecided" if blind_no_more else decision.value)


def test_only_believed_devices_may_read() -> None:
    assert {trust for trust in Trust if trust.may_read} == {Trust.BLIND, Trust.VERIFIED}
