"""Orders as the promoter sees them: what each brings, when, and why; never who bought."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from affiliate import clock, ids
from affiliate.attribution import queries as attribution
from affiliate.attribution import trace
from affiliate.attribution.models import Attribution
from affiliate.catalog.models import Product, Shop
from affiliate.commissions import queries as commissions
from affiliate.commissions.models import Commission, Entry, State
from affiliate.consoles import lists
from affiliate.consoles.promoter import bp, rhythm
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.orders import queries
from affiliate.orders.models import Line, Order
from affiliate.people import queries as people
from affiliate.people.models import Merchant, PayoutMode

Key = tuple[int, int]  # merchant, order

NEWEST = 5
LEVELS = 3  # of the team whose orders are shown also when they earn nothing
# What is asked for in the list, and the states of entries that this means.
STATES = {
    "pending": (State.ESTIMATED, State.PENDING),
    "available": (State.AVAILABLE,),
    "paid": (State.RESERVED, State.PAID),
}


@dataclass(slots=True)
class Earning:
    """What the promoter has of one order, all lines and roles together."""

    by_state: dict[str, int] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    hold_until: datetime | None = None
    on_hold: bool = False

    @property
    def amount(self) -> int:
        return sum(self.by_state.values())

    @property
    def state(self) -> str:
        """That of what is least far; `void` when nothing is left and nothing was sent."""
        if self.amount == 0 and not self.by_state.keys() & {State.RESERVED, State.PAID}:
            return "void"
        return next((each for each in State if self.by_state.get(each)), State.PAID)


@dataclass(frozen=True, slots=True)
class Row:
    """An order in a list."""

    order: Order
    key: str
    title: str
    more: int
    picture: str | None
    level: str | None  # of whom it came, when not of the promoter's own link
    amount: Money
    state: str
    hold_until: datetime | None
    on_hold: bool
    nothing: Any  # why it earns nothing, or None


@bp.get("/orders/")
def orders() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    found, cursor = lists.page(
        _chosen(promoter_id), [Order.placed_at, Order.merchant_id, Order.id], limit=30
    )
    return render_template("promoter/orders.html", orders=_rows(promoter_id, found), next=cursor)


@bp.get("/orders/<order_id>")
def order(order_id: str) -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    found = _own(promoter_id, order_id)
    key = (found.merchant_id, found.id)
    lines = queries.lines_of([key]).get(key, [])
    credit = attribution.of_orders([key]).get(key)
    row = _rows(promoter_id, [found])[0]
    merchant = people.merchant(found.merchant_id)
    return render_template(
        "promoter/order.html",
        order=found,
        row=row,
        on_request=merchant.payout_mode == PayoutMode.ON_REQUEST,
        payday=_payday(merchant, row),
        shop=db.session.get_one(Shop, (found.merchant_id, found.shop_id)),
        commissions=_of_promoter(promoter_id, key),
        titles={line.id: line.title or line.external_id for line in lines},
        story=_story(promoter_id, found, credit, lines),
        role=trace.role,
        money=Money,
    )


def _payday(merchant: Merchant, row: Row) -> datetime | None:
    if row.on_hold or row.state not in (State.PENDING, State.AVAILABLE):
        return None
    ready = clock.now() if row.state == State.AVAILABLE else row.hold_until
    return rhythm.next_payday(merchant, ready) if ready else None


def recent(promoter_id: int) -> list[Row]:
    found, _cursor = lists.page(
        _mine(promoter_id), [Order.placed_at, Order.merchant_id, Order.id], limit=NEWEST
    )
    return _rows(promoter_id, found)


def _mine(promoter_id: int) -> sa.Select[Any]:
    """Orders this promoter earns from, and those credited to them that earn nothing."""
    earned = sa.select(Commission.merchant_id, Commission.order_id).where(
        Commission.payee_id == promoter_id, Commission.payee_kind == "promoter"
    )
    return _orders(_credited(Attribution.promoter_id == promoter_id).union(earned))


def _of_team(promoter_id: int) -> sa.Select[Any]:
    """Orders credited to those below this promoter, whatever they bring upwards."""
    return _orders(_credited(Attribution.promoter_id.in_(people.team_of(promoter_id, LEVELS))))


def _credited(whose: sa.ColumnElement[bool]) -> sa.Select[int, int]:
    return sa.select(Attribution.merchant_id, Attribution.order_id).where(whose)


def _orders(keys: Any) -> sa.Select[Any]:
    return sa.select(Order).where(
        sa.tuple_(Order.merchant_id, Order.id).in_(keys), Order.placed_at.is_not(None)
    )


def _chosen(promoter_id: int) -> sa.Select[Any]:
    asked = request.args.get("state", "")
    if asked == "team":
        return _of_team(promoter_id)
    states = STATES.get(asked)
    if states is None:
        return _mine(promoter_id)
    return _mine(promoter_id).where(
        sa.exists().where(
            Entry.merchant_id == Order.merchant_id,
            Entry.order_id == Order.id,
            Entry.payee_id == promoter_id,
            Entry.payee_kind == "promoter",
            Entry.state.in_(states),
        )
    )


def _own(promoter_id: int, order_id: str) -> Order:
    """Somebody else's order is no order here."""
    try:
        key = ids.decode_pair("ord", order_id)
    except NotFound:
        abort(404)
    for shown in (_mine(promoter_id), _of_team(promoter_id)):
        found: Order | None = db.session.scalar(
            shown.where(Order.merchant_id == key[0], Order.id == key[1])
        )
        if found:
            return found
    raise NotFound


def _rows(promoter_id: int, orders: Sequence[Order]) -> list[Row]:
    keys = [(each.merchant_id, each.id) for each in orders]
    if not keys:
        return []
    lines = queries.lines_of(keys)
    pictures = _pictures(orders, lines)
    credited = attribution.of_orders(keys)
    earnings = earnings_of(promoter_id, keys)
    return [
        _row(
            promoter_id,
            each,
            lines.get(key, []),
            pictures,
            credited.get(key),
            earnings.get(key, Earning()),
        )
        for each, key in zip(orders, keys, strict=True)
    ]


def _row(
    promoter_id: int,
    order: Order,
    lines: Sequence[Line],
    pictures: dict[tuple[int, int, str], str],
    credit: Attribution | None,
    earning: Earning,
) -> Row:
    live = [line for line in lines if not line.removed]
    images = (_picture_key(order, line) for line in live)
    of_team = _is_of_team(promoter_id, credit, earning)
    return Row(
        order,
        ids.encode("ord", order.merchant_id, order.id),
        live[0].title if live else "",
        max(0, len(live) - 1),
        next((pictures[each] for each in images if each in pictures), None),
        _("By your team") if of_team else _level(earning),
        Money(earning.amount, order.currency),
        earning.state,
        earning.hold_until,
        earning.on_hold,
        None if earning.amount else _why_nothing(order, credit, earning, of_team=of_team),
    )


def earnings_of(promoter_id: int, orders: Collection[Key]) -> dict[Key, Earning]:
    """By (merchant, order), in one statement."""
    rows = db.session.execute(
        sa.select(
            Entry.merchant_id,
            Entry.order_id,
            Entry.state,
            sa.func.sum(Entry.amount),
            sa.func.array_agg(sa.distinct(Commission.role)),
            sa.func.max(Entry.hold_until).filter(Entry.state == State.PENDING),
            sa.func.bool_or(Entry.on_hold.is_not(None)),
        )
        .join(
            Commission,
            sa.and_(
                Commission.merchant_id == Entry.merchant_id, Commission.id == Entry.commission_id
            ),
        )
        .where(
            Entry.payee_id == promoter_id,
            Entry.payee_kind == "promoter",
            sa.tuple_(Entry.merchant_id, Entry.order_id).in_(list(orders)),
        )
        .group_by(Entry.merchant_id, Entry.order_id, Entry.state)
    )
    found: dict[Key, Earning] = {}
    for merchant_id, order_id, state, amount, roles, hold_until, on_hold in rows:
        earning = found.setdefault((merchant_id, order_id), Earning())
        earning.by_state[state] = int(amount)
        earning.roles |= set(roles)
        earning.hold_until = hold_until or earning.hold_until
        earning.on_hold |= on_hold
    return found


def _of_promoter(promoter_id: int, order: Key) -> list[Commission]:
    return list(
        db.session.scalars(
            commissions.all_commissions()
            .where(
                Commission.payee_id == promoter_id,
                Commission.payee_kind == "promoter",
                Commission.merchant_id == order[0],
                Commission.order_id == order[1],
            )
            .order_by(Commission.id)
        )
    )


def _is_of_team(promoter_id: int, credit: Attribution | None, earning: Earning) -> bool:
    """Somebody else's, of which nothing came up. Who shares an order has a role in it."""
    return credit is not None and credit.promoter_id != promoter_id and not earning.roles


def _level(earning: Earning) -> str | None:
    if not earning.roles or earning.roles & {"direct", "rebate"}:
        return None
    return trace.role(min(earning.roles))


def _why_nothing(
    order: Order, credit: Attribution | None, earning: Earning, *, of_team: bool
) -> Any:
    if of_team and order.cancelled_at is None:
        return _("Your level earns nothing of it.")
    if credit and credit.refusal in {"test_order", "self_purchase"}:
        return trace.SENTENCES[credit.refusal]
    if order.cancelled_at:
        return _("The order was cancelled.")
    if earning.by_state:
        return _("Nothing of it is left after refunds.")
    return _("Nothing in it earns commission.")


def _pictures(
    orders: Sequence[Order], lines: dict[Key, list[Line]]
) -> dict[tuple[int, int, str], str]:
    """By (merchant, shop, the shop's product number)."""
    wanted = {
        _picture_key(order, line)
        for order in orders
        for line in lines.get((order.merchant_id, order.id), [])
    }
    key = sa.tuple_(Product.merchant_id, Product.shop_id, Product.external_id)
    rows = db.session.scalars(
        sa.select(Product).where(
            key.in_([each for each in wanted if each[2]]), Product.image_url.is_not(None)
        )
    )
    return {(row.merchant_id, row.shop_id, row.external_id): row.image_url or "" for row in rows}


def _picture_key(order: Order, line: Line) -> tuple[int, int, str]:
    return order.merchant_id, order.shop_id, line.product_external_id or ""


def _story(
    promoter_id: int, order: Order, credit: Attribution | None, lines: Sequence[Line]
) -> list[str]:
    """The trace as far as it is this promoter's, with things named as people know them."""
    if credit is None:
        return []
    titles = {line.external_id: line.title for line in lines if line.title}
    steps = trace.for_promoters(trace.steps(credit.trace), {promoter_id})
    return [
        trace.sentence([code, _named(arguments, titles)], order.currency)
        for code, arguments in steps
    ]


def _named(arguments: dict[str, Any], titles: dict[str, str]) -> dict[str, Any]:
    known = dict(arguments)
    if "line" in known:
        known["line"] = titles.get(known["line"], known["line"])
    if "touch" in known:
        known["touch"] = str(known["touch"]).replace("link:", "/s/")
    return known
