"""What a promoter may want to share next, each with the reason: what sold by their own links, what
others sell who sell the same, and what sells at all. One statement; numbers of people, never who.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.i18n import _n

DAYS = 30
SHOWN = 4

_FOUND = sa.text("""
    WITH own AS (
        SELECT p.merchant_id, p.id, count(DISTINCT o.id) AS number
          FROM commissions c
          JOIN orders o ON o.merchant_id = c.merchant_id AND o.id = c.order_id
          JOIN order_lines l ON l.merchant_id = c.merchant_id AND l.id = c.line_id
          JOIN products p ON p.merchant_id = o.merchant_id AND p.shop_id = o.shop_id
                         AND p.external_id = l.product_external_id
         WHERE c.payee_id = :promoter AND c.payee_kind = 'promoter' AND c.role = 'direct'
           AND o.placed_at >= :since AND o.paid_at IS NOT NULL AND o.cancelled_at IS NULL
         GROUP BY 1, 2
    ), similar_ones AS (
        SELECT t.merchant_id, t.other_id AS id, max(t.promoters) AS number
          FROM own JOIN sold_together t ON t.merchant_id = own.merchant_id
                                       AND t.product_id = own.id
         WHERE (t.merchant_id, t.other_id) NOT IN (SELECT merchant_id, id FROM own)
         GROUP BY 1, 2
    ), liked AS (
        SELECT s.merchant_id, s.product_id AS id, s.pieces AS number
          FROM product_sales s
         WHERE s.merchant_id = ANY(:merchants)
         ORDER BY s.pieces DESC, s.product_id LIMIT :most
    )
    (SELECT 1 AS rank, 'similar' AS why, * FROM similar_ones ORDER BY number DESC, id LIMIT :most)
    UNION ALL
    (SELECT 2, 'own', * FROM own ORDER BY number DESC, id LIMIT :most)
    UNION ALL
    (SELECT 3, 'liked', * FROM liked)
    ORDER BY 1, 5 DESC, 4
""")


@dataclass(frozen=True, slots=True)
class Advice:
    merchant_id: int
    product_id: int
    reason: Any


def advice(promoter_id: int, merchant_ids: list[int]) -> list[Advice]:
    """The best reason of each product, the best products first; more than are shown, as some of
    them may not be shared any more.
    """
    given = {
        "promoter": promoter_id,
        "since": clock.now() - timedelta(days=DAYS),
        "merchants": merchant_ids,
        "most": SHOWN * 5,
    }
    found: dict[tuple[int, int], Advice] = {}
    for _rank, why, merchant_id, product_id, number in db.session.execute(_FOUND, given):
        advised = Advice(merchant_id, product_id, _reason(why, int(number)))
        found.setdefault((merchant_id, product_id), advised)
    return list(found.values())


def _reason(why: str, number: int) -> Any:
    if why == "similar":
        return _n(
            "%(num)s promoter sells it who sells what you sell",
            "%(num)s promoters sell it who sell what you sell",
            number,
        )
    if why == "own":
        return _n(
            "%(num)s order through your links lately",
            "%(num)s orders through your links lately",
            number,
        )
    return _n("%(num)s sold lately", "%(num)s sold lately", number)
