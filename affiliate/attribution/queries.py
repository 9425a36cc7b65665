"""Who orders are credited to, as it is written down."""

from collections.abc import Collection

import sqlalchemy as sa

from affiliate.attribution.models import Attribution
from affiliate.db import db


def of_orders(orders: Collection[tuple[int, int]]) -> dict[tuple[int, int], Attribution]:
    """By (merchant, order)."""
    key = sa.tuple_(Attribution.merchant_id, Attribution.order_id)
    rows = db.session.scalars(sa.select(Attribution).where(key.in_(list(orders))))
    return {(row.merchant_id, row.order_id): row for row in rows}
