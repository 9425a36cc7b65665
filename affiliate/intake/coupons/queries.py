"""How coupons stand in the shops, as it is written down."""

from collections.abc import Collection

import sqlalchemy as sa

from affiliate.attribution.models import Coupon
from affiliate.catalog import service as shops
from affiliate.catalog.models import Shop
from affiliate.catalog.platforms import connection
from affiliate.db import among_keys, db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.intake.coupons import COUPONS
from affiliate.intake.models import CouponState, ShopCoupon, Wish

Key = tuple[int, int]  # merchant, coupon


def can_be_asked(shop: Shop) -> bool:
    """Whether the platform takes coupons by its API, and the connection has what that needs."""
    return shop.platform in COUPONS and shops.keys(shop).has(connection(shop.platform).api)


def of_coupons(coupons: Collection[Key]) -> dict[Key, list[ShopCoupon]]:
    """In which shops these coupons are, or were."""
    found: dict[Key, list[ShopCoupon]] = {key: [] for key in coupons}
    rows = db.session.scalars(
        sa.select(ShopCoupon)
        .where(among_keys(ShopCoupon.merchant_id, ShopCoupon.coupon_id, found))
        .order_by(ShopCoupon.id)
    )
    for row in rows:
        found[row.merchant_id, row.coupon_id].append(row)
    return found


def live(coupon: Coupon, *, lock: bool = False) -> list[ShopCoupon]:
    """Where it still is, or is wanted."""
    rows = sa.select(ShopCoupon).where(
        ShopCoupon.merchant_id == coupon.merchant_id,
        ShopCoupon.coupon_id == coupon.id,
        ShopCoupon.wish != Wish.REMOVED,
    )
    if lock:
        rows = rows.with_for_update().execution_options(populate_existing=True)
    return list(db.session.scalars(rows.order_by(ShopCoupon.id)))


def in_shop(coupon: Coupon, shop_id: int, *, lock: bool = False) -> ShopCoupon:
    """The coupon in one shop; of several times there the last."""
    rows = sa.select(ShopCoupon).where(
        ShopCoupon.merchant_id == coupon.merchant_id,
        ShopCoupon.coupon_id == coupon.id,
        ShopCoupon.shop_id == shop_id,
    )
    if lock:
        rows = rows.with_for_update().execution_options(populate_existing=True)
    found = db.session.scalars(rows.order_by(ShopCoupon.id.desc()).limit(1)).first()
    if found is None:
        raise NotFound(_("This coupon is not in this shop."))
    return found


def states(merchant_id: int) -> dict[str, int]:
    """How many there are of each state."""
    rows = db.session.execute(
        sa.select(ShopCoupon.state, sa.func.count())
        .where(ShopCoupon.merchant_id == merchant_id, ShopCoupon.state != CouponState.REMOVED)
        .group_by(ShopCoupon.state)
    )
    return {state: count for state, count in rows}  # noqa: C416
