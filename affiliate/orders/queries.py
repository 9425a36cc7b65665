"""Reading orders back as facts, and the mapping between facts and rows."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from affiliate.db import among, among_keys, db
from affiliate.orders import facts
from affiliate.orders.models import Line, Order, Refund, Status


@dataclass(frozen=True, slots=True)
class Stored:
    """An order's facts with the keys of its rows."""

    id: int
    merchant_id: int
    shop_id: int
    facts: facts.Order
    line_ids: dict[str, int]


def by_external_ids(
    merchant_id: int, shop_id: int, external_ids: Collection[str]
) -> dict[str, Stored]:
    rows = db.session.scalars(
        sa.select(Order)
        .where(
            Order.merchant_id == merchant_id,
            Order.shop_id == shop_id,
            among(Order.external_id, external_ids),
        )
        .execution_options(populate_existing=True)
    ).all()
    return {stored.facts.external_id: stored for stored in _with_parts(rows)}


def ids_of(merchant_id: int, shop_id: int, external_ids: Collection[str]) -> Sequence[int]:
    """Of those that are known."""
    return db.session.scalars(
        sa.select(Order.id).where(
            Order.merchant_id == merchant_id,
            Order.shop_id == shop_id,
            among(Order.external_id, external_ids),
        )
    ).all()


def by_ids(merchant_id: int, order_ids: Collection[int]) -> dict[int, Stored]:
    rows = db.session.scalars(
        sa.select(Order)
        .where(Order.merchant_id == merchant_id, among(Order.id, order_ids))
        .execution_options(populate_existing=True)
    ).all()
    return {stored.id: stored for stored in _with_parts(rows)}


def find(merchant_id: int, order_id: int) -> Order | None:
    return db.session.get(Order, (merchant_id, order_id))


class Told(NamedTuple):
    """What a shop told us so far."""

    test_at: datetime | None  # when a test order came
    real_at: datetime | None  # and a real one
    looked_at: int  # the newest real orders, at most LOOKED_AT
    carried: int  # how many of those brought a token or a sharer along


LOOKED_AT = 200
_TOLD = sa.text("""
    WITH mine AS (
      SELECT id, test, created_at, tokens, sharers FROM orders
       WHERE merchant_id = :merchant AND shop_id = :shop AND status <> 'stub')
    SELECT (SELECT created_at FROM mine WHERE test ORDER BY id LIMIT 1) AS test_at,
           (SELECT created_at FROM mine WHERE NOT test ORDER BY id LIMIT 1) AS real_at,
           count(*) AS looked_at,
           count(*) FILTER (WHERE cardinality(tokens) + cardinality(sharers) > 0) AS carried
      FROM (SELECT * FROM mine WHERE NOT test ORDER BY id DESC LIMIT :most) newest
""")


def told_by(merchant_id: int, shop_id: int) -> Told:
    given = {"merchant": merchant_id, "shop": shop_id, "most": LOOKED_AT}
    return Told(*db.session.execute(_TOLD, given).one())


Key = tuple[int, int]  # merchant, order


def lines_of(orders: Collection[Key]) -> dict[Key, list[Line]]:
    of_orders = among_keys(Line.merchant_id, Line.order_id, orders)
    return _grouped(
        sa.select(Line).where(of_orders).order_by(Line.order_id, Line.position, Line.id)
    )


def refunds_of(orders: Collection[Key]) -> dict[Key, list[Refund]]:
    of_orders = among_keys(Refund.merchant_id, Refund.order_id, orders)
    by_id = Refund.external_id.collate("C")
    return _grouped(sa.select(Refund).where(of_orders).order_by(Refund.order_id, by_id))


def _grouped(statement: Any) -> dict[Key, list[Any]]:
    groups: dict[Key, list[Any]] = {}
    for row in db.session.scalars(statement.execution_options(populate_existing=True)):
        groups.setdefault((row.merchant_id, row.order_id), []).append(row)
    return groups


def _with_parts(orders: Iterable[Order]) -> list[Stored]:
    keyed = {(order.merchant_id, order.id): order for order in orders}
    if not keyed:
        return []
    lines, refunds = lines_of(keyed), refunds_of(keyed)
    return [
        _stored(order, lines.get(key, []), refunds.get(key, [])) for key, order in keyed.items()
    ]


_ORDER = (
    "external_id number version test renewal currency tax_included order_tax placed_at paid_at"
    " fulfilled_at delivered_at cancelled_at refunded_fully discount shipping total"
    " refunds_complete group_id"
).split()
_LINE = (
    "external_id title quantity amount discount order_discount tax kind product_external_id"
    " variant_external_id sku category removed"
).split()


def order_row(merchant_id: int, shop_id: int, order: facts.Order) -> dict[str, Any]:
    return {
        "merchant_id": merchant_id,
        "shop_id": shop_id,
        **{name: getattr(order, name) for name in _ORDER},
        "status": str(order.status),
        "customer_external_id": order.customer.external_id,
        "customer_email_hash": order.customer.email_hash,
        "customer_phone_hash": order.customer.phone_hash,
        "customer_new": order.customer.new,
        "tokens": list(order.tokens),
        "coupons": list(order.coupons),
        "sharers": list(order.sharers),
        "disputes": [_dispute_row(each) for each in order.disputes],
        "notes": [list(note) for note in order.notes],
    }


def _dispute_row(dispute: facts.Dispute) -> dict[str, Any]:
    return asdict(dispute) | {"at": dispute.at and dispute.at.isoformat()}


def _dispute(row: dict[str, Any]) -> facts.Dispute:
    return facts.Dispute(**row | {"at": row["at"] and datetime.fromisoformat(row["at"])})


def line_row(merchant_id: int, order_id: int, position: int, line: facts.Line) -> dict[str, Any]:
    return {
        "merchant_id": merchant_id,
        "order_id": order_id,
        "position": position,
        **{name: getattr(line, name) for name in _LINE},
    }


def refund_row(merchant_id: int, order_id: int, refund: facts.Refund) -> dict[str, Any]:
    return {
        "merchant_id": merchant_id,
        "order_id": order_id,
        "external_id": refund.external_id,
        "at": refund.at,
        "status": refund.status,
        "amount": refund.amount,
        "shipping": refund.shipping,
        "lines": [asdict(line) for line in refund.lines],
    }


def _stored(order: Order, lines: list[Line], refunds: list[Refund]) -> Stored:
    read = facts.Order(
        **{name: getattr(order, name) for name in _ORDER},
        status=Status(order.status),
        customer=facts.Customer(
            external_id=order.customer_external_id,
            new=order.customer_new,
            email_hash=order.customer_email_hash,
            phone_hash=order.customer_phone_hash,
        ),
        tokens=tuple(order.tokens),
        coupons=tuple(order.coupons),
        sharers=tuple(order.sharers),
        disputes=tuple(_dispute(each) for each in order.disputes),
        notes=tuple((code, arguments) for code, arguments in order.notes),
        lines=tuple(facts.Line(**{name: getattr(line, name) for name in _LINE}) for line in lines),
        refunds=tuple(
            facts.Refund(
                external_id=refund.external_id,
                status=refund.status,
                amount=refund.amount,
                shipping=refund.shipping,
                lines=tuple(facts.RefundLine(**part) for part in refund.lines),
                at=refund.at,
            )
            for refund in refunds
        ),
    )
    line_ids = {line.external_id: line.id for line in lines}
    return Stored(order.id, order.merchant_id, order.shop_id, read, line_ids)
