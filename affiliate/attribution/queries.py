"""Who orders are credited to, as it is written down."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from affiliate import clock
from affiliate.attribution.models import Attribution, Claim, Coupon, Sharer
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.orders.models import Order, Status


def of_orders(orders: Collection[tuple[int, int]]) -> dict[tuple[int, int], Attribution]:
    """By (merchant, order)."""
    key = sa.tuple_(Attribution.merchant_id, Attribution.order_id)
    rows = db.session.scalars(sa.select(Attribution).where(key.in_(list(orders))))
    return {(row.merchant_id, row.order_id): row for row in rows}


def coupon(merchant_id: int, coupon_id: int, *, lock: bool = False) -> Coupon:
    return _one(Coupon, (merchant_id, coupon_id), lock)


def sharer(merchant_id: int, sharer_id: int, *, lock: bool = False) -> Sharer:
    return _one(Sharer, (merchant_id, sharer_id), lock)


def claim(merchant_id: int, claim_id: int, *, lock: bool = False) -> Claim:
    return _one(Claim, (merchant_id, claim_id), lock)


Row = TypeVar("Row", Coupon, Sharer, Claim)


def _one(model: type[Row], key: tuple[int, int], lock: bool) -> Row:
    found = db.session.get(model, key, with_for_update=lock or None, populate_existing=lock)
    if found is None:
        raise NotFound(_("There is no such thing here."))
    return found


def orders_of(claim: Claim) -> list[Order]:
    """The orders that a claim may be about, by the buyer's number or the shop's id; newest first.

    More than one is rare: a number that is another order's id.
    """
    number = claim.order_number.lstrip("#")
    return list(
        db.session.scalars(
            sa.select(Order)
            .where(
                Order.merchant_id == claim.merchant_id,
                Order.shop_id == claim.shop_id,
                Order.status != Status.STUB,
                sa.or_(Order.external_id == number, Order.number.in_([number, f"#{number}"])),
            )
            .order_by(Order.id.desc())
            .limit(2)
        )
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """A customer tied to a promoter, by the order that did it last; who it is nobody can tell."""

    merchant_id: int
    program_id: int
    order_id: int
    customer: bytes  # the first of the keyed hashes that stand for them
    until: datetime
    protected_until: datetime


# Of a customer with several hashes each order leaves as many rows: one that a later order of any
# promoter added to says nothing any more.
BOUND = sa.text("""
    WITH mine AS (
        SELECT * FROM bindings
         WHERE promoter_id = :promoter AND since <= :now AND until > :now
         ORDER BY id DESC LIMIT :rows
    )
    SELECT merchant_id, program_id, order_id, min(customer) AS customer,
           max(until) AS until, max(protected_until) AS protected_until
      FROM mine b
     GROUP BY 1, 2, 3
    HAVING NOT bool_or(EXISTS (
        SELECT FROM bindings n
         WHERE n.merchant_id = b.merchant_id AND n.customer = b.customer
           AND n.program_id = b.program_id AND n.id > b.id AND n.order_id <> b.order_id
           AND n.since <= :now))
     ORDER BY order_id DESC LIMIT :most
""")
HASHES = 3  # of one customer at most: mailbox, phone, id in the shop


def bound_to(promoter_id: int, most: int) -> list[Bound]:
    """Whom an order ties to this promoter now, the latest first."""
    given = {"promoter": promoter_id, "now": clock.now(), "most": most, "rows": most * HASHES * 4}
    return [Bound(*row) for row in db.session.execute(BOUND, given)]
