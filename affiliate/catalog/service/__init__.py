"""Connecting shops and keeping their products."""

from affiliate.catalog.service.products import (
    BULK_MAX,
    PICTURES_MAX,
    Gone,
    ProductExists,
    ProductFacts,
    Stored,
    VariantFacts,
    change_product,
    create_product,
    faults_of,
    leave_unseen,
    put_products,
    see_products,
    take_products,
)
from affiliate.catalog.service.shops import (
    Keys,
    ShopExists,
    change_shop,
    create_shop,
    keys,
    webhook_secrets,
)

__all__ = [
    "BULK_MAX",
    "PICTURES_MAX",
    "Gone",
    "Keys",
    "ProductExists",
    "ProductFacts",
    "ShopExists",
    "Stored",
    "VariantFacts",
    "change_product",
    "change_shop",
    "create_product",
    "create_shop",
    "faults_of",
    "keys",
    "leave_unseen",
    "put_products",
    "see_products",
    "take_products",
    "webhook_secrets",
]
