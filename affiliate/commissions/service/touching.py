"""Which days' orders changed, for what is counted of them."""

from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.orders.queries import Stored

MARKS = 5000  # taken at once

_TOUCH = sa.text("""
    INSERT INTO touched_days (merchant_id, created_at, day)
    SELECT DISTINCT m.id, CAST(:now AS timestamptz), CAST(at AT TIME ZONE m.timezone AS date)
      FROM unnest(CAST(:times AS timestamptz[])) AS at JOIN merchants m ON m.id = :merchant
""")
_TAKE = sa.text("""
    DELETE FROM touched_days WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM touched_days ORDER BY id LIMIT :marks FOR UPDATE SKIP LOCKED))
    RETURNING merchant_id, day
""")


def touch(merchant_id: int, orders: Sequence[Stored]) -> None:
    """One row a day, however many orders; added only, so nobody waits for another's booking."""
    times = {_quarter(each.facts.placed_at) for each in orders if each.facts.placed_at}
    if times:
        given = {"merchant": merchant_id, "times": list(times), "now": clock.now()}
        db.session.execute(_TOUCH, given)


def take_touched() -> list[tuple[int, date]]:
    """Merchants and days, each once; they come again if this transaction fails. What is read in it
    from here on has everything that was booked when these were marked.
    """
    rows = db.session.execute(_TAKE, {"marks": MARKS})
    return sorted({(row.merchant_id, row.day) for row in rows})


def _quarter(at: datetime) -> datetime:
    """Every zone's midnight is the beginning of one."""
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
