"""The one seam to where clicks are kept: PostgreSQL, in monthly partitions with daily rollups.

Another store for analytics would be a second module with these verbs, under the same tests.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.links.models import SpoolOffset
from affiliate.links.spool import Click

MONTHS_AHEAD = 3
OFFSETS_KEPT_DAYS = 30
_MAKING_PARTITIONS = 7_425_319


# --- segments --------------------------------------------------------------------------------


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


# --- clicks ----------------------------------------------------------------------------------

_STAGING = sa.text("""
    CREATE TEMPORARY TABLE IF NOT EXISTS click_staging (
        id bytea, at timestamptz, link_id bigint, ip inet, user_agent text, referrer text,
        scanned boolean
    ) ON COMMIT DELETE ROWS
""")
_COPY = "COPY click_staging (id, at, link_id, ip, user_agent, referrer, scanned) FROM STDIN"

# Only rows that are really new are counted, so that reading a stretch again changes nothing.
# Sorted, so that two writers take the rollup's rows in one order.
_INSERT = sa.text("""
    WITH fresh AS (
        INSERT INTO clicks (id, at, link_id, ip, user_agent, referrer, scanned)
        SELECT id, at, link_id, ip, user_agent, referrer, scanned FROM click_staging
        ON CONFLICT DO NOTHING
        RETURNING link_id, at
    ), days AS (
        INSERT INTO link_days (link_id, day, clicks)
        SELECT link_id, (at AT TIME ZONE 'UTC')::date AS day, count(*)
        FROM fresh GROUP BY link_id, day ORDER BY link_id, day
        ON CONFLICT (link_id, day) DO UPDATE SET clicks = link_days.clicks + excluded.clicks
    )
    SELECT count(*) FROM fresh
""")
_ADVANCE = sa.text("""
    INSERT INTO spool_offsets (segment, bytes) VALUES (:segment, :bytes)
    ON CONFLICT (segment) DO UPDATE SET bytes = excluded.bytes
""")


def keep(clicks: Sequence[Click], *, segment: str, upto: int) -> int:
    """Store clicks, their rollups and how far the segment is read, all in one transaction.

    Returns how many were new. The caller has claimed the segment.
    """
    new = _insert(clicks) if clicks else 0
    db.session.execute(_ADVANCE, {"segment": segment, "bytes": upto})
    return new


def _insert(clicks: Sequence[Click]) -> int:
    db.session.execute(_STAGING)
    raw = db.session.connection().connection.driver_connection
    assert raw is not None
    with raw.cursor() as cursor, cursor.copy(_COPY) as copy:
        for each in clicks:
            copy.write_row(
                (
                    each.id,
                    each.at,
                    each.link_id,
                    _address(each.ip),
                    each.user_agent or None,
                    each.referrer or None,
                    each.scanned,
                )
            )
    return int(db.session.scalars(_INSERT).one())


@lru_cache(maxsize=65_536)
def _address(text: str) -> str | None:
    """What PostgreSQL takes as an address: no interface names, nothing a proxy made up."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


# --- partitions ------------------------------------------------------------------------------


def make_partitions() -> list[str]:
    """The months from the last one to three ahead, where they do not exist; returns the new ones.

    Clicks of a month that was not there yet lie in the default partition and move.
    """
    db.session.execute(sa.text("SET LOCAL lock_timeout = '4s'"))
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING_PARTITIONS)))
    there = set(
        db.session.scalars(
            sa.text("SELECT inhrelid::regclass::text FROM pg_inherits"
                    " WHERE inhparent = 'clicks'::regclass")
        )
    )  # fmt: skip
    now = clock.now()
    months = [_month(now, step) for step in range(-1, MONTHS_AHEAD + 1)]
    missing = [start for start in months if _name(start) not in there]
    for start in missing:
        _make(start)
    return [_name(start) for start in missing]


def _make(start: datetime) -> None:
    name, end = _name(start), _month(start, 1)
    span = {"start": start, "end": end}
    # Nobody may add to the default partition between the move and the attachment. Clicks of
    # other months go on: they need the parent only.
    db.session.execute(sa.text("LOCK TABLE clicks_default IN ACCESS EXCLUSIVE MODE"))
    db.session.execute(sa.text(f"CREATE TABLE {name} (LIKE clicks INCLUDING ALL)"))
    move = sa.text(f"""
        WITH moved AS (DELETE FROM clicks_default WHERE at >= :start AND at < :end RETURNING *)
        INSERT INTO {name} SELECT * FROM moved
    """)  # noqa: S608
    db.session.execute(move, span)
    db.session.execute(
        sa.text(f"ALTER TABLE clicks ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')")
    )  # fmt: skip


def _month(now: datetime, step: int) -> datetime:
    count = now.astimezone(UTC).year * 12 + now.month - 1 + step
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _name(start: datetime) -> str:
    return f"clicks_{start:%Y_%m}"
