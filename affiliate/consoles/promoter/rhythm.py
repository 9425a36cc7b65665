"""When a merchant may pay next, from how far apart its last settlements were."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.people.models import Merchant, PayoutMode

LATEST = 7  # settlements that are looked at
A_DAY = timedelta(days=1)

_RHYTHM = sa.text("""
    SELECT max(executed_at) AS last, percentile_disc(0.5) WITHIN GROUP (ORDER BY gap) AS gap
      FROM (SELECT executed_at, executed_at - lag(executed_at) OVER (ORDER BY executed_at) AS gap
              FROM (SELECT executed_at FROM settlements
                     WHERE merchant_id = :merchant AND executed_at IS NOT NULL
                     ORDER BY id DESC LIMIT :latest) AS latest) AS gaps
""")


def next_payday(merchant: Merchant, ready: datetime) -> datetime | None:
    """For what is ready then. None where the merchant waits to be asked, or has no rhythm yet."""
    if merchant.payout_mode == PayoutMode.ON_REQUEST:
        return None
    given = {"merchant": merchant.id, "latest": LATEST}
    row = db.session.execute(_RHYTHM, given).one()
    if row.gap is None or row.gap < A_DAY:
        return None
    wait = max(ready, clock.now()) - row.last
    found: datetime = row.last + row.gap * max(1, -(-wait // row.gap))
    return found
