"""Closing a month: its books are proven first, and take no more transfers afterwards."""

from collections.abc import Sequence
from datetime import UTC, date

import sqlalchemy as sa

from affiliate import audit, clock
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, Invalid
from affiliate.i18n import _
from affiliate.ledger import closes, verify
from affiliate.ledger.models import BookClose
from affiliate.people import queries as people
from affiliate.programs import grades
from affiliate.settlement.service.states import person


class NotOver(Invalid):
    code = "month_not_over"


class NotNext(Conflict):
    code = "month_not_next"


class BooksBroken(Conflict):
    code = "books_broken"


def close(merchant_id: int, month: date, *, by: int) -> BookClose:
    """Of two at once one closes it, and the other is answered the same. The first close takes in
    all that was before it.
    """
    user = person(by)
    merchant = people.merchant(merchant_id)
    _one_at_a_time(merchant_id)
    known = _closed(merchant_id, month)
    if known is not None:
        return known
    until = grades.begins(grades.shifted(month, 1), merchant.timezone).astimezone(UTC)
    if until > clock.now():
        raise _refused(NotOver, "month_not_over", _("This month is not over yet."))
    if month != (next_month(merchant_id) or month):
        raise _refused(NotNext, "month_not_next", _("Months close one after the other."))
    _prove(merchant_id)
    row = closes.close(merchant_id, month, timezone=merchant.timezone, until=until, by=user.id)
    audit.record(
        "books.closed", subject=f"bkc:{row.id}", by=user.id, merchant_id=merchant_id,
        month=f"{month:%Y-%m}", hash=row.hash.hex(),
    )  # fmt: skip
    return row


def next_month(merchant_id: int) -> date | None:
    """The one after the last that was closed; None as long as any may be the first."""
    last = closes.last(merchant_id)
    return grades.shifted(last.month, 1) if last else None


def waiting(merchant_id: int) -> list[date]:
    """Months that may be closed now, in their order: only the first of them, unless none is yet."""
    merchant = people.merchant(merchant_id)
    this = grades.month_of(clock.now(), merchant.timezone)
    month = next_month(merchant_id)
    if month is None:
        began = closes.first_moved(merchant_id)
        month = grades.month_of(began, merchant.timezone) if began else this
    found = []
    while month < this:
        found.append(month)
        month = grades.shifted(month, 1)
    return found


def of_merchant(merchant_id: int) -> Sequence[BookClose]:
    return db.session.scalars(
        sa.select(BookClose).filter_by(merchant_id=merchant_id).order_by(BookClose.until.desc())
    ).all()


def _closed(merchant_id: int, month: date) -> BookClose | None:
    return db.session.scalar(sa.select(BookClose).filter_by(merchant_id=merchant_id, month=month))


def _one_at_a_time(merchant_id: int) -> None:
    name = f"closing books:{merchant_id}"
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


def _prove(merchant_id: int) -> None:
    """Each check is one statement and so of one instant: nobody has to wait meanwhile."""
    found = verify.of_merchant(merchant_id)
    if found:
        message = _("The books do not prove themselves, so they cannot be closed.")
        errors = tuple(FieldError("", each.check, f"{each.row}: {each.wrong}") for each in found)
        raise BooksBroken(message, errors=errors)


def _refused(kind: type[Invalid | Conflict], code: str, words: str) -> Invalid | Conflict:
    return kind(words, errors=(FieldError("/month", code, str(words)),))
