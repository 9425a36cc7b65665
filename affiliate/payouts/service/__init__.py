"""What happens to payout accounts and payouts; settlement calls most of it."""

from affiliate.payouts.service.accounts import add_account, label_account, open_fields
from affiliate.payouts.service.calls import begin as begin_calls
from affiliate.payouts.service.drafts import Chunk, Payee, Run, count_payees, draft, reserve
from affiliate.payouts.service.proofs import confirm_outcome, drop_outcome, state_outcome
from affiliate.payouts.service.results import Report, take_results
from affiliate.payouts.service.states import (
    NeedsTwo,
    Outcome,
    PayoutNotThere,
    ProviderSays,
    WrongState,
    cancel,
    cancel_all,
    mark_failed,
    mark_paid,
    mark_returned,
    move_all,
)

__all__ = [
    "Chunk", "NeedsTwo", "Outcome", "Payee", "PayoutNotThere", "ProviderSays", "Report", "Run",
    "WrongState", "add_account", "begin_calls", "cancel", "cancel_all", "confirm_outcome",
    "count_payees", "draft", "drop_outcome", "label_account", "mark_failed", "mark_paid",
    "mark_returned", "move_all", "open_fields", "reserve", "state_outcome", "take_results",
]  # fmt: skip
