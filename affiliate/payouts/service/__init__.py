"""What happens to payout accounts and payouts; settlement calls most of it."""

from affiliate.payouts.service.accounts import add_account, label_account, open_fields
from affiliate.payouts.service.calls import begin as begin_calls
from affiliate.payouts.service.drafts import Changed as EntriesChanged
from affiliate.payouts.service.drafts import Chunk, Payee, Run, count_payees, draft, reserve
from affiliate.payouts.service.proofs import confirm_outcome, drop_outcome, state_outcome
from affiliate.payouts.service.remitting import RemittedAlready, remit
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
from affiliate.payouts.service.withdrawals import refuse, uncovered, withdraw
from affiliate.payouts.service.withholding import estimate, payer
from affiliate.payouts.service.writing_off import (
    approve_write_off,
    change_write_off_note,
    recovered,
    refuse_write_off,
    request_write_off,
    standing,
    write_off,
)

__all__ = [
    "Chunk", "EntriesChanged", "NeedsTwo", "Outcome", "Payee", "PayoutNotThere", "ProviderSays",
    "RemittedAlready", "Report", "Run", "WrongState", "add_account", "approve_write_off",
    "begin_calls", "cancel", "cancel_all", "change_write_off_note", "confirm_outcome",
    "count_payees", "draft", "drop_outcome", "estimate", "label_account", "mark_failed",
    "mark_paid", "mark_returned", "move_all", "open_fields", "payer", "recovered", "refuse",
    "refuse_write_off", "remit", "request_write_off", "reserve", "standing", "state_outcome",
    "take_results", "uncovered", "withdraw", "write_off",
]  # fmt: skip
