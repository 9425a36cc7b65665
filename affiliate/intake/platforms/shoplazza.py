"""Shoplazza 店匠 and Shopline (beta): signed and shaped like Shopify, under their own names.

Facts: shoplazza.dev/reference/webhook-properties; developer.shopline.com. No order of theirs was at
hand, so a field or a status that differs is put aside and seen, never guessed at.
"""

from functools import partial

from affiliate.intake.platforms import shopify
from affiliate.intake.platforms.interface import Knock, Platform, by_content


def of(brand: str, delivery_header: str) -> Platform:
    def delivery(knock: Knock) -> str:
        return f"{knock.header(delivery_header)[:100]}:{by_content(knock)}"

    def topic(knock: Knock) -> str:
        return knock.header(f"X-{brand}-Topic")[:100]

    return Platform(
        signed=partial(shopify.signed, brand=brand),
        order_key=shopify.order_key,
        read=shopify.read,
        delivery=delivery,
        topic=topic,
    )


PLATFORM = of("Shoplazza", "X-Shoplazza-Deduplication-ID")
SHOPLINE = of("Shopline", "X-Shopline-Webhook-Id")
