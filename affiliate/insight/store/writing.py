"""Storing clicks with everything that is counted of them, in one transaction."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import sqlalchemy as sa
from flask import current_app

from affiliate import clock, security
from affiliate.db import among, db
from affiliate.insight import places
from affiliate.insight.staging import COLUMNS, Owner, Rows, Stage
from affiliate.insight.store import segments
from affiliate.links.models import Link
from affiliate.people.models import Merchant

REPEAT_SECONDS = 10
QUARTERS_DAYS = 3
ADDRESS_DAYS = 30
OWNERS_MAX = 200_000
OWNERS_SECONDS = 60.0  # a merchant may move to another zone

_SETTINGS = sa.text("SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")
_STAGING = sa.text("""
    CREATE TEMPORARY TABLE IF NOT EXISTS click_staging (
        id bytea, at timestamptz, link_id bigint, merchant_id bigint, promoter_id bigint,
        day date, quarter timestamptz, ip inet, user_agent text, referrer text, scanned boolean,
        reason text, visitor bigint, device text, os text, browser text, app text, language text,
        host text, country text, before timestamptz
    ) ON COMMIT DELETE ROWS
""")
_COPY = f"COPY click_staging ({', '.join(COLUMNS)}) FROM STDIN"

# Only rows that are really new are counted, so that reading a stretch again changes nothing.
# Sorted, and one table after the other, so that two writers take all rows in one order.
#
# `visits` decides what is a new visitor and what a second tap: whoever comes second to a visitor's
# row waits for the first to end. A tap within ten seconds of the one before it in the batch, or of
# the newest that is stored, is its repeat: of two only one is, whichever segment is read first.
_COUNTS = """
    count(*) AS clicks, count(*) FILTER (WHERE verdict IS NULL) AS valid_clicks,
    count(*) FILTER (WHERE is_new) AS visitors,
    count(*) FILTER (WHERE scanned AND verdict IS NULL) AS scans
"""


def _add(table: str) -> str:
    names = ("clicks", "valid_clicks", "visitors", "scans")
    return ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in names)


_INSERT = sa.text(f"""
    WITH seen AS (
        INSERT INTO visits AS v (day, link_id, visitor, last)
        SELECT day, link_id, visitor, max(at) FROM click_staging WHERE visitor IS NOT NULL
         GROUP BY day, link_id, visitor ORDER BY day, link_id, visitor
        ON CONFLICT (day, link_id, visitor) DO UPDATE
           SET previous = v.last, last = greatest(v.last, excluded.last)
        RETURNING day, link_id, visitor, previous
    ), judged AS MATERIALIZED (
        SELECT o.*, o.visitor IS NOT NULL AND o.before IS NULL AND s.previous IS NULL AS is_new,
               CASE WHEN o.visitor IS NULL THEN o.reason
                    WHEN o.at < o.before + :repeat THEN 'repeat'
                    WHEN o.at > s.previous - :repeat AND o.at < s.previous + :repeat THEN 'repeat'
               END AS verdict
          FROM click_staging o LEFT JOIN seen s ON s.day = o.day AND s.link_id = o.link_id
           AND s.visitor = o.visitor
    ), fresh AS (
        INSERT INTO clicks (id, at, link_id, ip, user_agent, referrer, scanned, reason, visitor,
                            device, os, browser, app, country, language)
        SELECT id, at, link_id, ip, user_agent, referrer, scanned, verdict, visitor,
               device, os, browser, app, country, language
          FROM judged ON CONFLICT DO NOTHING RETURNING id
    ), counted AS MATERIALIZED (
        SELECT j.link_id, j.day, j.quarter, j.merchant_id, j.promoter_id, j.verdict, j.is_new,
               j.scanned, j.device, coalesce(j.os, '') AS os, coalesce(j.browser, '') AS browser,
               coalesce(j.app, '') AS app, coalesce(j.country, '') AS country,
               coalesce(j.language, '') AS language, coalesce(j.host, '') AS referrer
          FROM judged j JOIN fresh f ON f.id = j.id
    ), links AS (
        INSERT INTO link_days (link_id, day, merchant_id, promoter_id,
                               clicks, valid_clicks, visitors, scans)
        SELECT link_id, day, min(merchant_id), min(promoter_id), {_COUNTS}
          FROM counted GROUP BY link_id, day ORDER BY link_id, day
        ON CONFLICT (link_id, day) DO UPDATE SET {_add("link_days")},
           merchant_id = coalesce(link_days.merchant_id, excluded.merchant_id),
           promoter_id = coalesce(link_days.promoter_id, excluded.promoter_id)
    ), alike AS MATERIALIZED (
        SELECT merchant_id, promoter_id, day, device, os, browser, app, country, language, referrer,
               {_COUNTS}
          FROM counted WHERE merchant_id IS NOT NULL
         GROUP BY merchant_id, promoter_id, day, device, os, browser, app, country, language,
                  referrer
    ), days AS (
        INSERT INTO click_days (merchant_id, promoter_id, dimension, day, value,
                                clicks, valid_clicks, visitors, scans)
        SELECT merchant_id, CASE grouping(promoter_id) WHEN 0 THEN promoter_id ELSE 0 END,
               CASE 0 WHEN grouping(device) THEN 'device' WHEN grouping(os) THEN 'os'
                      WHEN grouping(browser) THEN 'browser' WHEN grouping(app) THEN 'app'
                      WHEN grouping(country) THEN 'country' WHEN grouping(language) THEN 'language'
                      WHEN grouping(referrer) THEN 'referrer' ELSE 'total' END,
               day,
               CASE 0 WHEN grouping(device) THEN device WHEN grouping(os) THEN os
                      WHEN grouping(browser) THEN browser WHEN grouping(app) THEN app
                      WHEN grouping(country) THEN country WHEN grouping(language) THEN language
                      WHEN grouping(referrer) THEN referrer ELSE '' END,
               sum(clicks), sum(valid_clicks), sum(visitors), sum(scans)
          FROM alike
         GROUP BY GROUPING SETS (
               (merchant_id, day), (merchant_id, day, device), (merchant_id, day, os),
               (merchant_id, day, browser), (merchant_id, day, app), (merchant_id, day, country),
               (merchant_id, day, language), (merchant_id, day, referrer),
               (merchant_id, day, promoter_id), (merchant_id, day, promoter_id, device),
               (merchant_id, day, promoter_id, app), (merchant_id, day, promoter_id, country))
         ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (merchant_id, promoter_id, dimension, day, value)
        DO UPDATE SET {_add("click_days")}
    ), quarters AS (
        INSERT INTO click_quarters (merchant_id, promoter_id, at,
                                    clicks, valid_clicks, visitors, scans)
        SELECT merchant_id, CASE grouping(promoter_id) WHEN 0 THEN promoter_id ELSE 0 END,
               quarter, {_COUNTS}
          FROM counted WHERE merchant_id IS NOT NULL AND quarter >= :recent
         GROUP BY GROUPING SETS ((merchant_id, quarter), (merchant_id, quarter, promoter_id))
         ORDER BY 1, 2, 3
        ON CONFLICT (merchant_id, promoter_id, at) DO UPDATE SET {_add("click_quarters")}
    )
    SELECT count(*) FROM fresh
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Kept:
    new: int = 0
    damaged: int = 0


def keep(lines: Iterable[bytes], *, segment: str, upto: int) -> Kept:
    """Store the clicks of whole lines, what is counted of them, and how far the segment is read,
    all in one transaction. The caller has claimed the segment.
    """
    rows = _stage().rows(lines, now=clock.now())
    new = _insert(rows) if rows.count else 0
    segments.advance(segment, upto)
    return Kept(new, rows.damaged)


def _insert(rows: Rows) -> int:
    db.session.execute(_SETTINGS)
    db.session.execute(_STAGING)
    raw = db.session.connection().connection.driver_connection
    assert raw is not None
    with raw.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write(rows.text)
    given = {"repeat": timedelta(seconds=REPEAT_SECONDS), "recent": recent(clock.now())}
    return int(db.session.scalars(_INSERT, given).one())


def recent(now: datetime) -> datetime:
    """Since when quarters of an hour are kept."""
    return now - timedelta(days=QUARTERS_DAYS)


# --- what a writer remembers -----------------------------------------------------------------


class Owners:
    """Whose links are: asked of the database once a minute."""

    def __init__(self) -> None:
        self._known: dict[int, Owner] = {}
        self._until = 0.0

    def __call__(self, link_ids: Collection[int]) -> Mapping[int, Owner]:
        if monotonic() > self._until or len(self._known) > OWNERS_MAX:
            self._known = {}
            self._until = monotonic() + OWNERS_SECONDS
        if missing := [each for each in link_ids if each not in self._known]:
            found = db.session.execute(
                sa.select(Link.id, Link.merchant_id, Link.promoter_id, Merchant.timezone)
                .join(Merchant, Merchant.id == Link.merchant_id)
                .where(among(Link.id, missing))
            )
            self._known |= {row.id: Owner(*row[1:]) for row in found}
        return self._known


def _stage() -> Stage:
    """One for each process, made when its first click is written."""
    made: Stage | None = current_app.extensions.get("clicks")
    if made is None:
        settings = current_app.config["SETTINGS"]
        made = Stage(
            security.key("visitors"), places.finder(settings.geoip), Owners(),
            timedelta(days=ADDRESS_DAYS),
        )  # fmt: skip
        current_app.extensions["clicks"] = made
    return made
