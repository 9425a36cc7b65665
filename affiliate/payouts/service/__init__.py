"""What happens to payout accounts and payouts; settlement calls most of it."""

from affiliate.payouts.service.accounts import add_account, label_account, open_fields
from affiliate.payouts.service.drafts import Chunk, Payee, Run, count_payees, draft, reserve
from affiliate.payouts.service.states import (
    PayoutNotThere,
    WrongState,
    cancel,
    cancel_all,
    mark_failed,
    mark_paid,
    mark_returned,
    move_all,
)

__all__ = [
    "Chunk", "Payee", "PayoutNotThere", "Run", "WrongState", "add_account", "cancel",
    "cancel_all", "count_payees", "draft", "label_account", "mark_failed", "mark_paid",
    "mark_returned", "move_all", "open_fields", "reserve",
]  # fmt: skip
