"""Which writer has a segment of the spool, and how far it is stored."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.links.models import SpoolOffset

OFFSETS_KEPT_DAYS = 30
_ADVANCE = sa.text("""
    INSERT INTO spool_offsets (segment, bytes) VALUES (:segment, :bytes)
    ON CONFLICT (segment) DO UPDATE SET bytes = excluded.bytes
""")


def claim(segment: str) -> bool:
    """Have a segment to oneself until the transaction ends; False when another writer has it."""
    lock = sa.func.pg_try_advisory_xact_lock(sa.func.hashtextextended(f"spool/{segment}", 0))
    return bool(db.session.scalar(sa.select(lock)))


def offset_of(segment: str) -> int:
    """How many bytes of a segment are stored already."""
    find = sa.select(SpoolOffset.bytes).where(SpoolOffset.segment == segment)
    return db.session.scalar(find) or 0


def offsets(segments: Sequence[str]) -> dict[str, int]:
    rows = db.session.execute(
        sa.select(SpoolOffset.segment, SpoolOffset.bytes).where(SpoolOffset.segment.in_(segments))
    )
    return {row.segment: row.bytes for row in rows}


def forget(segment: str) -> None:
    db.session.execute(sa.delete(SpoolOffset).where(SpoolOffset.segment == segment))


def forget_old_offsets() -> None:
    """Offsets whose segment was removed by a writer that died before it could say so.

    Segments are named after the time they began. To forget too much does no harm: what is read
    twice is stored once.
    """
    oldest = clock.now() - timedelta(days=OFFSETS_KEPT_DAYS)
    begun = f"{int(oldest.timestamp() * 1_000_000):017d}"
    db.session.execute(sa.delete(SpoolOffset).where(SpoolOffset.segment < begun))


def advance(segment: str, upto: int) -> None:
    """A part of the transaction that stores the clicks up to there."""
    db.session.execute(_ADVANCE, {"segment": segment, "bytes": upto})
