"""Connecting shops and keeping their products."""

from affiliate.catalog.service.groups import (
    GroupExists,
    change_product_group,
    create_product_group,
    dissolve_product_group,
)
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
from affiliate.catalog.service.reviews import TakenReviews, delete_reviews, take_reviews
from affiliate.catalog.service.sales import keep_sales
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
    "PICTURES_MAX",
    "Gone",
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
    "check_place",
    "create_product",
    "create_product_group",
    "create_shop",
    "delete_reviews",
    "disconnect_shop",
    "dissolve_product_group",
    "faults_of",
    "keep_sales",
    "keys",
    "leave_unseen",
    "put_products",
    "see_products",
    "take_products",
    "take_reviews",
    "webhook_secrets",
]
