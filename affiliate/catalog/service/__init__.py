"""Connecting shops and keeping their products."""

from affiliate.catalog.service.groups import (
    GroupExists,
    change_product_group,
    create_product_group,
    dissolve_product_group,
)
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
from affiliate.catalog.service.reviews import TakenReviews, delete_reviews, take_reviews
from affiliate.catalog.service.sales import keep_sales
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
    "GroupExists",
    "Keys",
    "ProductExists",
    "ProductFacts",
    "ShopExists",
    "Stored",
    "TakenReviews",
    "VariantFacts",
    "change_product",
    "change_product_group",
    "change_shop",
    "create_product",
    "create_product_group",
    "create_shop",
    "delete_reviews",
    "dissolve_product_group",
    "keep_sales",
    "keys",
    "put_products",
    "take_reviews",
    "webhook_secrets",
]
