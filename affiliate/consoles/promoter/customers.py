"""Customers who are tied to a promoter, each under a sign that tells nothing of who it is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate import clock, ids
from affiliate.attribution import queries as attribution
from affiliate.attribution.queries import Bound
from affiliate.catalog.models import Shop
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.db import among_keys, db
from affiliate.orders.models import Order

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Row:
    sign: str
    shop: str
    order: str
    ordered_at: datetime | None
    days: int  # that are left; a day that has begun counts
    protected_days: int


@bp.get("/orders/customers")
def customers() -> ResponseReturnValue:
    found = attribution.bound_to(current_promoter_id(), SHOWN)
    keys = [(each.merchant_id, each.order_id) for each in found]
    rows = db.session.execute(
        sa.select(Order.merchant_id, Order.id, Shop.name, Order.placed_at)
        .join(Shop, sa.and_(Shop.merchant_id == Order.merchant_id, Shop.id == Order.shop_id))
        .where(among_keys(Order.merchant_id, Order.id, keys))
    )
    orders = {(merchant, order): (shop, at) for merchant, order, shop, at in rows}
    now = clock.now()
    return render_template(
        "promoter/customers.html",
        rows=[_row(each, *orders[each.merchant_id, each.order_id], now) for each in found],
    )


def _row(bound: Bound, shop: str, ordered_at: datetime | None, now: datetime) -> Row:
    return Row(
        bound.customer.hex()[:4].upper(),
        shop,
        ids.encode("ord", bound.merchant_id, bound.order_id),
        ordered_at,
        _days(bound.until - now),
        max(0, _days(bound.protected_until - now)),
    )


def _days(left: timedelta) -> int:
    return -(-left // timedelta(days=1))
