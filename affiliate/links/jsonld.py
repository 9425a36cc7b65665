"""What machines read of the page: schema.org's Product with its Offer, and nothing but what the
page shows. It comes from shops, so nothing in it can close the element it stands in.
"""

import json
from typing import Any

from affiliate.catalog.offers import Offer
from affiliate.links.landing import Goods, Opinion, clipped
from affiliate.money import decimal_text

SUMMARY_BYTES = 400
REVIEWS_MOST = 2
REVIEW_BYTES = 200
_ESCAPES = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def product(goods: Goods, pictures: list[str]) -> str:
    said: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": goods.title,
        "url": goods.url,
        "description": clipped(goods.description, SUMMARY_BYTES),
        "image": pictures[:1],
        "offers": _offers(goods),
    }
    if goods.reviews:
        whole, tenth = goods.rating
        said["aggregateRating"] = {
            "@type": "AggregateRating",
            "ratingValue": f"{whole}.{tenth}",
            "reviewCount": goods.reviews,
            "bestRating": 5,
            "worstRating": 1,
        }
        said["review"] = [_review(each) for each in goods.opinions[:REVIEWS_MOST]]
    kept = {name: value for name, value in said.items() if value}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def _offers(goods: Goods) -> dict[str, Any] | None:
    """Nothing where there is no price: an offer without one is none."""
    offer = goods.offer
    if offer.low is None or offer.high is None or not offer.is_sold:
        return None
    low = decimal_text(offer.low.minor, offer.low.currency)
    said: dict[str, Any] = {"@type": "Offer", "price": low}
    if offer.is_range:
        high = decimal_text(offer.high.minor, offer.high.currency)
        said = {"@type": "AggregateOffer", "lowPrice": low, "highPrice": high}
        said["offerCount"] = len(goods.choices) + goods.more_choices
    said["priceCurrency"] = offer.low.currency
    said["availability"] = f"https://schema.org/{_availability(offer)}"
    if offer.until is not None:
        said["priceValidUntil"] = offer.until.isoformat().replace("+00:00", "Z")
    if goods.url:
        said["url"] = goods.url
    said["seller"] = {"@type": "Organization", "name": goods.shop}
    return said


def _availability(offer: Offer) -> str:
    return "OutOfStock" if offer.is_sold_out else "InStock"


def _review(opinion: Opinion) -> dict[str, Any]:
    said = {
        "@type": "Review",
        "reviewRating": {"@type": "Rating", "ratingValue": opinion.rating, "bestRating": 5},
        "author": {"@type": "Person", "name": opinion.author} if opinion.author else None,
        "datePublished": opinion.day and opinion.day.isoformat(),
        "reviewBody": clipped(opinion.text, REVIEW_BYTES),
        "publisher": {"@type": "Organization", "name": opinion.origin},
    }
    return {name: value for name, value in said.items() if value}
