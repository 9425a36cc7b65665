"""Tax that went to the authority: told once for each merchant, currency and month.

What is remitted is the tax of all payouts that were paid by the month's end and not remitted yet,
so a payment that is told of late goes along with the next month.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate import audit, clock
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, NotFound, invalid
from affiliate.i18n import _
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting
from affiliate.money import Money
from affiliate.payouts.models import Payout, Remittance, State
from affiliate.people import queries as people


class RemittedAlready(Conflict):
    code = "remitted_already"


class OtherAmount(Conflict):
    code = "other_amount"


@dataclass(frozen=True, slots=True)
class Due:
    """The tax of a month that a merchant still has."""

    merchant_id: int
    currency: str
    month: date
    payouts: int
    amount: int


def due(merchant_ids: list[int] | None) -> list[Due]:
    """By merchant, currency and month of payment; the oldest first."""
    rows = db.session.execute(DUE, {"scope": merchant_ids})
    return [Due(row.merchant_id, row.currency, row.month, row.payouts, row.amount) for row in rows]


def to_remit(merchant_id: int, currency: str, month: date) -> int:
    """What a remittance of this month would be."""
    until = _end(month, people.merchant(merchant_id).timezone)
    found = db.session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(Payout.withheld - Payout.credited), 0)).where(
            *_of(merchant_id, currency, until)
        )
    )
    return int(found or 0)


def remit(
    merchant_id: int,
    currency: str,
    month: date,
    *,
    amount: int,
    reference: str,
    by: int,
    note: str | None = None,
) -> Remittance:
    """Told after it was paid. The amount is what the payouts say, or it is refused."""
    merchant = people.merchant(merchant_id)
    month = month.replace(day=1)
    until = _end(month, merchant.timezone)
    if until > clock.now():
        raise invalid("/month", "not_over", _("This month is not over yet."))
    remittance = Remittance(
        merchant_id=merchant_id, currency=currency, month=month, amount=amount,
        reference=reference, created_by=by, note=note,
    )  # fmt: skip
    _add(remittance)
    # Whoever returns one of them meanwhile waits, and then finds that its tax is gone.
    payouts = db.session.scalars(
        sa.select(Payout)
        .where(*_of(merchant_id, currency, until))
        .order_by(Payout.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    there = sum(each.withheld - each.credited for each in payouts)
    if there != amount:
        message = _(
            "%(there)s were withheld and not remitted until then.",
            there=str(Money(there, currency)),
        )
        raise OtherAmount(message, errors=(FieldError("/money", "other_amount", message),))
    for each in payouts:
        each.remittance_id = remittance.id
        each.version += 1
    db.session.flush()
    ledger.post([_posting(remittance)])
    audit.record(
        "tax.remitted", subject=f"rem:{remittance.id}", by=by, merchant_id=merchant_id,
        amount=amount, currency=currency, month=f"{month:%Y-%m}", reference=reference,
    )  # fmt: skip
    return remittance


def find(merchant_id: int, remittance_id: int) -> Remittance:
    found = db.session.get(Remittance, (merchant_id, remittance_id))
    if found is None:
        raise NotFound(_("There is no such remittance."))
    return found


def _add(remittance: Remittance) -> None:
    try:
        with db.session.begin_nested():
            db.session.add(remittance)
            db.session.flush()
    except sa.exc.IntegrityError as error:
        if "reference" in str(error.orig.diag.constraint_name):  # type: ignore[union-attr]
            message = _("A remittance of this merchant with this reference is booked already.")
            wrong = FieldError("/reference", "reference_taken", message)
        else:
            message = _("This month is remitted already.")
            wrong = FieldError("/month", "remitted_already", message)
        raise RemittedAlready(message, errors=(wrong,)) from error


def _of(merchant_id: int, currency: str, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Payout.merchant_id == merchant_id,
        Payout.currency == currency,
        Payout.state == State.PAID,
        Payout.withheld > Payout.credited,
        Payout.remittance_id.is_(None),
        Payout.paid_at < until,
    )


def _end(month: date, zone: str) -> datetime:
    after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return datetime.combine(after, time.min, ZoneInfo(zone)).astimezone(UTC)


def _posting(remittance: Remittance) -> Posting:
    merchant, currency = remittance.merchant_id, remittance.currency
    return Posting(
        Code.REMIT,
        f"remittance:{remittance.id}",
        ledger.tax(merchant, currency),
        ledger.clearing(merchant, currency),
        remittance.amount,
    )


DUE = sa.text("""
    SELECT p.merchant_id, p.currency,
           CAST(date_trunc('month', p.paid_at AT TIME ZONE m.timezone) AS date) AS month,
           count(*) AS payouts, CAST(sum(p.withheld - p.credited) AS bigint) AS amount
      FROM payouts p JOIN merchants m ON m.id = p.merchant_id
     WHERE p.state = 'paid' AND p.withheld > p.credited AND p.remittance_id IS NULL
       AND (CAST(:scope AS bigint[]) IS NULL OR p.merchant_id = ANY(:scope))
     GROUP BY p.merchant_id, p.currency, month
     ORDER BY month, p.merchant_id, p.currency
""")
