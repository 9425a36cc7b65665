"""Money that a merchant sent to cover what it owes."""

import sqlalchemy as sa

from affiliate import audit, clock, jobs
from affiliate.db import db
from affiliate.errors import Conflict, FieldError
from affiliate.i18n import _
from affiliate.ledger import service as ledger
from affiliate.money import Money
from affiliate.settlement.models import PayIn


class ReferenceTaken(Conflict):
    code = "reference_taken"


def record_pay_in(
    merchant_id: int, money: Money, *, reference: str, by: int, note: str | None = None
) -> PayIn:
    """Book it once: the reference of the bank's statement is good for one pay-in."""
    pay_in = PayIn(
        merchant_id=merchant_id,
        amount=money.minor,
        currency=money.currency,
        reference=reference,
        created_by=by,
        note=note,
    )
    try:
        with db.session.begin_nested():
            db.session.add(pay_in)
            db.session.flush()
    except sa.exc.IntegrityError as error:
        message = _("A pay-in of this merchant with this reference is booked already.")
        wrong = FieldError("/reference", "reference_taken", str(message))
        raise ReferenceTaken(message, errors=(wrong,)) from error
    ledger.post([_posting(pay_in)])
    audit.record(
        "pay_in.recorded", subject=f"pin:{pay_in.id}", by=by, merchant_id=merchant_id,
        amount=money.minor, currency=money.currency, reference=reference,
    )  # fmt: skip
    jobs.ring(jobs.Job.RELEASE)  # what waits for this money
    return pay_in


def return_pay_in(pay_in: PayIn, *, by: int, reason: str) -> PayIn:
    """The bank took it back: the merchant owes it again. The caller has it locked.

    What it had covered stays released; nothing more is, until there is money again.
    """
    if pay_in.returned_at is not None:
        return pay_in
    pay_in.returned_at, pay_in.returned_by, pay_in.return_reason = clock.now(), by, reason
    pay_in.version += 1
    db.session.flush()
    ledger.post(
        [
            ledger.Posting(
                ledger.Code.RETURN_PAY_IN,
                f"pay_in:{pay_in.id}",
                ledger.receivable(pay_in.merchant_id, pay_in.currency),
                ledger.clearing(pay_in.merchant_id, pay_in.currency),
                pay_in.amount,
            )
        ]
    )
    audit.record(
        "pay_in.returned", subject=f"pin:{pay_in.id}", by=by, merchant_id=pay_in.merchant_id,
        amount=pay_in.amount, currency=pay_in.currency, reason=reason,
    )  # fmt: skip
    return pay_in


def _posting(pay_in: PayIn) -> ledger.Posting:
    return ledger.Posting(
        ledger.Code.PAY_IN,
        f"pay_in:{pay_in.id}",
        ledger.clearing(pay_in.merchant_id, pay_in.currency),
        ledger.receivable(pay_in.merchant_id, pay_in.currency),
        pay_in.amount,
    )


def change_pay_in_note(pay_in: PayIn, note: str | None) -> PayIn:
    """The only thing about a pay-in that can be edited."""
    pay_in.note = note
    pay_in.version += 1
    db.session.flush()
    return pay_in
