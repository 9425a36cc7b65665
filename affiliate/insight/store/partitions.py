"""The months of clicks and visits: made ahead, and dropped when their time is over."""

from datetime import UTC, date, datetime

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db

MONTHS_AHEAD = 3
VISITS_MONTHS = 2  # the last and this one: nothing older comes out of a spool twice
ROWS = 20_000  # of one batch
_AT_WORK = 7_425_319
_KEYS = {"clicks": "at", "visits": "day"}


def make_partitions() -> list[str]:
    """The months from the last one to three ahead, where they do not exist; returns the new ones.

    What came of a month that was not there yet lies in the default partition and moves.
    """
    _alone()
    there = _there()
    now = clock.now()
    wanted = [(table, _month(now, step)) for table in _KEYS for step in range(-1, MONTHS_AHEAD + 1)]
    missing = [(table, start) for table, start in wanted if _name(table, start) not in there]
    for table, start in missing:
        _make(table, start)
    return [_name(table, start) for table, start in missing]


def drop_old(*, months: int) -> list[str]:
    """Months of clicks that are older than that many whole ones, and visits of before the last;
    returns those that went. What was counted of them stays.
    """
    _alone()
    now = clock.now()
    # This month counts as none: it has only begun.
    first = {"clicks": _month(now, -months), "visits": _month(now, 1 - VISITS_MONTHS)}
    gone = [
        name
        for name in sorted(_there())
        for table, start in first.items()
        if name.startswith(f"{table}_2") and name < _name(table, start)
    ]
    for name in gone:
        db.session.execute(sa.text(f"DROP TABLE {name}"))
    return gone


def drop_strays(*, months: int) -> bool:
    """The same for what lies in a default partition, some rows at a time; whether there is more."""
    limits = {"clicks": months, "visits": VISITS_MONTHS - 1}
    more = False
    for table, kept in limits.items():
        strays = sa.text(f"""
            DELETE FROM {table}_default WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM {table}_default WHERE {_KEYS[table]} < :limit LIMIT {ROWS}))
        """)  # noqa: S608
        found = db.session.execute(strays, {"limit": _month(clock.now(), -kept)})
        more = more or found.rowcount == ROWS  # type: ignore[attr-defined]
    return more


def _alone() -> None:
    """One process at a time; and who reads or writes clicks waits for us at most this long."""
    db.session.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_AT_WORK)))


def _there() -> set[str]:
    find = (
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent IN ('clicks'::regclass, 'visits'::regclass)"
    )
    return set(db.session.scalars(sa.text(find)))


def _make(table: str, start: datetime) -> None:
    name, key = _name(table, start), _KEYS[table]
    span = {"start": _bound(table, start), "end": _bound(table, _month(start, 1))}
    # Nobody may add to the default partition between the move and the attachment. Clicks of
    # other months go on: they need the parent only.
    db.session.execute(sa.text(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE"))
    db.session.execute(sa.text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
    move = sa.text(f"""
        WITH moved AS (
            DELETE FROM {table}_default WHERE {key} >= :start AND {key} < :end RETURNING *
        ) INSERT INTO {name} SELECT * FROM moved
    """)  # noqa: S608
    db.session.execute(move, span)
    bounds = f"FROM ('{span['start'].isoformat()}') TO ('{span['end'].isoformat()}')"
    attach = f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}"
    db.session.execute(sa.text(attach))


def _month(now: datetime, step: int) -> datetime:
    count = now.astimezone(UTC).year * 12 + now.month - 1 + step
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _bound(table: str, start: datetime) -> date:
    return start.date() if table == "visits" else start


def _name(table: str, start: datetime) -> str:
    return f"{table}_{start:%Y_%m}"
