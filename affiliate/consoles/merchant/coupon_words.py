"""A coupon in words: what it gives, what is wrong with it, and where a person copies it to."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from affiliate import formats
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.platforms import connection
from affiliate.i18n import _
from affiliate.intake.coupons import COUPONS
from affiliate.intake.models import ShopCoupon

# Where discounts are made, as the platforms call their own menus.
PLACES: Mapping[str, str] = MappingProxyType(
    {
        Platform.SHOPIFY: "Discounts → Create discount → Amount off order",
        Platform.WOOCOMMERCE: "Marketing → Coupons → Add coupon",
        Platform.TIENDANUBE: "Descuentos → Cupones / Descontos → Cupons",
        Platform.STRIPE: "Product catalog → Coupons → Promotion codes",
        Platform.MERCADOLIBRE: "Publicidad → Central de promociones → Cupones",
        Platform.WECHAT: "营销 → 优惠券",
        Platform.TIKTOK: "Promotions → Vouchers",
        Platform.SHOPEE: "Marketing Centre → Vouchers",
        Platform.YOUZAN: "营销 → 优惠码",
        Platform.BIGCOMMERCE: "Marketing → Coupon codes",
        Platform.SHOPLAZZA: "Discounts → Discount code",
        Platform.SHOPLINE: "Promotions → Discount codes",
    }
)
REASONS: Mapping[str, Any] = MappingProxyType(
    {
        "exists": _("This code exists in the shop already, and was not made by us."),
        "gone": _("The code is in the shop no more: somebody deleted it there."),
        "switched_off": _("Somebody switched the code off in the shop."),
        "unauthorized": _("The shop does not know us any more: look at its access."),
        "no_answer": _("The shop does not answer. It is asked again by itself."),
    }
)


def discount(row: ShopCoupon) -> str:
    """ "10%", or "15.00 BRL"."""
    if row.amount is not None:
        return formats.money(row.amount, row.currency)
    return formats.ppm(row.percent_ppm or 0)


def reason(row: ShopCoupon, shop: Shop) -> Any:
    """Why it failed, or why the shop could not be asked; None if nothing is wrong."""
    if row.error is None:
        return None
    code, words = row.error["code"], row.error["message"]
    if code == "no_right":
        return _("The access of the shop lacks %(right)s.", right=COUPONS[shop.platform].right)
    if code in REASONS:
        return REASONS[code]
    return _("The shop refuses it: %(words)s", words=words or code)


def place(shop: Shop) -> str:
    return PLACES.get(shop.platform, "")


def is_told(shop: Shop) -> bool:
    """Whether the orders of this platform name their coupons."""
    return "coupon" in connection(shop.platform).carries
