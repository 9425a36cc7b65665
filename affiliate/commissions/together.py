"""What promoters who sell one thing sell as well: counted once a day, to recommend by.

Only numbers come out of it, and none of fewer promoters than FEW: nobody learns who sells what.
"""

from datetime import timedelta

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db

DAYS = 30
FEW = 3
EACH = 10  # others that are kept of a product
MOST = 200  # products of one promoter that are looked at: their best

_FORGET = sa.text("DELETE FROM sold_together WHERE merchant_id = :merchant")
_COUNT = sa.text("""
    WITH sold AS (
        SELECT payee_id, product_id
          FROM (SELECT c.payee_id, p.id AS product_id,
                       row_number() OVER (PARTITION BY c.payee_id
                                          ORDER BY count(*) DESC, p.id) AS place
                  FROM orders o
                  JOIN commissions c ON c.merchant_id = o.merchant_id AND c.order_id = o.id
                                    AND c.payee_kind = 'promoter' AND c.role = 'direct'
                  JOIN order_lines l ON l.merchant_id = c.merchant_id AND l.id = c.line_id
                  JOIN products p ON p.merchant_id = o.merchant_id AND p.shop_id = o.shop_id
                                 AND p.external_id = l.product_external_id
                 WHERE o.merchant_id = :merchant AND o.placed_at >= :since
                   AND o.paid_at IS NOT NULL AND o.cancelled_at IS NULL
                 GROUP BY 1, 2) AS each
         WHERE place <= :most
    ), pairs AS (
        SELECT a.product_id, b.product_id AS other_id, count(*) AS promoters,
               row_number() OVER (PARTITION BY a.product_id
                                  ORDER BY count(*) DESC, b.product_id) AS place
          FROM sold a JOIN sold b ON b.payee_id = a.payee_id AND b.product_id <> a.product_id
         GROUP BY 1, 2 HAVING count(*) >= :few
    )
    INSERT INTO sold_together (merchant_id, product_id, other_id, promoters)
    SELECT :merchant, product_id, other_id, promoters FROM pairs WHERE place <= :each
""")


def count(merchant_id: int) -> None:
    """One merchant's anew. Safe to call again."""
    db.session.execute(_FORGET, {"merchant": merchant_id})
    given = {
        "merchant": merchant_id,
        "since": clock.now() - timedelta(days=DAYS),
        "most": MOST,
        "few": FEW,
        "each": EACH,
    }
    db.session.execute(_COUNT, given)
