"""Orders as the merchant sees them: what each cost, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.attribution import queries as attribution
from affiliate.attribution import trace
from affiliate.attribution.models import Attribution
from affiliate.catalog import queries as catalog
from affiliate.commissions import queries as commissions
from affiliate.commissions.models import Commission
from affiliate.consoles import lists
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_merchant_id
from affiliate.errors import NotFound
from affiliate.money import Money
from affiliate.orders import queries
from affiliate.orders.models import Line, Order, Status
from affiliate.people import queries as people

NEWEST = [Order.placed_at, Order.id]


@dataclass(frozen=True, slots=True)
class Row:
    """An order in a list: with its first line, its promoter and what it costs."""

    order: Order
    key: str
    shop: str
    title: str
    more: int
    promoter: str | None
    cost: Money
    state: str | None


@bp.get("/orders/")
def orders() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(current_merchant_id()), NEWEST)
    return render_template("merchant/orders.html", orders=_rows(found), next=cursor)


@bp.get("/orders/<order_id>")
def order(order_id: str) -> ResponseReturnValue:
    key = _own(order_id)
    row = queries.find(*key)
    if row is None:
        abort(404)
    earned = commissions.of_orders([key])
    credit = attribution.of_orders([key]).get(key)
    steps = trace.steps(credit.trace) if credit else []
    return render_template(
        "merchant/order.html",
        row=_rows([row])[0],
        order=row,
        lines=queries.lines_of([key]).get(key, []),
        refunds=queries.refunds_of([key]).get(key, []),
        credit=credit,
        people=_names(earned),
        commissions=earned,
        entries=commissions.entries_of([(each.merchant_id, each.id) for each in earned]),
        story=[trace.sentence(step, row.currency) for step in steps],
        role=trace.role,
        money=Money,
    )


def recent(merchant_id: int) -> list[Row]:
    """The newest few, for the overview."""
    placed = sa.select(Order).where(Order.merchant_id == merchant_id, Order.placed_at.is_not(None))
    found, _ = lists.page(placed, NEWEST, limit=6)
    return _rows(found)


def _own(order_id: str) -> tuple[int, int]:
    """Another merchant's order is no order here."""
    try:
        merchant_id, row_id = ids.decode_pair("ord", order_id)
    except NotFound:
        abort(404)
    if merchant_id != current_merchant_id():
        abort(404)
    return merchant_id, row_id


def _chosen(merchant_id: int) -> sa.Select[Any]:
    found = sa.select(Order).where(Order.merchant_id == merchant_id, Order.status != Status.STUB)
    wanted = request.args.get("q", "").strip()
    if wanted:
        found = found.where(sa.or_(Order.number == wanted, Order.external_id == wanted.lstrip("#")))
    state = request.args.get("state")
    if state == "paid":
        found = found.where(Order.paid_at.is_not(None), Order.cancelled_at.is_(None))
    elif state == "pending_payment":
        found = found.where(Order.paid_at.is_(None), Order.cancelled_at.is_(None))
    elif state == "cancelled":
        found = found.where(Order.cancelled_at.is_not(None))
    return found


def _rows(orders: Sequence[Order]) -> list[Row]:
    keys = [(each.merchant_id, each.id) for each in orders]
    if not keys:
        return []
    lines = queries.lines_of(keys)
    credited = attribution.of_orders(keys)
    costs = _by_order(commissions.of_orders(keys))
    names = people.promoters({c.promoter_id for c in credited.values() if c.promoter_id})
    shops = {shop.id: shop.name for shop in catalog.shops(keys[0][0])}
    return [
        _row(
            each,
            lines.get(key, []),
            credited.get(key),
            costs.get(each.id, []),
            shops.get(each.shop_id, ""),
            {person_id: person.name for person_id, person in names.items()},
        )
        for each, key in zip(orders, keys, strict=True)
    ]


def _row(
    order: Order,
    lines: Sequence[Line],
    credit: Attribution | None,
    earned: Sequence[Commission],
    shop: str,
    names: dict[int, str],
) -> Row:
    live = [line for line in lines if not line.removed]
    direct = next((each.state for each in earned if each.role in ("direct", "rebate")), None)
    return Row(
        order,
        ids.encode("ord", order.merchant_id, order.id),
        shop,
        live[0].title if live else "",
        max(0, len(live) - 1),
        names.get(credit.promoter_id) if credit and credit.promoter_id else None,
        Money(sum(each.amount - each.reversed for each in earned), order.currency),
        direct,
    )


def _by_order(earned: Sequence[Commission]) -> dict[int, list[Commission]]:
    found: dict[int, list[Commission]] = {}
    for each in earned:
        found.setdefault(each.order_id, []).append(each)
    return found


def _names(earned: Sequence[Commission]) -> dict[int, str]:
    payees = {each.payee_id for each in earned if each.payee_kind == "promoter"}
    return {row_id: row.name for row_id, row in people.promoters(payees).items()}
