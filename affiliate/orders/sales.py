"""How many pieces of each product were sold lately: counted once a day for the pages that say so.

In doubt a piece is not counted: the number stands where people decide whether to buy.
"""

from datetime import timedelta

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import service as catalog
from affiliate.db import db

DAYS = 30
WEEK = 7  # to tell what sells better than before

# A refund that names a line without a number takes all of it; one that names no line at all, but
# gives more back than shipping, takes the order.
_SOLD = sa.text("""
    WITH sold AS (
        SELECT products.id, orders.placed_at,
               greatest(line.quantity - coalesce(back.pieces, 0), 0) AS pieces
        FROM orders
        JOIN order_lines AS line
          ON line.merchant_id = orders.merchant_id AND line.order_id = orders.id
        JOIN products
          ON products.merchant_id = orders.merchant_id AND products.shop_id = orders.shop_id
         AND products.external_id = line.product_external_id
        LEFT JOIN LATERAL (
            SELECT sum(coalesce(named.quantity, line.quantity)) AS pieces
            FROM refunds
            CROSS JOIN LATERAL
                 jsonb_to_recordset(refunds.lines) AS named (line text, quantity bigint)
            WHERE refunds.merchant_id = orders.merchant_id AND refunds.order_id = orders.id
              AND refunds.status = 'succeeded' AND named.line = line.external_id
        ) AS back ON true
        WHERE orders.merchant_id = :merchant AND orders.placed_at >= :since
          AND orders.paid_at IS NOT NULL AND orders.cancelled_at IS NULL
          AND NOT orders.test AND NOT orders.refunded_fully
          AND line.kind = 'product' AND NOT line.removed
          AND NOT EXISTS (
              SELECT FROM refunds
              WHERE refunds.merchant_id = orders.merchant_id AND refunds.order_id = orders.id
                AND refunds.status = 'succeeded' AND jsonb_array_length(refunds.lines) = 0
                AND (refunds.amount IS NULL OR refunds.amount > refunds.shipping)
          )
    )
    SELECT id, sum(pieces) AS pieces, sum(pieces) FILTER (WHERE placed_at >= :week) AS lately
    FROM sold
    GROUP BY id HAVING sum(pieces) > 0
""")


def count(merchant_id: int) -> int:
    """Count one merchant's anew; how many products have any."""
    since, week = (clock.now() - timedelta(days=days) for days in (DAYS, WEEK))
    rows = db.session.execute(_SOLD, {"merchant": merchant_id, "since": since, "week": week})
    sold = {product_id: (int(pieces), int(lately or 0)) for product_id, pieces, lately in rows}
    catalog.keep_sales(merchant_id, sold)
    return len(sold)
