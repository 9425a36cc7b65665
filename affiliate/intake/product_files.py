"""Products from a CSV or XLSX file: all of them, or none and what is wrong by row and column.

A row is a product; rows of one `external_id` that have a `variant_id` are its variants, and the
first of them says what the product is.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from affiliate.catalog import service
from affiliate.catalog.models import Shop
from affiliate.catalog.service import ProductFacts, VariantFacts
from affiliate.errors import FieldError
from affiliate.i18n import _
from affiliate.intake.catalogue import parts
from affiliate.intake.catalogue.parts import Price
from affiliate.intake.sheets import BadFile, Row, rows
from affiliate.money import BadAmount, minor

COLUMNS = (
    "external_id", "title", "url", "image_url", "price", "list_price", "stock", "category",
    "variant_id", "variant_title", "sku", "description",
)  # fmt: skip
NEEDED = ("external_id", "title", "url")
FAULTS_MAX = 50
LONGEST = 200  # characters of an id
POINTER = re.compile(r"/products/(\d+)(?:/variants/(\d+))?/(\w+)")


class Taken(NamedTuple):
    """What became of a file."""

    products: int
    changed: int  # of those, what is new or different


class _Read(NamedTuple):
    """A product, and in which rows it stands."""

    facts: ProductFacts
    numbers: list[int]


def take(shop: Shop, content: bytes) -> Taken:
    """Put the products of a file into the shop's catalogue."""
    groups: dict[str, list[Row]] = {}
    for number, cells in rows(content):
        unknown = sorted(set(cells) - set(COLUMNS))
        if unknown:
            raise BadFile(_("There is no column %(name)s in this format.", name=unknown[0]))
        groups.setdefault(cells.get("external_id", ""), []).append((number, cells))
    if not groups:
        raise BadFile(_("There is no product in this file."))
    faults: list[FieldError] = []
    read = [_Read(_product(shop, some, faults), [each[0] for each in some])
            for some in groups.values()]  # fmt: skip
    faults += [
        FieldError(_place(each.pointer, read), each.code, each.message)
        for each in service.faults_of(shop, [one.facts for one in read])
    ]
    if faults:
        raise BadFile(
            _("Nothing was stored: some cells cannot be taken."),
            errors=tuple(sorted(faults, key=_row_of)[:FAULTS_MAX]),
        )
    changed = 0
    for start in range(0, len(read), service.BULK_MAX):
        part = [one.facts for one in read[start : start + service.BULK_MAX]]
        stored = service.put_products(shop, part)
        changed += stored.created + stored.updated
    return Taken(len(read), changed)


def _product(shop: Shop, found: list[Row], faults: list[FieldError]) -> ProductFacts:
    number, cells = found[0]
    faults += [
        _fault(number, name, "missing", _("This is needed."))
        for name in NEEDED
        if name not in cells
    ]
    if len(cells.get("external_id", "")) > LONGEST:
        faults.append(_fault(number, "external_id", "too_long", _("This is too long.")))
    for again, row in found[1:]:
        if "variant_id" not in row or "variant_id" not in cells:
            words = _("This id stands here twice.")
            faults.append(_fault(again, "external_id", "repeated", words))
    prices = [_price(shop, each, faults) for each in found]
    variants = [
        VariantFacts(
            external_id=row["variant_id"][:LONGEST],
            title=parts.line(row.get("variant_title"), parts.TITLE) or "",
            sku=parts.line(row.get("sku")),
            price=price.now,
            stock=_stock(each, faults),
        )
        for each, price in zip(found, prices, strict=True)
        if "variant_id" in (row := each[1])
    ]
    price = parts.cheapest(prices)
    facts = ProductFacts(
        external_id=cells.get("external_id", "")[:LONGEST],
        title=parts.title(cells.get("title"), cells.get("external_id", "")),
        url=cells.get("url", f"https://{shop.domain}/"),
        image_url=cells.get("image_url"),
        price=price.now,
        list_price=price.otherwise,
        category=parts.line(cells.get("category")),
        description=parts.paragraphs(cells.get("description")),
        variants=variants,
    )
    stock = parts.together(variants) if variants else _stock(found[0], faults)
    return replace(facts, stock=stock)


def _price(shop: Shop, row: Row, faults: list[FieldError]) -> Price:
    found: dict[str, int] = {}
    number, cells = row
    for name in ("price", "list_price"):
        try:
            if name in cells:
                found[name] = minor(cells[name], shop.currency)
        except BadAmount as error:
            faults.append(_fault(number, name, error.code, _amount_words(shop)))
        else:
            if found.get(name, 0) < 0:
                faults.append(_fault(number, name, "negative_amount", _amount_words(shop)))
    return parts.reduced(found.get("price"), found.get("list_price"))


def _amount_words(shop: Shop) -> str:
    words: str = _(
        "An amount in %(currency)s has a point and no thousands, as 1999.90.",
        currency=shop.currency,
    )
    return words


def _stock(row: Row, faults: list[FieldError]) -> int | None:
    number, cells = row
    told: Mapping[str, str] = cells
    if "stock" not in told:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", told["stock"]):
        faults.append(_fault(number, "stock", "not_whole", _("A whole number, or nothing.")))
        return None
    return int(told["stock"])


def _fault(number: int, column: str, code: str, message: str) -> FieldError:
    return FieldError(f"/rows/{number}/{column}", code, message)


def _row_of(fault: FieldError) -> int:
    return int(fault.pointer.split("/")[2])


def _place(pointer: str, read: list[_Read]) -> str:
    """Where in the file a fault of `/products/3/…` stands."""
    found = POINTER.match(pointer)
    assert found
    product, variant, name = found.groups()
    numbers = read[int(product)].numbers
    column = "variant_id" if variant else name
    return f"/rows/{numbers[int(variant or 0)]}/{column}"
