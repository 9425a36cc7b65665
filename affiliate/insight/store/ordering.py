"""Days of orders: counted from the orders themselves, a whole day at a time."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate.db import db
from affiliate.people.models import Merchant

_AT_WORK = 7_425_320
_ORDERS = sa.text("""
    INSERT INTO order_days (merchant_id, day, currency, shop_id, program_id, promoter_id, link_id,
        orders, paid_orders, kept_orders, revenue, refunds, commission, earned)
    SELECT merchant_id, :day, currency, shop_id, program_id, promoter_id, link_id, count(*),
           count(*) FILTER (WHERE paid),
           count(*) FILTER (WHERE paid AND NOT undone AND (back < worth OR worth = 0)),
           coalesce(sum(worth) FILTER (WHERE paid), 0), coalesce(sum(back) FILTER (WHERE paid), 0),
           coalesce(sum(commission), 0), coalesce(sum(earned), 0)
      FROM (
        SELECT o.merchant_id, o.currency, o.shop_id, o.paid_at IS NOT NULL AS paid,
               coalesce(a.program_id, 0) AS program_id, coalesce(a.promoter_id, 0) AS promoter_id,
               coalesce(a.link_id, 0) AS link_id, coalesce(o.total, 0) AS worth,
               o.cancelled_at IS NOT NULL OR o.refunded_fully AS undone,
               CASE WHEN o.cancelled_at IS NOT NULL OR o.refunded_fully THEN coalesce(o.total, 0)
                    ELSE coalesce(r.back, 0) END AS back,
               e.commission, e.earned
          FROM orders o
          LEFT JOIN attributions a ON a.merchant_id = o.merchant_id AND a.order_id = o.id
           AND a.refusal IS NULL
          LEFT JOIN LATERAL (
            SELECT sum(amount) AS back FROM refunds
             WHERE merchant_id = o.merchant_id AND order_id = o.id AND status = 'succeeded'
          ) r ON true
          LEFT JOIN LATERAL (
            SELECT sum(amount) AS commission,
                   sum(amount) FILTER (WHERE payee_kind = 'promoter' AND payee_id = a.promoter_id)
                   AS earned
              FROM entries
             WHERE merchant_id = o.merchant_id AND order_id = o.id AND state <> 'estimated'
          ) e ON true
         WHERE o.merchant_id = :merchant AND o.placed_at >= :since AND o.placed_at < :until
           AND NOT o.test AND o.status <> 'stub'
      ) AS each
     GROUP BY merchant_id, currency, shop_id, program_id, promoter_id, link_id
""")
# Touches that might have won: those refused (too old, not a member …) assisted nobody.
_ASSISTS = sa.text("""
    INSERT INTO assist_days (merchant_id, day, promoter_id, assists)
    SELECT o.merchant_id, :day, CAST(note->1->>'promoter' AS bigint), count(DISTINCT o.id)
      FROM orders o
      JOIN attributions a ON a.merchant_id = o.merchant_id AND a.order_id = o.id,
           jsonb_array_elements(a.trace->'choice') AS note
     WHERE o.merchant_id = :merchant AND o.placed_at >= :since AND o.placed_at < :until
       AND NOT o.test AND note->1->>'source' = 'click'
       AND note->>0 IN ('earlier_touch', 'later_touch', 'lower_source', 'other_program',
                        'claim_above')
       AND NOT EXISTS (
         SELECT FROM jsonb_array_elements(a.trace->'choice') AS best
          WHERE best->>0 IN ('won', 'won_part') AND best->1->'promoter' = note->1->'promoter')
     GROUP BY 1, 3
""")


def claim_orders() -> bool:
    """Be the only one who counts days, until the transaction ends."""
    return bool(db.session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_AT_WORK))))


def count_orders(merchant_id: int, day: date) -> None:
    """Replace what is counted of this day in the merchant's zone."""
    zone = ZoneInfo(db.session.get_one(Merchant, merchant_id).timezone)
    asked = {
        "merchant": merchant_id,
        "day": day,
        "since": datetime.combine(day, time.min, zone),
        "until": datetime.combine(day + timedelta(days=1), time.min, zone),
    }
    for table in ("order_days", "assist_days"):
        gone = f"DELETE FROM {table} WHERE merchant_id = :merchant AND day = :day"  # noqa: S608
        db.session.execute(sa.text(gone), {"merchant": merchant_id, "day": day})
    db.session.execute(_ORDERS, asked)
    db.session.execute(_ASSISTS, asked)
