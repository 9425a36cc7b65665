"""One file per shop platform: how its webhooks are proved and read, how its API is asked.

Each ends with its `PLATFORM`; docs/new-platform.md tells how to add one.
"""

from affiliate.intake.platforms import (
    bigcommerce,
    file,
    mercadolibre,
    mercadopago,
    shopee,
    shopify,
    shoplazza,
    standard,
    stripe,
    tiendanube,
    tiktok,
    wechat,
    woocommerce,
    youzan,
)
from affiliate.intake.platforms.interface import Knock, Platform, Report

__all__ = ["PLATFORMS", "Knock", "Platform", "Report"]

PLATFORMS: dict[str, Platform] = {
    "shopify": shopify.PLATFORM,
    "woocommerce": woocommerce.PLATFORM,
    "stripe": stripe.PLATFORM,
    "tiendanube": tiendanube.PLATFORM,
    "mercadolibre": mercadolibre.PLATFORM,
    "wechat": wechat.PLATFORM,
    "file": file.PLATFORM,
    "tiktok": tiktok.PLATFORM,
    "shopee": shopee.PLATFORM,
    "mercadopago": mercadopago.PLATFORM,
    "youzan": youzan.PLATFORM,
    "bigcommerce": bigcommerce.PLATFORM,
    "shoplazza": shoplazza.PLATFORM,
    "shopline": shoplazza.SHOPLINE,
    "standard": standard.PLATFORM,
}
