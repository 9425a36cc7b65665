"""Connecting shops and keeping their products."""

from affiliate.catalog.service.products import (
    BULK_MAX,
    ProductExists,
    ProductFacts,
    Stored,
    VariantFacts,
    change_product,
    create_product,
    put_products,
)
from affiliate.catalog.service.shops import ShopExists, change_shop, create_shop, webhook_secrets

__all__ = [
    "BULK_MAX",
    "ProductExists",
    "ProductFacts",
    "ShopExists",
    "Stored",
    "VariantFacts",
    "change_product",
    "change_shop",
    "create_product",
    "create_shop",
    "put_products",
    "webhook_secrets",
]
