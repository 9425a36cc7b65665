"""Who orders are credited to, as it is written down."""

from collections.abc import Collection
from typing import TypeVar

import sqlalchemy as sa

from affiliate.attribution.models import Attribution, Claim, Coupon, Sharer
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.orders.models import Order, Status


def of_orders(orders: Collection[tuple[int, int]]) -> dict[tuple[int, int], Attribution]:
    """By (merchant, order)."""
    key = sa.tuple_(Attribution.merchant_id, Attribution.order_id)
    rows = db.session.scalars(sa.select(Attribution).where(key.in_(list(orders))))
    return {(row.merchant_id, row.order_id): row for row in rows}


def coupon(merchant_id: int, coupon_id: int, *, lock: bool = False) -> Coupon:
    return _one(Coupon, (merchant_id, coupon_id), lock)


def sharer(merchant_id: int, sharer_id: int, *, lock: bool = False) -> Sharer:
    return _one(Sharer, (merchant_id, sharer_id), lock)


def claim(merchant_id: int, claim_id: int, *, lock: bool = False) -> Claim:
    return _one(Claim, (merchant_id, claim_id), lock)


Row = TypeVar("Row", Coupon, Sharer, Claim)


def _one(model: type[Row], key: tuple[int, int], lock: bool) -> Row:
    found = db.session.get(model, key, with_for_update=lock or None, populate_existing=lock)
    if found is None:
        raise NotFound(_("There is no such thing here."))
    return found


def orders_of(claim: Claim) -> list[Order]:
    """The orders that a claim may be about, by the buyer's number or the shop's id; newest first.

    More than one is rare: a number that is another order's id.
    """
    number = claim.order_number.lstrip("#")
    return list(
        db.session.scalars(
            sa.select(Order)
            .where(
                Order.merchant_id == claim.merchant_id,
                Order.shop_id == claim.shop_id,
                Order.status != Status.STUB,
                sa.or_(Order.external_id == number, Order.number.in_([number, f"#{number}"])),
            )
            .order_by(Order.id.desc())
            .limit(2)
        )
    )
