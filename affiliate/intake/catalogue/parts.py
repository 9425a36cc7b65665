"""What several platforms' products need: plain words, addresses of pictures, stock, prices.

Nothing of a product is worth refusing it for, but its id, its page and its price: a title that is
no text is no title. Pictures are addresses for the buyer's browser; nobody here fetches them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from affiliate import clock
from affiliate.catalog import rules
from affiliate.catalog.markup import plain
from affiliate.catalog.service import PICTURES_MAX, VariantFacts
from affiliate.intake import reading
from affiliate.intake.catalogue.interface import Catalogue, Ground
from affiliate.intake.reading import Node, Unreadable
from affiliate.money import exponent

TITLE, DESCRIPTION, SHORT = 300, 5000, 200  # characters
VARIANTS_MAX = 2000
GONE = "tuike.product_gone"


class Price(NamedTuple):
    now: int | None = None
    otherwise: int | None = None  # while it is reduced
    until: datetime | None = None


def title(value: Any, product_id: str) -> str:
    return line(value, TITLE) or product_id


def line(value: Any, most: int = SHORT) -> str | None:
    """Plain text in one line, whatever was sent."""
    found = " ".join(plain(value).split())[:most].strip() if isinstance(value, str) else ""
    return found or None


def paragraphs(value: Any) -> str | None:
    """Plain text of a description, its paragraphs in lines of their own."""
    return plain(value)[:DESCRIPTION].strip() or None if isinstance(value, str) else None


def pictures(addresses: Iterable[Any]) -> tuple[str | None, tuple[str, ...]]:
    """The first picture and the others: web addresses, each once; what is none is left out."""
    found: dict[str, None] = {}
    for each in addresses:
        if len(found) == PICTURES_MAX:
            break
        if isinstance(each, str):
            try:
                found[rules.web_address(f"https:{each}" if each.startswith("//") else each)] = None
            except rules.BadAddress:
                continue
    first, *others = found or [None]
    return first, tuple(each for each in others if each)


def page(node: Node, address: str, ground: Ground) -> str:
    """The address of the product's page, which must be on the shop's ground."""
    try:
        found = rules.web_address(address)
    except rules.BadAddress as error:
        raise node.refuse("bad_url", str(error)) from None
    if not rules.is_on(found, ground.domain):
        raise node.refuse("foreign_host", f"this page is not on {ground.domain}")
    return found


def price(node: Node, ground: Ground) -> int | None:
    """A price; missing, null and "" are none, and 0 is one. It is only shown, so what is finer than
    the smallest coin is rounded.
    """
    if not node or node.value == "":
        return None
    try:
        return node.money(ground.currency, numbers=True)
    except Unreadable as error:
        if error.code != "too_many_decimals":
            raise
        coin = Decimal(1).scaleb(-exponent(ground.currency))
        rounded = Decimal(node.value).quantize(coin, ROUND_HALF_UP)
        return Node(rounded, node.parent, node.step).money(ground.currency, numbers=True)


def reduced(now: int | None, otherwise: int | None, until: datetime | None = None) -> Price:
    """Only a higher price is what something costs otherwise."""
    if now is None:
        return Price(otherwise)
    if otherwise is None or otherwise <= now:
        return Price(now)
    return Price(now, otherwise, until)


def cheapest(prices: Iterable[Price]) -> Price:
    """What a product costs is what its cheapest variant costs."""
    told = [each for each in prices if each.now is not None]
    return min(told, key=lambda each: each.now or 0, default=Price())


def level(node: Node) -> int | None:
    """A stock: a whole number, also below 0; none where it is not one."""
    value = node.value
    if isinstance(value, str):
        value = int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else None
    elif isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value.adjusted() < 9 else None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**9:
        return None
    return value


def together(variants: Sequence[VariantFacts], *, all_told: bool = True) -> int | None:
    """A product's stock is that of its variants. It has none where one is not counted, or is sold
    in advance.
    """
    levels = [each.stock for each in variants]
    if not levels or None in levels:
        return None
    found = sum(max(0, each) for each in levels if each is not None)
    return found if found or all_told else None


def some(node: Node, most: int = VARIANTS_MAX) -> tuple[list[Node], bool]:
    """The first elements of a list, and whether these are all."""
    if not isinstance(node.value, list):
        return [], True
    found = [Node(each, node, index) for index, each in enumerate(node.value[:most])]
    return [each for each in found if isinstance(each.value, dict)], len(node.value) <= most


def distinct(variants: Iterable[VariantFacts]) -> tuple[VariantFacts, ...]:
    """Two with one id are one: the first."""
    found: dict[str, VariantFacts] = {}
    for each in variants:
        found.setdefault(each.external_id, each)
    return tuple(found.values())


def fields(node: Node, name: str) -> Iterator[Any]:
    """One field of each object in a list, whatever it holds."""
    if isinstance(node.value, list):
        for each in node.value[: PICTURES_MAX * 2]:
            if isinstance(each, dict):
                yield each.get(name)


def is_only_an_id(body: Node) -> bool:
    return isinstance(body.value, dict) and set(body.value) == {"id"}


def left(product_id: str) -> bytes:
    """What we say ourselves of a product that the shop was asked for and does not know."""
    return reading.dump({"object": GONE, "id": product_id, "at": clock.now().isoformat()})


def is_left(body: Node) -> bool:
    return bool(body.get("object").value == GONE)


def named(catalogue: Catalogue, body: Node, topic: str) -> Node | None:
    """Where a body names the product that it is about."""
    return body.get("id") if is_left(body) else catalogue.of(body, topic)
