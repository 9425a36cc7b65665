"""Invoices of payees, for merchants that pay against invoices only.

A payee says number and amount, finance confirms it. What is confirmed covers payouts of its
currency until it is used up: a payout waits while its sum is more than what is left.
"""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from affiliate import audit, clock
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, NotFound, invalid
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.payouts.models import Invoice, Payout, State

Payee = tuple[str, int]


class NumberTaken(Conflict):
    code = "number_taken"


class Decided(Conflict):
    code = "invoice_decided"


def give(merchant_id: int, payee: Payee, money: Money, *, number: str, by: int) -> Invoice:
    if money.minor <= 0:
        raise invalid("/amount", "not_positive", _("An amount above zero, please."))
    invoice = Invoice(
        merchant_id=merchant_id, payee_kind=payee[0], payee_id=payee[1],
        currency=money.currency, amount=money.minor, number=number, given_by=by,
    )  # fmt: skip
    try:
        with db.session.begin_nested():
            db.session.add(invoice)
            db.session.flush()
    except IntegrityError as error:
        message = _("This invoice number is known already.")
        wrong = FieldError("/number", "number_taken", message)
        raise NumberTaken(message, errors=(wrong,)) from error
    _record("invoice.given", invoice, by)
    return invoice


def decide(
    merchant_id: int, invoice_id: int, *, by: int, confirmed: bool, reason: str | None = None
) -> Invoice:
    """By finance. The same again changes nothing."""
    invoice = find(merchant_id, invoice_id, lock=True)
    state = "confirmed" if confirmed else "refused"
    if invoice.state == state:
        return invoice
    if invoice.state != "given":
        raise Decided(_("This invoice is decided already."))
    if not confirmed and not reason:
        raise invalid("/reason", "missing", _("Say why."))
    invoice.state, invoice.reason = state, reason
    invoice.decided_by, invoice.decided_at = by, clock.now()
    invoice.version += 1
    db.session.flush()
    _record(f"invoice.{state}", invoice, by)
    return invoice


def find(merchant_id: int, invoice_id: int, *, lock: bool = False) -> Invoice:
    found = db.session.get(
        Invoice, (merchant_id, invoice_id), with_for_update=lock or None, populate_existing=lock
    )
    if found is None:
        raise NotFound(_("There is no such invoice."))
    return found


def left(merchant_id: int, payee: Payee, currency: str) -> int:
    """What is confirmed and not used up by payouts."""
    mine = {"merchant_id": merchant_id, "payee_kind": payee[0], "payee_id": payee[1]}
    given = sa.select(sa.func.coalesce(sa.func.sum(Invoice.amount), 0)).filter_by(
        **mine, currency=currency, state="confirmed"
    )
    used = (
        sa.select(sa.func.coalesce(sa.func.sum(Payout.gross), 0))
        .filter_by(**mine, currency=currency, invoiced=True)
        .where(Payout.state.not_in([State.FAILED, State.CANCELLED, State.RETURNED]))
    )
    return int(db.session.scalars(given).one()) - int(db.session.scalars(used).one())


def _record(action: str, invoice: Invoice, by: int) -> None:
    audit.record(
        action, subject=f"inv:{invoice.id}", by=by, merchant_id=invoice.merchant_id,
        amount=invoice.amount, currency=invoice.currency, number=invoice.number,
        reason=invoice.reason,
    )  # fmt: skip
