"""What is forgotten as time goes by: addresses, and counts by the quarter of an hour.

In batches, each a transaction of its own: nobody who writes clicks waits long for any of them.
"""

from datetime import timedelta

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.insight.store.writing import ADDRESS_DAYS, recent

ROWS = 20_000
_WORK = "addresses"

_UPTO = sa.text("SELECT upto FROM click_marks WHERE work = :work FOR UPDATE")
_OLDEST = sa.text("SELECT at FROM clicks ORDER BY at LIMIT 1")
# The rows of one instant stay together, so that the mark can stand after them.
_END = sa.text("""
    SELECT max(at) FROM (
        SELECT at FROM clicks WHERE at >= :since AND at < :limit ORDER BY at LIMIT :rows
    ) AS found
""")
_COARSE = sa.text("""
    UPDATE clicks SET ip = network(set_masklen(ip, CASE family(ip) WHEN 4 THEN 24 ELSE 48 END))
     WHERE at >= :since AND at <= :until AND masklen(ip) IN (32, 128)
""")
_MARK = sa.text("""
    INSERT INTO click_marks (work, upto) VALUES (:work, :upto)
    ON CONFLICT (work) DO UPDATE SET upto = excluded.upto
""")
_QUARTERS = sa.text("""
    DELETE FROM click_quarters WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM click_quarters WHERE at < :limit LIMIT :rows))
""")


def coarsen_addresses() -> bool:
    """Of clicks that are thirty days old only the network stays; whether there is more to do.

    What comes out of a spool later than that is stored so from the beginning.
    """
    limit = clock.now() - timedelta(days=ADDRESS_DAYS)
    since = db.session.scalar(_UPTO, {"work": _WORK}) or db.session.scalar(_OLDEST)
    if since is None or since >= limit:
        return False
    until = db.session.scalar(_END, {"since": since, "limit": limit, "rows": ROWS})
    if until is None:
        db.session.execute(_MARK, {"work": _WORK, "upto": limit})
        return False
    db.session.execute(_COARSE, {"since": since, "until": until})
    db.session.execute(_MARK, {"work": _WORK, "upto": until + timedelta(microseconds=1)})
    return True


def forget_quarters() -> bool:
    """Whether there is more to do."""
    gone = db.session.execute(_QUARTERS, {"limit": recent(clock.now()), "rows": ROWS})
    return bool(gone.rowcount == ROWS)  # type: ignore[attr-defined]
