"""Coupons in the shops: made, paused and deleted there by the shop's own API, or by hand.

`wishes` writes what a merchant wants, `asking` makes the shop so, one file per platform says how.
"""

from affiliate.intake.coupons import shopify, tiendanube, woocommerce
from affiliate.intake.coupons.interface import Coupons

__all__ = ["COUPONS", "Coupons"]

COUPONS: dict[str, Coupons] = {
    "shopify": shopify.COUPONS,
    "woocommerce": woocommerce.COUPONS,
    "tiendanube": tiendanube.COUPONS,
}
