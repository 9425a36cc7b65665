"""What was sold of each product lately, as whoever reads the orders counted it."""

from collections.abc import Mapping

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog.models import Sales
from affiliate.db import db, inserting


def keep_sales(merchant_id: int, sold: Mapping[int, tuple[int, int]]) -> None:
    """By product the pieces of a month and of its last week; these are all there are from now."""
    db.session.execute(sa.delete(Sales).where(Sales.merchant_id == merchant_id))
    if sold:
        now = clock.now()
        rows = [
            {
                "merchant_id": merchant_id,
                "product_id": product_id,
                "pieces": pieces,
                "lately": lately,
                "counted_at": now,
            }
            for product_id, (pieces, lately) in sorted(sold.items())
        ]
        db.session.execute(inserting(Sales, rows))
