"""Which way a payout may go. The database refuses every other step (0017_rails)."""

from affiliate.payouts.models import State

NEXT: dict[State, set[State]] = {
    State.DRAFT: {State.AWAITING_APPROVAL, State.CANCELLED},
    State.AWAITING_APPROVAL: {State.APPROVED, State.CANCELLED},
    State.APPROVED: {State.SUBMITTING, State.CANCELLED},
    State.SUBMITTING: {State.ACCEPTED, State.FAILED, State.UNKNOWN},
    State.ACCEPTED: {State.ACTION_REQUIRED, State.PAID, State.FAILED, State.UNKNOWN},
    State.ACTION_REQUIRED: {State.PAID, State.FAILED, State.UNKNOWN},
    State.UNKNOWN: {State.ACCEPTED, State.ACTION_REQUIRED, State.PAID, State.FAILED},
    State.PAID: {State.RETURNED},
    State.RETURNED: set(),
    State.FAILED: set(),
    State.CANCELLED: set(),
}


def may_become(state: State, other: State) -> bool:
    return other in NEXT[state]
