"""A promoter's coupon codes: what buyers save by each, and whether it works by now."""

from dataclasses import dataclass

import sqlalchemy as sa

from affiliate import formats
from affiliate.attribution.models import Coupon
from affiliate.catalog.models import Shop
from affiliate.db import db
from affiliate.intake.coupons import queries as in_shops
from affiliate.intake.models import CouponState, ShopCoupon, Wish
from affiliate.people import queries as people

MOST = 50


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    saves: str
    state: str  # ready, waiting or paused


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    merchant: str
    places: list[Place]


def of(promoter_id: int) -> list[Code]:
    """Those that are the promoter's now, newest first."""
    mine = sa.select(Coupon).where(Coupon.promoter_id == promoter_id, Coupon.until.is_(None))
    coupons = db.session.scalars(mine.order_by(Coupon.id.desc()).limit(MOST)).all()
    if not coupons:
        return []
    standing = in_shops.of_coupons([(each.merchant_id, each.id) for each in coupons])
    merchants = people.merchants({each.merchant_id for each in coupons})
    return [
        Code(
            each.code,
            merchants[each.merchant_id].name,
            [_place(row) for row in standing[each.merchant_id, each.id]],
        )
        for each in coupons
    ]


def _place(row: ShopCoupon) -> Place:
    shop = db.session.get_one(Shop, (row.merchant_id, row.shop_id))
    saves = (
        formats.ppm(row.percent_ppm)
        if row.percent_ppm is not None
        else formats.money(row.amount or 0, row.currency)
    )
    return Place(shop.name, saves, _state(row))


def _state(row: ShopCoupon) -> str:
    """What went wrong is the merchant's to know: here it is not ready yet."""
    if row.target != Wish.THERE or row.state == CouponState.PAUSED:
        return "paused"
    works = row.state == CouponState.THERE or (row.state == CouponState.BY_HAND and row.seen_at)
    return "ready" if works else "waiting"
