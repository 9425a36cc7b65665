"""How good a program is to share, from what everybody's links brought lately: counted once a day.

Only sums come out of it, and none of few clicks or orders: nobody learns what another earns.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import among_keys, db, inserting
from affiliate.insight import store
from affiliate.insight.models import OfferFigures
from affiliate.insight.store import Question
from affiliate.people.models import Merchant

DAYS = 90
CLICKS, ORDERS = 100, 20  # fewer say nothing


def count(merchant_id: int) -> None:
    """One merchant's anew. Safe to call again."""
    zone = ZoneInfo(db.session.get_one(Merchant, merchant_id).timezone)
    today = clock.now().astimezone(zone).date()
    asked = Question(today - timedelta(days=DAYS), today, merchant_ids=[merchant_id])
    clicks = {each.key: each.valid_clicks for each in store.clicks_by("program", asked)}
    rows = [
        {
            "merchant_id": merchant_id,
            "program_id": each.key,
            "currency": each.currency,
            "clicks": clicks.get(each.key, 0),
            "orders": each.orders,
            "kept_orders": each.kept_orders,
            "revenue": each.revenue,
            "refunds": each.refunds,
            "earned": each.earned,
        }
        for each in store.orders_by("program", asked)
        if each.key
    ]
    db.session.execute(sa.delete(OfferFigures).where(OfferFigures.merchant_id == merchant_id))
    if rows:
        db.session.execute(inserting(OfferFigures, rows))


def figures(programs: Collection[tuple[int, int]]) -> dict[tuple[int, int], list[OfferFigures]]:
    """By program, those of the most orders first: one for each currency that says something."""
    found: dict[tuple[int, int], list[OfferFigures]] = {}
    if programs:
        rows: Sequence[OfferFigures] = db.session.scalars(
            sa.select(OfferFigures)
            .where(
                among_keys(OfferFigures.merchant_id, OfferFigures.program_id, programs),
                OfferFigures.orders >= ORDERS,
            )
            .order_by(OfferFigures.orders.desc(), OfferFigures.currency)
        ).all()
        for row in rows:
            found.setdefault((row.merchant_id, row.program_id), []).append(row)
    return found
