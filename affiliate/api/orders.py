"""Orders with everything that follows from them: lines, refunds, trace, commissions."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from affiliate.api import commissions as commissions_api
from affiliate.api import paging
from affiliate.api.commissions import CommissionShown
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    Instant,
    LineId,
    LinkId,
    ListQuery,
    Money,
    OrderId,
    Page,
    ProgramId,
    PromoterId,
    RefundId,
    Resource,
    ShopId,
)
from affiliate.attribution import queries as attribution
from affiliate.attribution import trace
from affiliate.attribution.models import Attribution
from affiliate.commissions import queries as commissions
from affiliate.commissions.models import Commission
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.orders import queries
from affiliate.orders.models import Line, Order, Refund
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right


class OrderQuery(ListQuery):
    shop: ShopId | None = None
    external_id: str | None = None


class LineShown(Resource):
    id: LineId
    external_id: str
    product_id: str | None
    variant_id: str | None
    sku: str | None
    title: str
    category: str | None
    kind: str
    quantity: int
    amount: Money
    discount: Money
    tax: Money | None
    removed: bool


class RefundShown(Resource):
    id: RefundId
    external_id: str
    at: Instant | None
    status: str
    amount: Money | None
    shipping: Money
    lines: list[dict[str, Any]]


class CreditShown(Resource):
    """Whom the order is credited to. `refusal` says why a winner is not paid."""

    program: ProgramId | None
    promoter: PromoterId | None
    link: LinkId | None
    source: str | None
    touched_at: Instant | None
    refusal: str | None


class StepShown(Resource):
    code: str
    args: dict[str, Any]
    text: str


class OrderShown(Resource):
    id: OrderId
    shop: ShopId
    external_id: str
    number: str | None
    status: str
    test: bool
    renewal: bool
    currency: str
    tax_included: bool
    created_at: Instant | None
    paid_at: Instant | None
    fulfilled_at: Instant | None
    delivered_at: Instant | None
    cancelled_at: Instant | None
    discount: Money
    shipping: Money
    total: Money | None
    coupons: list[str]
    lines: list[LineShown]
    refunds: list[RefundShown]
    attribution: CreditShown | None
    trace: list[StepShown]
    commissions: list[CommissionShown]


@endpoint("GET", "/orders", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_orders(caller: Caller, query: OrderQuery) -> Page[OrderShown]:
    """Orders, newest first: a merchant's, or those a promoter earns from."""
    found = sa.select(Order).where(_visible(caller))
    if query.shop is not None:
        merchant_id, shop_id = query.shop
        found = found.where(Order.merchant_id == merchant_id, Order.shop_id == shop_id)
    if query.external_id is not None:
        found = found.where(Order.external_id == query.external_id)
    rows, cursor = paging.rows(found, query, by=[Order.id])
    return Page(data=_shown(caller, rows), next=cursor)


@endpoint("GET", "/orders/{order_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, order_id: OrderId) -> OrderShown:
    """One order."""
    merchant_id, row_id = order_id
    found = sa.select(Order).where(
        Order.merchant_id == merchant_id, Order.id == row_id, _visible(caller)
    )
    rows = list(db.session.scalars(found))
    if not rows:
        raise NotFound("There is no such order here.")
    return _shown(caller, rows)[0]


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    merchants = (
        within(Order.merchant_id, caller.scope(Right.READ_MERCHANT))
        if caller.may(Right.READ_MERCHANT)
        else sa.false()
    )
    earned = sa.exists().where(
        Commission.merchant_id == Order.merchant_id,
        Commission.order_id == Order.id,
        Commission.payee_kind == "promoter",
        Commission.payee_id.in_(caller.promoter_ids),
    )
    return sa.or_(merchants, earned)


def _shown(caller: Caller, rows: Sequence[Order]) -> list[OrderShown]:
    keys = [(row.merchant_id, row.id) for row in rows]
    if not keys:
        return []
    lines, refunds = queries.lines_of(keys), queries.refunds_of(keys)
    credited = attribution.of_orders(keys)
    shown = commissions_api.shown(caller, commissions.of_orders(keys))
    earned: dict[tuple[int, int], list[CommissionShown]] = {}
    for each in shown:
        earned.setdefault(each.order, []).append(each)
    return [
        _order(
            caller,
            row,
            lines=lines.get(key, []),
            refunds=refunds.get(key, []),
            credit=credited.get(key),
            earned=earned.get(key, []),
        )
        for row, key in zip(rows, keys, strict=True)
    ]


def _order(
    caller: Caller,
    row: Order,
    *,
    lines: Sequence[Line],
    refunds: Sequence[Refund],
    credit: Attribution | None,
    earned: list[CommissionShown],
) -> OrderShown:
    def money(amount: int) -> Money:
        return Money.of(amount, row.currency)

    return OrderShown(
        id=(row.merchant_id, row.id),
        shop=(row.merchant_id, row.shop_id),
        external_id=row.external_id,
        number=row.number,
        status=row.status,
        test=row.test,
        renewal=row.renewal,
        currency=row.currency,
        tax_included=row.tax_included,
        created_at=row.placed_at,
        paid_at=row.paid_at,
        fulfilled_at=row.fulfilled_at,
        delivered_at=row.delivered_at,
        cancelled_at=row.cancelled_at,
        discount=money(row.discount),
        shipping=money(row.shipping),
        total=None if row.total is None else money(row.total),
        coupons=row.coupons,
        lines=[_line(line, row.currency) for line in lines],
        refunds=[_refund(refund, row.currency) for refund in refunds],
        attribution=_credit(caller, credit),
        trace=_trace(caller, row, credit),
        commissions=earned,
    )


def _line(line: Line, currency: str) -> LineShown:
    return LineShown(
        id=(line.merchant_id, line.id),
        external_id=line.external_id,
        product_id=line.product_external_id,
        variant_id=line.variant_external_id,
        sku=line.sku,
        title=line.title,
        category=line.category,
        kind=line.kind,
        quantity=line.quantity,
        amount=Money.of(line.amount, currency),
        discount=Money.of(line.discount, currency),
        tax=None if line.tax is None else Money.of(line.tax, currency),
        removed=line.removed,
    )


def _refund(refund: Refund, currency: str) -> RefundShown:
    return RefundShown(
        id=(refund.merchant_id, refund.id),
        external_id=refund.external_id,
        at=refund.at,
        status=refund.status,
        amount=None if refund.amount is None else Money.of(refund.amount, currency),
        shipping=Money.of(refund.shipping, currency),
        lines=refund.lines,
    )


def _credit(caller: Caller, credit: Attribution | None) -> CreditShown | None:
    if credit is None:
        return None
    mine = credit.promoter_id in caller.promoter_ids
    if not mine and not caller.has(Right.READ_MERCHANT, credit.merchant_id):
        return None
    merchant_id = credit.merchant_id
    return CreditShown(
        program=(merchant_id, credit.program_id) if credit.program_id else None,
        promoter=credit.promoter_id,
        link=(merchant_id, credit.link_id) if credit.link_id else None,
        source=credit.source,
        touched_at=credit.touched_at,
        refusal=credit.refusal,
    )


def _trace(caller: Caller, row: Order, credit: Attribution | None) -> list[StepShown]:
    steps = trace.steps(credit.trace) if credit else []
    if not caller.has(Right.READ_MERCHANT, row.merchant_id):
        steps = trace.for_promoters(steps, caller.promoter_ids)
    return [
        StepShown(code=step[0], args=step[1], text=trace.sentence(step, row.currency))
        for step in steps
    ]
