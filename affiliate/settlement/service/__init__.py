"""What happens to settlements: made, built, decided on, executed. Only `runs` is an edge."""

from affiliate.settlement.service.building import build_chunk, create
from affiliate.settlement.service.deciding import (
    approve,
    cancel_held,
    cancel_payout,
    change_note,
    discard,
)
from affiliate.settlement.service.exceptions import (
    end_exception,
    exception,
    open_exception,
    record_exception,
)
from affiliate.settlement.service.executing import (
    close,
    execute,
    hand_out,
    open_file,
    still_at_work,
    submit,
    write_files,
)
from affiliate.settlement.service.pay_ins import (
    change_pay_in_note,
    record_pay_in,
    return_pay_in,
)
from affiliate.settlement.service.states import locked

__all__ = [
    "approve", "build_chunk", "cancel_held", "cancel_payout", "change_note", "change_pay_in_note",
    "close", "create", "discard", "end_exception", "exception", "execute", "hand_out", "locked",
    "open_exception", "open_file", "record_exception", "record_pay_in", "return_pay_in",
    "still_at_work", "submit", "write_files",
]  # fmt: skip
