"""What the page in between shows of a product: text as shoppers read it, within bounds.

A copy is good for half a second, so that a thousand open pages that hear of one change ask the
database once. Everything on the page together stays below 40 KB, whatever a shop stores.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from markupsafe import escape

from affiliate import clock
from affiliate.catalog import offers, rules
from affiliate.catalog import queries as catalog
from affiliate.catalog.markup import plain
from affiliate.catalog.models import Product, Review, Shop
from affiliate.catalog.offers import Offer
from affiliate.catalog.platforms import connection
from affiliate.db import AWAY, db
from affiliate.money import Money
from affiliate.people.models import Merchant

FRESH_SECONDS = 0.5
KNOWN_MOST = 2_000
SOLD_LEAST = 5  # fewer say nothing, and might say who
FEW = 5  # "only 3 left"
TITLE_BYTES, DESCRIPTION_BYTES = 1300, 4000
PICTURES_MOST, PICTURES_BYTES = 6, 2400
VARIANTS_MOST, VARIANT_BYTES = 16, 80
REVIEWS_MOST, REVIEW_BYTES, NAME_BYTES = 4, 600, 80
# On these the platform knows what was sold; a shop of one's own says it itself.
MARKETPLACES = {"mercadolibre", "shopee", "tiktok", "wechat"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant."""

    title: str
    price: Money | None
    stock: int | None


@dataclass(frozen=True, slots=True)
class Opinion:
    author: str | None
    rating: int
    text: str
    origin: str
    day: date | None


@dataclass(frozen=True, slots=True)
class Goods:
    title: str
    description: str
    pictures: tuple[str, ...]
    url: str
    offer: Offer
    choices: tuple[Choice, ...]
    more_choices: int
    shop: str
    country: str
    timezone: str
    sold_lately: int  # by our own orders; 0: too few to tell
    sold_ever: int  # as the shop says
    says: str  # who says so
    reviews: int
    stars: int  # of all reviews together
    opinions: tuple[Opinion, ...]
    news: tuple[int, int]  # merchant and product, whose changes matter here

    @property
    def rating(self) -> tuple[int, int]:
        """The mean of all reviews: whole stars and tenths."""
        tenths = (self.stars * 20 + self.reviews) // (self.reviews * 2) if self.reviews else 0
        return divmod(tenths, 10)

    @property
    def nearest(self) -> int:
        """The mean in whole stars."""
        whole, tenth = self.rating
        return whole + (tenth >= 5)


class Shelf:
    """What this process remembers of goods."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int, int], tuple[float, Goods | None]] = OrderedDict()

    def find(self, key: tuple[int, int]) -> Goods | None:
        with self._lock:
            known = self._known.get(key)
        if known and time.monotonic() < known[0] + FRESH_SECONDS:
            return known[1]
        asked_at = time.monotonic()
        try:
            goods = load(*key)
        except AWAY:
            db.session.rollback()
            if known is None:
                raise
            goods = known[1]
        with self._lock:
            self._known[key] = (asked_at, goods)
            self._known.move_to_end(key)
            while len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
        return goods

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


def load(merchant_id: int, product_id: int) -> Goods | None:
    row = db.session.execute(
        sa.select(Product, Shop, Merchant.timezone)
        .join(Shop, sa.and_(Shop.merchant_id == Product.merchant_id, Shop.id == Product.shop_id))
        .join(Merchant, Merchant.id == Product.merchant_id)
        .where(Product.merchant_id == merchant_id, Product.id == product_id)
    ).one_or_none()
    if row is None:
        return None
    product, shop, timezone = row
    variants = catalog.variants_of(merchant_id, [product_id])[product_id]
    reviews = catalog.reviews_of(merchant_id, product_id, REVIEWS_MOST)
    lately, ever = catalog.sales_of(merchant_id, product_id), product.sold or 0
    return Goods(
        title=clipped(plain(product.title), TITLE_BYTES) or shop.name,
        description=clipped(plain(product.description or ""), DESCRIPTION_BYTES),
        pictures=_pictures(product),
        url=product.url if _is_web(product.url) else "",
        offer=offers.offer(product, variants, clock.now()),
        choices=tuple(
            Choice(
                clipped(plain(each.title), VARIANT_BYTES),
                None if each.price is None else Money(each.price, product.currency),
                each.stock,
            )
            for each in variants[:VARIANTS_MOST]
        ),
        more_choices=max(len(variants) - VARIANTS_MOST, 0),
        shop=shop.name,
        country=shop.country,
        timezone=timezone,
        sold_lately=lately if lately >= SOLD_LEAST else 0,
        sold_ever=ever if ever >= SOLD_LEAST else 0,
        says=connection(shop.platform).title if shop.platform in MARKETPLACES else shop.name,
        reviews=reviews.count,
        stars=reviews.stars,
        opinions=_opinions(reviews.newest),
        news=(merchant_id, product_id),
    )


def clipped(text: str, most: int) -> str:
    """At most that many bytes on a page, where some characters take several."""
    if _size(text) <= most:
        return text
    kept = text[:most]
    while (size := _size(kept)) > most - 3:
        kept = kept[: len(kept) * (most - 3) // size]
    return kept.rstrip() + "…"


def _size(text: str) -> int:
    return len(str(escape(text)).encode())


def _pictures(product: Product) -> tuple[str, ...]:
    """Those a browser shows on a page like ours: by https, or our own."""
    found: list[str] = []
    for address in dict.fromkeys([product.image_url, *product.images]):
        if not address or len(found) == PICTURES_MOST or not _is_picture(address):
            continue
        if _size("".join([*found, address])) <= PICTURES_BYTES:
            found.append(address)
    return tuple(found)


def _is_picture(address: str) -> bool:
    try:
        return rules.picture_address(address).startswith(("https://", "/static/"))
    except rules.BadAddress:
        return False


def _is_web(address: str) -> bool:
    try:
        return bool(rules.web_address(address))
    except rules.BadAddress:
        return False


def _opinions(reviews: Sequence[Review]) -> tuple[Opinion, ...]:
    return tuple(
        Opinion(
            author=clipped(plain(each.author), NAME_BYTES) if each.author else None,
            rating=each.rating,
            text=clipped(plain(each.text or ""), REVIEW_BYTES),
            origin=clipped(plain(each.origin), NAME_BYTES),
            day=each.written_on,
        )
        for each in reviews
    )
