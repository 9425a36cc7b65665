"""A chain of hashes over everything booked, so that tampering shows even where no trigger ran.

A seal covers the transfers of all transactions in a range of transaction numbers. Its end is the
snapshot's xmin: every transaction below it is over, so nothing can be added to the range later,
and no writer ever waits for the sealer.
"""

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.ledger.models import Seal, Transfer

# The database's refusal of a transfer that would come under a seal already made.
BEHIND = "ledger_transfers_unsealed_check"


def seal() -> int:
    """Seal what was booked since the last seal; returns how many transfers that were.

    Two at once make one seal: the second waits, and finds nothing left to do.
    """
    db.session.execute(LOCK)
    last = db.session.scalar(sa.select(Seal).order_by(Seal.to_xact.desc()).limit(1))
    begin, shift = (last.to_xact, last.shift) if last else (0, 0)
    horizon = db.session.scalars(HORIZON).one()
    if horizon + shift >= begin:
        return _add(last, begin, horizon + shift, shift)
    # Restored on a server that has counted less far than the one that made the last seal. Nothing
    # was booked here yet (the database refuses it), so all there is may be sealed; from here on
    # the shift keeps the numbers growing.
    end = max(begin, db.session.scalar(sa.select(sa.func.max(Transfer.xact))) or 0) + 1
    return _add(last, begin, end, end - horizon, even_empty=True)


def _add(last: Seal | None, begin: int, end: int, shift: int, *, even_empty: bool = False) -> int:
    given = {
        "previous": last.hash if last else None,
        "begin": begin,
        "end": end,
        "shift": shift,
        "now": clock.now(),
        "even_empty": even_empty,
    }
    return db.session.scalar(SEAL, given) or 0


LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('ledger_seals', 0))")
HORIZON = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
SEAL = sa.text("""
    INSERT INTO ledger_seals (from_xact, to_xact, shift, created_at, transfers, hash)
    SELECT bounds.*, transfers,
           ledger_hash(CAST(:previous AS bytea), from_xact, to_xact, shift, created_at, leaves)
      FROM (SELECT CAST(:begin AS bigint), CAST(:end AS bigint), CAST(:shift AS bigint),
                   CAST(:now AS timestamptz)) AS bounds (from_xact, to_xact, shift, created_at)
      CROSS JOIN LATERAL ledger_batch(from_xact, to_xact)
     WHERE transfers > 0 OR :even_empty
    RETURNING transfers
""")
