"""Months whose books are closed. Not to be taken for `closed_months`, by which promoters' sales are
counted: those close by themselves and stop no money.
"""

from datetime import date, datetime

import sqlalchemy as sa

from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.ledger.models import BookClose

# The database's refusal of a transfer that would come into a closed month.
CLOSED = "ledger_transfers_open_month_check"


def last(merchant_id: int) -> BookClose | None:
    return db.session.scalar(
        sa.select(BookClose)
        .where(BookClose.merchant_id == merchant_id)
        .order_by(BookClose.until.desc())
        .limit(1)
    )


def find(merchant_id: int, close_id: int) -> BookClose:
    found = db.session.get(BookClose, (merchant_id, close_id))
    if found is None:
        raise NotFound(_("There is no such closed month."))
    return found


def first_moved(merchant_id: int) -> datetime | None:
    """When the first transfer of these books was made."""
    found: datetime | None = db.session.scalar(FIRST_MOVED, {"merchant": merchant_id})
    return found


def close(merchant_id: int, month: date, *, timezone: str, until: datetime, by: int) -> BookClose:
    """No transfer comes before this instant any more. Waits for those under way; the database
    counts how the books stand, and refuses a month that is not the next one.
    """
    row = BookClose(
        merchant_id=merchant_id, month=month, timezone=timezone, until=until, closed_by=by
    )
    db.session.add(row)
    db.session.flush()
    return row


FIRST_MOVED = sa.text("""
    SELECT created_at FROM ledger_transfers WHERE merchant_id = :merchant ORDER BY id LIMIT 1
""")
