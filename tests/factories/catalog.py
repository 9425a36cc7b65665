"""Shops and products for tests."""

import itertools

from affiliate.catalog import queries, service
from affiliate.catalog.models import Product, Shop
from affiliate.catalog.service import ProductFacts
from affiliate.people.models import Merchant
from tests.factories.people import a_merchant

_numbers = itertools.count(1)
SHOPIFY_SECRET = "shpss_hush-hush-hush"


def a_shop(
    merchant: Merchant | None = None,
    *,
    platform: str = "standard",
    domain: str | None = None,
    currency: str | None = None,
    country: str | None = None,
    secret: str | None = None,
    **fields: str,
) -> Shop:
    """A connected shop; `service.webhook_secrets(shop)[0]` is what it signs with."""
    merchant = merchant or a_merchant()
    if secret is None and platform == "shopify":
        secret = SHOPIFY_SECRET
    shop, _ = service.create_shop(
        merchant.id,
        platform=platform,
        domain=domain or f"shop{next(_numbers)}.example.com",
        currency=currency or merchant.currency,
        country=country or merchant.country,
        credentials={"webhook_secret": secret} if secret else {},
        **fields,
    )
    return shop


def a_product(shop: Shop | None = None, **fields: object) -> Product:
    shop = shop or a_shop()
    number = next(_numbers)
    given = {
        "external_id": f"p{number}",
        "title": f"Product {number}",
        "url": f"https://{shop.domain}/products/{number}",
        "price": 19990,
    }
    product = service.create_product(shop, ProductFacts(**(given | fields)))
    return queries.product(shop.merchant_id, product.id)
