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
from affiliate.catalog.service.shops import (
    Keys,
    ShopExists,
    change_shop,
    check_place,
    create_shop,
    disconnect_shop,
    keys,
    webhook_secrets,
)

__all__ = [
    "BULK_MAX",
    "Keys",
    "ProductExists",
    "ProductFacts",
    "ShopExists",
    "Stored",
    "VariantFacts",
    "change_product",
    "change_shop",
    "check_place",
    "create_product",
    "create_shop",
    "disconnect_shop",
    "keys",
    "put_products",
    "webhook_secrets",
]
