"""Reviews that a merchant brings along: a table of them, whole or not at all, each with where it
was written. The same table again changes nothing.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog.models import Product, Review, Shop
from affiliate.db import among, db, inserting
from affiliate.errors import FieldError, Invalid, NotFound
from affiliate.i18n import _

COLUMNS = ("product", "rating", "origin")  # needed; the others may be missing
MOST_ROWS = 20_000
MOST_FAULTS = 20
LONGEST = {"origin": 100, "external_id": 200, "author": 100, "text": 2000}


@dataclass(frozen=True, slots=True)
class TakenReviews:
    added: int
    changed: int
    known: int


class _Wrong(ValueError):
    def __init__(self, column: str, code: str, most: int = 0) -> None:
        super().__init__(code)
        self.column, self.code, self.most = column, code, most


def take_reviews(shop: Shop, table: Iterable[tuple[int, Mapping[str, str]]]) -> TakenReviews:
    """Rows with their numbers, cells by column. Products are named by the shop's own ids."""
    numbered = list(table)
    if not numbered:
        raise Invalid(_("There is no review in this file."))
    if len(numbered) > MOST_ROWS:
        raise Invalid(_("At most %(most)s rows in one file.", most=MOST_ROWS))
    rows = _read(numbered, _ids(shop, {cells.get("product", "") for _, cells in numbered}))
    # Sorted, so that two uploads at once cannot wait for each other in a ring.
    given = [{"merchant_id": shop.merchant_id, **rows[key]} for key in sorted(rows)]
    insert = inserting(Review, given)
    columns = ("author", "rating", "text", "written_on")
    before = sa.tuple_(*(getattr(Review, name) for name in columns))
    after = sa.tuple_(*(insert.excluded[name] for name in columns))
    written: Sequence[bool] = db.session.scalars(
        insert.on_conflict_do_update(
            index_elements=["merchant_id", "product_id", "origin", "external_id"],
            set_={name: insert.excluded[name] for name in columns},
            where=before.is_distinct_from(after),
        ).returning(sa.literal_column("xmax = 0"))
    ).all()
    added = sum(written)
    return TakenReviews(added, len(written) - added, len(given) - len(written))


def delete_reviews(merchant_id: int, origin: str) -> int:
    """All that are from there."""
    gone = db.session.scalars(
        sa.delete(Review)
        .where(Review.merchant_id == merchant_id, Review.origin == origin)
        .returning(Review.id)
    ).all()
    if not gone:
        raise NotFound(_("There are no reviews from there."))
    return len(gone)


Key = tuple[int, str, str]  # product, origin, the review's id there


def _read(
    numbered: Iterable[tuple[int, Mapping[str, str]]], products: Mapping[str, int]
) -> dict[Key, dict[str, Any]]:
    rows: dict[Key, dict[str, Any]] = {}
    faults: list[FieldError] = []
    for number, cells in numbered:
        try:
            row = _row(cells, products)
            key = (row["product_id"], row["origin"], row["external_id"])
            if rows.setdefault(key, row) != row:
                raise _Wrong("external_id", "twice")
        except _Wrong as wrong:
            faults.append(_fault(number, wrong))
    if faults:
        raise Invalid(faults[0].message, errors=tuple(faults[:MOST_FAULTS]))
    return rows


def _fault(row: int, wrong: _Wrong) -> FieldError:
    words: Mapping[str, Any] = {
        "missing": _("nothing stands there"),
        "too_long": _("at most %(most)s characters", most=wrong.most),
        "not_found": _("the shop has no such product"),
        "not_a_rating": _("a whole number from 1 to 5"),
        "not_a_date": _("a date looks like 2026-11-30 and is not ahead"),
        "twice": _("another review of the file has this id"),
    }
    message = _(
        "Row %(row)s, %(column)s: %(wrong)s.",
        row=row, column=wrong.column, wrong=words[wrong.code],
    )  # fmt: skip
    return FieldError(f"/{row}/{wrong.column}", wrong.code, message)


def _row(cells: Mapping[str, str], products: Mapping[str, int]) -> dict[str, Any]:
    said = {name: _text(cells, name) for name in LONGEST}
    for name in COLUMNS:
        if not cells.get(name, "").strip():
            raise _Wrong(name, "missing")
    if cells["product"] not in products:
        raise _Wrong("product", "not_found")
    row = {
        "product_id": products[cells["product"]],
        "origin": said["origin"],
        "author": said["author"] or None,
        "rating": _rating(cells["rating"]),
        "text": said["text"] or None,
        "written_on": _day(cells.get("date", "")),
    }
    return row | {"external_id": said["external_id"] or _told_apart(row)}


def _text(cells: Mapping[str, str], name: str) -> str:
    """Plain, and without what no reader sees; lines stay lines."""
    lines = cells.get(name, "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    seen = ["".join(c for c in line if unicodedata.category(c) != "Cc") for line in lines]
    text = "\n".join(seen).strip()
    if len(text) > LONGEST[name]:
        raise _Wrong(name, "too_long", LONGEST[name])
    return text if name == "text" else " ".join(text.split())


def _rating(text: str) -> int:
    if text.strip() not in {"1", "2", "3", "4", "5"}:
        raise _Wrong("rating", "not_a_rating")
    return int(text)


def _day(text: str) -> str | None:
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise _Wrong("date", "not_a_date") from None
    if day > clock.now().date() + timedelta(days=1):
        raise _Wrong("date", "not_a_date")
    return day.isoformat()


def _told_apart(row: Mapping[str, Any]) -> str:
    """Where no id is given, a review is what it says."""
    content = json.dumps([row[name] for name in sorted(row) if name != "product_id"])
    return f"row:{hashlib.sha256(content.encode()).hexdigest()[:24]}"


def _ids(shop: Shop, external_ids: Iterable[str]) -> dict[str, int]:
    found = db.session.execute(
        sa.select(Product.external_id, Product.id).where(
            Product.merchant_id == shop.merchant_id,
            Product.shop_id == shop.id,
            among(Product.external_id, external_ids),
        )
    )
    return {row.external_id: row.id for row in found}
