"""What was sold of each product lately, as whoever reads the orders counted it."""

from collections.abc import Mapping

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog.models import Sales
from affiliate.db import db, inserting


def keep_sales(merchant_id: int, pieces: Mapping[int, int]) -> None:
    """By product; these are all there are from now on."""
    db.session.execute(sa.delete(Sales).where(Sales.merchant_id == merchant_id))
    if pieces:
        now = clock.now()
        rows = [
            {"merchant_id": merchant_id, "product_id": each, "pieces": count, "counted_at": now}
            for each, count in sorted(pieces.items())
        ]
        db.session.execute(inserting(Sales, rows))
