"""What a product costs now and whether there is any left: decided from its rows alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from affiliate.catalog.models import Product, Variant
from affiliate.money import Money


@dataclass(frozen=True, slots=True)
class Offer:
    """`low` and `high` differ where variants cost different; both are None without any price."""

    low: Money | None
    high: Money | None
    before: Money | None  # what it costs otherwise
    until: datetime | None  # when `before` holds again
    stock: int | None  # None: not counted
    is_sold: bool  # neither hidden by the merchant nor taken out of the shop
    is_gone: bool  # the shop sells it no more

    @property
    def is_range(self) -> bool:
        return self.low != self.high

    @property
    def is_sold_out(self) -> bool:
        return self.stock is not None and self.stock <= 0

    @property
    def saves(self) -> Money | None:
        return self.before - self.low if self.before and self.low else None


def offer(product: Product, variants: Sequence[Variant], now: datetime) -> Offer:
    is_over = product.price_until is not None and product.price_until <= now
    price = product.price
    if is_over and product.list_price is not None:
        price = product.list_price
    prices = [each.price for each in variants if each.price is not None]
    if price is not None and len(prices) < len(variants):
        prices.append(price)
    low, high = price, price
    if len(set(prices)) > 1 or (price is None and prices):
        low, high = min(prices), max(prices)
    reduced = product.list_price is not None and low is not None and product.list_price > low
    shown = reduced and low == high and not is_over
    return Offer(
        low=_money(low, product.currency),
        high=_money(high, product.currency),
        before=_money(product.list_price, product.currency) if shown else None,
        until=None if is_over else product.price_until,
        stock=_stock(product, variants),
        is_sold=product.hidden_at is None and product.gone_at is None,
        is_gone=product.gone_at is not None,
    )


def _stock(product: Product, variants: Sequence[Variant]) -> int | None:
    """The product's own count; without one that of its variants, if all are counted."""
    if product.stock is not None:
        return product.stock
    counts = [each.stock for each in variants]
    if not counts or None in counts:
        return None
    return sum(max(count, 0) for count in counts if count is not None)


def _money(amount: int | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)
