"""Every cell of RFC 6121 appendix A, in the RFC's own words, against the tables."""

from __future__ import annotations

import pytest

from quietwire.server.subscriptions import INBOUND, KINDS, OUTBOUND, Outcome, State, inbound, outbound

NAMES = {
    "None": State.NONE,
    "None + Pending Out": State.NONE_OUT,
    "None + Pending In": State.NONE_IN,
    "None + Pending Out+In": State.NONE_OUT_IN,
    "To": State.TO,
    "To + Pending In": State.TO_IN,
    "From": State.FROM,
    "From + Pending Out": State.FROM_OUT,
    "Both": State.BOTH,
}

# Existing state | route (or deliver) | new state; "-" is no state change.
OUT = {
    "subscribe": """
        None                  | MUST     | None + Pending Out
        None + Pending Out    | MUST     | -
        None + Pending In     | MUST     | None + Pending Out+In
        None + Pending Out+In | MUST     | -
        To                    | MUST     | -
        To + Pending In       | MUST     | -
        From                  | MUST     | From + Pending Out
        From + Pending Out    | MUST     | -
        Both                  | MUST     | -
    """,
    "unsubscribe": """
        None                  | MUST     | -
        None + Pending Out    | MUST     | None
        None + Pending In     | MUST     | -
        None + Pending Out+In | MUST     | None + Pending In
        To                    | MUST     | None
        To + Pending In       | MUST     | None + Pending In
        From                  | MUST     | -
        From + Pending Out    | MUST     | From
        Both                  | MUST     | From
    """,
    "subscribed": """
        None                  | MUST NOT | -
        None + Pending Out    | MUST NOT | -
        None + Pending In     | MUST     | From
        None + Pending Out+In | MUST     | From + Pending Out
        To                    | MUST NOT | -
        To + Pending In       | MUST     | Both
        From                  | MUST NOT | -
        From + Pending Out    | MUST NOT | -
        Both                  | MUST NOT | -
    """,
    "unsubscribed": """
        None                  | MUST NOT | -
        None + Pending Out    | MUST NOT | -
        None + Pending In     | MUST     | None
        None + Pending Out+In | MUST     | None + Pending Out
        To                    | MUST NOT | -
        To + Pending In       | MUST     | To
        From                  | MUST     | None
        From + Pending Out    | MUST     | None + Pending Out
        Both                  | MUST     | To
    """,
}

IN = {
    "subscribe": """
        None                  | MUST     | None + Pending In
        None + Pending Out    | MUST     | None + Pending Out+In
        None + Pending In     | MUST NOT | -
        None + Pending Out+In | MUST NOT | -
        To                    | MUST     | To + Pending In
        To + Pending In       | MUST NOT | -
        From                  | MUST NOT | -
        From + Pending Out    | MUST NOT | -
        Both                  | MUST NOT | -
    """,
    "unsubscribe": """
        None                  | MUST NOT | -
        None + Pending Out    | MUST NOT | -
        None + Pending In     | MUST     | None
        None + Pending Out+In | MUST     | None + Pending Out
        To                    | MUST NOT | -
        To + Pending In       | MUST     | To
        From                  | MUST     | None
        From + Pending Out    | MUST     | None + Pending Out
        Both                  | MUST     | To
    """,
    "subscribed": """
        None                  | MUST NOT | -
        None + Pending Out    | MUST     | To
        None + Pending In     | MUST NOT | -
        None + Pending Out+In | MUST     | To + Pending In
        To                    | MUST NOT | -
        To + Pending In       | MUST NOT | -
        From                  | MUST NOT | -
        From + Pending Out    | MUST     | Both
        Both                  | MUST NOT | -
    """,
    "unsubscribed": """
        None                  | MUST NOT | -
        None + Pending Out    | MUST     | None
        None + Pending In     | MUST NOT | -
        None + Pending Out+In | MUST     | None + Pending In
        To                    | MUST     | None
        To + Pending In       | MUST     | None + Pending In
        From                  | MUST NOT | -
        From + Pending Out    | MUST     | From
        Both                  | MUST     | From
    """,
}

Row = tuple[str, State, bool, State]


def rows(tables: dict[str, str]) -> list[Row]:
    found = []
    for kind, table in tables.items():
        for line in table.strip().splitlines():
            before, goes, after = (cell.strip() for cell in line.split("|"))
            state = NAMES[before]
            found.append((kind, state, goes == "MUST", state if after == "-" else NAMES[after]))
    return found


def shows(state: State) -> tuple[str, bool]:
    return state.subscription, state.ask


def told(before: State, after: State) -> str:
    if before.sees_user == after.sees_user:
        return ""
    return "available" if after.sees_user else "unavailable"


def test_the_tables_are_whole() -> None:
    assert set(OUTBOUND) == set(INBOUND) == KINDS == {"subscribe", "subscribed", "unsubscribe", "unsubscribed"}
    assert len(rows(OUT)) == len(rows(IN)) == 36
    for tables in (OUTBOUND, INBOUND):
        assert all(set(table) == set(State) for table in tables.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_what_its_name_says(name: str) -> None:
    state = NAMES[name]
    assert state.subscription == name.partition(" ")[0].lower()
    assert (state.ask, state.pending_in) == ("Out" in name, name.endswith("In"))
    assert State.of(state.subscription, ask=state.ask, pending_in=state.pending_in) is state
    assert state.sees_user == (state.subscription in ("from", "both"))


@pytest.mark.parametrize(("subscription", "ask", "pending_in"), [("both", True, False), ("from", False, True)])
def test_what_is_no_state_is_refused(subscription: str, ask: bool, pending_in: bool) -> None:
    with pytest.raises(KeyError):
        State.of(subscription, ask=ask, pending_in=pending_in)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "before", "goes", "after"), rows(OUT))
def test_outbound(kind: str, before: State, goes: bool, after: State) -> None:
    outcome = outbound(kind, before, approved=False)
    assert (outcome.goes, outcome.after) == (goes, after)
    noted = kind == "subscribed" and before in (State.NONE, State.NONE_OUT, State.TO)
    assert outcome.approved == noted
    assert outcome.push == (noted or shows(before) != shows(after))
    assert outcome.reply == ""
    assert outcome.presence == told(before, after)


@pytest.mark.parametrize(("kind", "before", "goes", "after"), rows(IN))
def test_inbound(kind: str, before: State, goes: bool, after: State) -> None:
    outcome = inbound(kind, before, approved=False)
    assert (outcome.goes, outcome.after, outcome.approved) == (goes, after, False)
    assert outcome.push == (shows(before) != shows(after))
    again = kind == "subscribe" and before.sees_user  # already subscribed: answered for the user
    assert outcome.reply == ("subscribed" if again else "")
    assert outcome.presence == ("available" if again else told(before, after))


@pytest.mark.parametrize(
    ("before", "after"), [(State.NONE, State.FROM), (State.NONE_OUT, State.FROM_OUT), (State.TO, State.BOTH)]
)
def test_an_approved_request_is_answered_for_the_user_and_uses_the_approval_up(before: State, after: State) -> None:
    assert inbound("subscribe", before, approved=True) == Outcome(
        goes=False, after=after, approved=False, push=True, reply="subscribed", presence="available"
    )


@pytest.mark.parametrize("before", [State.NONE, State.NONE_OUT, State.TO])
def test_an_approval_is_taken_back_without_telling_the_contact(before: State) -> None:
    assert outbound("unsubscribed", before, approved=True) == Outcome(
        goes=False, after=before, approved=False, push=True, reply="", presence=""
    )


@pytest.mark.parametrize("before", [State.NONE, State.NONE_OUT, State.TO])
def test_a_second_approval_changes_nothing(before: State) -> None:
    assert outbound("subscribed", before, approved=True) == Outcome(
        goes=False, after=before, approved=True, push=False, reply="", presence=""
    )


@pytest.mark.parametrize("before", [State.NONE, State.NONE_OUT, State.TO])
@pytest.mark.parametrize("kind", ["subscribed", "unsubscribe", "unsubscribed"])
def test_other_stanzas_of_the_contact_leave_the_approval(kind: str, before: State) -> None:
    assert inbound(kind, before, approved=True).approved


@pytest.mark.parametrize("before", [State.NONE, State.NONE_OUT, State.TO])
@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe"])
def test_the_users_own_requests_leave_the_approval(kind: str, before: State) -> None:
    assert outbound(kind, before, approved=True).approved
