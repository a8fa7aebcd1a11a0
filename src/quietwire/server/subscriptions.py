"""The subscription states of RFC 6121 appendix A as tables: what a stanza does to a state, and what the server does.

Each table gives, for a state, whether the stanza goes on (is routed to the contact if outbound, delivered to the user's
sessions if inbound) and the state after it. Pre-approval (§3.4) and automatic replies are laid over them by `outbound`
and `inbound`, the two functions that others call.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from quietwire.server.roster import Subscription


class State(Enum):
    """The nine states (A.1), from the user's point of view: subscription, Pending Out, Pending In."""

    NONE = ("none", False, False)
    NONE_OUT = ("none", True, False)
    NONE_IN = ("none", False, True)
    NONE_OUT_IN = ("none", True, True)
    TO = ("to", False, False)
    TO_IN = ("to", False, True)
    FROM = ("from", False, False)
    FROM_OUT = ("from", True, False)
    BOTH = ("both", False, False)

    subscription: Subscription
    ask: bool
    pending_in: bool

    def __init__(self, subscription: Subscription, ask: bool, pending_in: bool) -> None:
        self.subscription = subscription
        self.ask = ask
        self.pending_in = pending_in

    @staticmethod
    def of(subscription: Subscription, *, ask: bool, pending_in: bool) -> State:
        """The state of a contact. KeyError for a combination that no table leads to."""
        return _STATES[subscription, ask, pending_in]

    @property
    def sees_user(self) -> bool:
        """The contact gets the user's presence."""
        return self.subscription in ("from", "both")


_STATES: Final = {state.value: state for state in State}


class Cell(NamedTuple):
    goes: bool
    after: State


class Outcome(NamedTuple):
    """What the server does with one subscription stanza."""

    goes: bool
    """Route it to the contact (outbound), deliver it to the user's sessions (inbound)."""
    after: State
    approved: bool
    """The pre-approval from now on."""
    push: bool
    """What the item shows has changed."""
    reply: str
    """Type of the presence that the user's server sends back in the user's name, or ''."""
    presence: str
    """The user's presence that the contact must now be told: 'available', 'unavailable' or ''."""


def _table(*rows: tuple[State, bool, State]) -> Mapping[State, Cell]:
    return {before: Cell(goes, after) for before, goes, after in rows}


S: Final = State

OUTBOUND: Final[Mapping[str, Mapping[State, Cell]]] = {
    "subscribe": _table(  # A.2.1
        (S.NONE, True, S.NONE_OUT),
        (S.NONE_OUT, True, S.NONE_OUT),
        (S.NONE_IN, True, S.NONE_OUT_IN),
        (S.NONE_OUT_IN, True, S.NONE_OUT_IN),
        (S.TO, True, S.TO),
        (S.TO_IN, True, S.TO_IN),
        (S.FROM, True, S.FROM_OUT),
        (S.FROM_OUT, True, S.FROM_OUT),
        (S.BOTH, True, S.BOTH),
    ),
    "unsubscribe": _table(  # A.2.2
        (S.NONE, True, S.NONE),
        (S.NONE_OUT, True, S.NONE),
        (S.NONE_IN, True, S.NONE_IN),
        (S.NONE_OUT_IN, True, S.NONE_IN),
        (S.TO, True, S.NONE),
        (S.TO_IN, True, S.NONE_IN),
        (S.FROM, True, S.FROM),
        (S.FROM_OUT, True, S.FROM),
        (S.BOTH, True, S.FROM),
    ),
    "subscribed": _table(  # A.2.3
        (S.NONE, False, S.NONE),
        (S.NONE_OUT, False, S.NONE_OUT),
        (S.NONE_IN, True, S.FROM),
        (S.NONE_OUT_IN, True, S.FROM_OUT),
        (S.TO, False, S.TO),
        (S.TO_IN, True, S.BOTH),
        (S.FROM, False, S.FROM),
        (S.FROM_OUT, False, S.FROM_OUT),
        (S.BOTH, False, S.BOTH),
    ),
    "unsubscribed": _table(  # A.2.4
        (S.NONE, False, S.NONE),
        (S.NONE_OUT, False, S.NONE_OUT),
        (S.NONE_IN, True, S.NONE),
        (S.NONE_OUT_IN, True, S.NONE_OUT),
        (S.TO, False, S.TO),
        (S.TO_IN, True, S.TO),
        (S.FROM, True, S.NONE),
        (S.FROM_OUT, True, S.NONE_OUT),
        (S.BOTH, True, S.TO),
    ),
}

INBOUND: Final[Mapping[str, Mapping[State, Cell]]] = {
    "subscribe": _table(  # A.3.1
        (S.NONE, True, S.NONE_IN),
        (S.NONE_OUT, True, S.NONE_OUT_IN),
        (S.NONE_IN, False, S.NONE_IN),
        (S.NONE_OUT_IN, False, S.NONE_OUT_IN),
        (S.TO, True, S.TO_IN),
        (S.TO_IN, False, S.TO_IN),
        (S.FROM, False, S.FROM),
        (S.FROM_OUT, False, S.FROM_OUT),
        (S.BOTH, False, S.BOTH),
    ),
    "unsubscribe": _table(  # A.3.2
        (S.NONE, False, S.NONE),
        (S.NONE_OUT, False, S.NONE_OUT),
        (S.NONE_IN, True, S.NONE),
        (S.NONE_OUT_IN, True, S.NONE_OUT),
        (S.TO, False, S.TO),
        (S.TO_IN, True, S.TO),
        (S.FROM, True, S.NONE),
        (S.FROM_OUT, True, S.NONE_OUT),
        (S.BOTH, True, S.TO),
    ),
    "subscribed": _table(  # A.3.3
        (S.NONE, False, S.NONE),
        (S.NONE_OUT, True, S.TO),
        (S.NONE_IN, False, S.NONE_IN),
        (S.NONE_OUT_IN, True, S.TO_IN),
        (S.TO, False, S.TO),
        (S.TO_IN, False, S.TO_IN),
        (S.FROM, False, S.FROM),
        (S.FROM_OUT, True, S.BOTH),
        (S.BOTH, False, S.BOTH),
    ),
    "unsubscribed": _table(  # A.3.4
        (S.NONE, False, S.NONE),
        (S.NONE_OUT, True, S.NONE),
        (S.NONE_IN, False, S.NONE_IN),
        (S.NONE_OUT_IN, True, S.NONE_IN),
        (S.TO, True, S.NONE),
        (S.TO_IN, True, S.NONE_IN),
        (S.FROM, False, S.FROM),
        (S.FROM_OUT, True, S.FROM),
        (S.BOTH, True, S.FROM),
    ),
}

KINDS: Final = frozenset(OUTBOUND)
"""The presence types that manage subscriptions."""

_APPROVES: Final = {S.NONE_IN: S.FROM, S.NONE_OUT_IN: S.FROM_OUT, S.TO_IN: S.BOTH}


def outbound(kind: str, before: State, approved: bool) -> Outcome:
    """The user sends a presence of type `kind` to the contact. `approved`: the contact's item has a pre-approval."""
    goes, after = OUTBOUND[kind][before]
    then = approved
    if kind == "subscribed":
        # Nothing to approve yet: it is noted (§3.4.2). A request that is answered here needs no approval any more.
        then = not goes and not before.sees_user
    elif kind == "unsubscribed":
        then = False
    return _outcome(before, after, goes=goes, approved=approved, then=then)


def inbound(kind: str, before: State, approved: bool) -> Outcome:
    """The contact has sent a presence of type `kind` to the user."""
    goes, after = INBOUND[kind][before]
    if kind == "subscribe":
        if before.sees_user:
            # The contact has forgotten that it is subscribed: it is told, and what it missed with it (§3.1.3).
            return _outcome(before, after, goes=False, approved=approved, then=approved)._replace(
                reply="subscribed", presence="available"
            )
        if approved:
            # One approval is good for one request: the contact who leaves and comes back asks again.
            return _outcome(before, _APPROVES[after], goes=False, approved=True, then=False)._replace(
                reply="subscribed"
            )
    return _outcome(before, after, goes=goes, approved=approved, then=approved)


def _outcome(before: State, after: State, *, goes: bool, approved: bool, then: bool) -> Outcome:
    shown = (before.subscription, before.ask, approved) != (after.subscription, after.ask, then)
    presence = ""
    if after.sees_user != before.sees_user:
        presence = "available" if after.sees_user else "unavailable"
    return Outcome(goes, after, then, shown, "", presence)
