"""Whom a device's key is believed to belong to: explicit, per identity key, decided here and nowhere else. Pure.

What is stored is a decision (`Decision`); what is shown and acted on is a `Trust`, judged from the decision, the policy
and whether any device of that account has been verified (XEP-0384 0.9.1 §Security Considerations).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Policy(StrEnum):
    """What happens to a device nobody has decided on."""

    BTBV = "btbv"
    """Blind trust before verification: believed until one device of the account has been verified."""
    MANUAL = "manual"
    """Nothing is encrypted to a device before it has been verified."""


class Decision(StrEnum):
    """What is stored for an identity key."""

    UNDECIDED = "undecided"
    BLIND = "blind"
    VERIFIED = "verified"
    DISTRUSTED = "distrusted"


class Trust(StrEnum):
    """What a device is shown as, and what may be done with it."""

    UNDECIDED = "undecided"
    """Its messages are read and marked; nothing is encrypted to it."""
    BLIND = "blind"
    """Believed without a check, as the policy says."""
    VERIFIED = "verified"
    DISTRUSTED = "distrusted"
    """Nothing is encrypted to it, and its messages are not read."""

    @property
    def may_read(self) -> bool:
        """Whether messages are encrypted to such a device."""
        return self in (Trust.BLIND, Trust.VERIFIED)


def first_decision(policy: Policy, known: Iterable[Decision]) -> Decision:
    """The decision for a key seen for the first time; `known` are those on the account's other devices.

    A key that appears beside a verified one stays undecided: it may be the attacker that verification was for.
    """
    if policy is Policy.BTBV and Decision.VERIFIED not in known:
        return Decision.BLIND
    return Decision.UNDECIDED


def judge(decision: Decision, policy: Policy) -> Trust:
    """What a stored decision means under the policy in force, which may have changed since."""
    if decision is Decision.BLIND and policy is Policy.MANUAL:
        return Trust.UNDECIDED
    return Trust(decision.value)
