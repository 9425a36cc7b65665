"""Money that a merchant sent to cover what it owes."""

import sqlalchemy as sa

from affiliate import audit
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
