"""What orders say of coupons: the first one that carries a code proves that the shop has it."""

from collections.abc import Sequence

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import among, db
from affiliate.intake.models import CouponState, ShopCoupon
from affiliate.orders.queries import Stored
from affiliate.programs.book import normal_code


def note(merchant_id: int, shop_id: int, orders: Sequence[Stored]) -> None:
    """One statement for all that carry any; most carry none."""
    codes = {normal_code(code) for order in orders for code in order.facts.coupons}
    if not codes:
        return
    db.session.execute(
        sa.update(ShopCoupon)
        .where(
            ShopCoupon.merchant_id == merchant_id,
            ShopCoupon.shop_id == shop_id,
            among(ShopCoupon.normal_code, sorted(codes)),
            ShopCoupon.state != CouponState.REMOVED,
            ShopCoupon.seen_at.is_(None),
        )
        .values(seen_at=clock.now())
        .execution_options(synchronize_session=False)
    )
