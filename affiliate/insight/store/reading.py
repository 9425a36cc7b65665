"""Reports, from what was counted: never from clicks, and from orders only by their days.

Days are those of each merchant's own calendar. Click totals come from `click_days`, one row for
each day; what is grouped by a property of links, from `link_days`; orders from `order_days`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from affiliate.db import among, db
from affiliate.insight.models import TOTAL, AssistDay, ClickDay, ClickQuarter, OrderDay
from affiliate.links.models import Link, LinkDay
from affiliate.programs.models import Membership

# What clicks are divided by besides; a promoter's own only by the first three.
DIMENSIONS = ("device", "app", "country", "os", "browser", "language", "referrer")
PROMOTERS_OWN = DIMENSIONS[:3]

_OF_LINKS: Mapping[str, Any] = MappingProxyType(
    {
        "merchant": Link.merchant_id,
        "shop": Link.shop_id,
        "program": Link.program_id,
        "product": Link.product_id,
        "promoter": Link.promoter_id,
        "link": Link.id,
        "content": Link.content,
        "content_item": Link.content_id,
    }
)
_OF_ORDERS: Mapping[str, Any] = MappingProxyType(
    {
        **_OF_LINKS,
        "merchant": OrderDay.merchant_id,
        "shop": OrderDay.shop_id,
        "program": OrderDay.program_id,
        "promoter": OrderDay.promoter_id,
        "link": OrderDay.link_id,
    }
)
GROUPS = ("day", *_OF_LINKS)
_OF_SEVERAL = ("day", "promoter", "content_item")
_CLICKS = ("clicks", "valid_clicks", "visitors", "scans")
_ORDERS = ("orders", "paid_orders", "kept_orders", "revenue", "refunds", "commission", "earned")


@dataclass(frozen=True, slots=True)
class Question:
    """Whose figures, of which days (both included), narrowed down to what: ids by group.

    `promoter_ids` None: a merchant's, of everybody. `merchant_ids` None: every merchant's.
    """

    since: date
    until: date
    merchant_ids: Collection[int] | None = None
    promoter_ids: Collection[int] | None = None
    only: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """Clicks. `key` is a day, the id of a row with its merchant, or a text."""

    key: Any
    merchant_id: int
    clicks: int = 0
    valid_clicks: int = 0
    visitors: int = 0
    scans: int = 0


@dataclass(frozen=True, slots=True)
class Summed:
    """Orders in one currency."""

    key: Any
    merchant_id: int
    currency: str
    orders: int = 0
    paid_orders: int = 0
    kept_orders: int = 0
    revenue: int = 0
    refunds: int = 0
    commission: int = 0
    earned: int = 0


def clicks_by(by: str, asked: Question, *, most: int | None = None) -> list[Counted]:
    """By one of GROUPS, or of DIMENSIONS; with `most` the groups of the most clicks only."""
    if by in DIMENSIONS:
        return [each for _, each in dimensions([by], asked)]
    if by == "day" and not asked.only:
        return _totals(asked)
    found = _clicks(by, asked)
    found = found.order_by(*_ordered(by, "valid_clicks")).limit(most)
    return [Counted(*row) for row in db.session.execute(found)]


def orders_by(
    by: str,
    asked: Question,
    *,
    most: int | None = None,
    keys: Collection[Any] | None = None,
) -> list[Summed]:
    """By one of GROUPS and by currency; with `most` the groups of the most orders only, with `keys`
    only these.
    """
    found = _orders(by, asked, OrderDay.currency, *_sums(OrderDay, _ORDERS))
    found = found.group_by(OrderDay.currency)
    if keys is not None:
        found = found.where(among(_OF_ORDERS[by], keys))
    found = found.order_by(*_ordered(by, "orders")).limit(most)
    return [Summed(*row) for row in db.session.execute(found)]


def leading(by: str, asked: Question, *, most: int) -> list[tuple[int, Any, int, int]]:
    """The groups of the most orders, then of the most clicks: merchant, key, clicks, orders."""
    orders = _orders(
        by, asked, sa.literal(0).label("valid_clicks"), *_sums(OrderDay, ("orders",))
    ).subquery()
    clicks = _clicks(by, asked).subquery()
    both = sa.union_all(
        sa.select(orders),
        sa.select(clicks.c.key, clicks.c.merchant, clicks.c.valid_clicks, sa.literal(0)),
    ).subquery()
    clicked, ordered = sa.func.sum(both.c.valid_clicks), sa.func.sum(both.c.orders)
    found = (
        sa.select(both.c.merchant, both.c.key, clicked, ordered)
        .group_by(both.c.merchant, both.c.key)
        .order_by(ordered.desc(), clicked.desc(), both.c.key)
        .limit(most)
    )
    return [
        (merchant, key, int(clicks), int(orders))
        for merchant, key, clicks, orders in db.session.execute(found)
    ]


def _clicks(by: str, asked: Question) -> Any:
    key = LinkDay.day if by == "day" else _OF_LINKS[by]
    merchant = _merchant(by, Link.merchant_id)
    found: Any = sa.select(key.label("key"), merchant, *_sums(LinkDay, _CLICKS))
    found = found.join(Link, Link.id == LinkDay.link_id)
    found = _scoped(found, asked, LinkDay).where(key.is_not(None))
    for name, value in asked.only.items():
        found = found.where(_OF_LINKS[name] == value)
    return _grouped(found, by, key, Link.merchant_id)


def _orders(by: str, asked: Question, *columns: Any) -> Any:
    key = OrderDay.day if by == "day" else _OF_ORDERS[by]
    found: Any = sa.select(key.label("key"), _merchant(by, OrderDay.merchant_id), *columns)
    if {by, *asked.only} & {"product", "content", "content_item"}:
        found = found.join(Link, Link.id == OrderDay.link_id)
    found = _scoped(found, asked, OrderDay).where(key.is_not(None))
    if by not in ("day", "merchant", "shop"):
        found = found.where(OrderDay.promoter_id != 0)  # nobody's stand under no name
    if by == "link":
        found = found.where(OrderDay.link_id != 0)
    for name, value in asked.only.items():
        found = found.where(_OF_ORDERS[name] == value)
    return _grouped(found, by, key, OrderDay.merchant_id)


def dimensions(names: Collection[str], asked: Question) -> list[tuple[str, Counted]]:
    """Several at once, each with its name; the most clicks first."""
    found = (
        sa.select(ClickDay.dimension, ClickDay.value, *_sums(ClickDay, _CLICKS))
        .where(_own(ClickDay, asked), ClickDay.dimension.in_(list(names)),
               ClickDay.day.between(asked.since, asked.until))
        .group_by(ClickDay.dimension, ClickDay.value)
        .order_by(sa.func.sum(ClickDay.valid_clicks).desc(), ClickDay.value)
    )  # fmt: skip
    return [(row[0], Counted(row[1], 0, *row[2:])) for row in db.session.execute(found)]


def clicks_since(at: datetime, asked: Question, *, step_seconds: int = 0) -> list[Counted]:
    """Of the last days, by steps of so many seconds (0: all in one), begun at `at`."""
    epoch = sa.func.extract("epoch", ClickQuarter.at - at)
    number = (
        sa.cast(sa.func.floor(epoch / step_seconds), sa.BigInteger)
        if step_seconds
        else sa.literal(0)
    )
    found = (
        sa.select(number.label("key"), *_sums(ClickQuarter, _CLICKS))
        .where(_own(ClickQuarter, asked), ClickQuarter.at >= at)
        .group_by(sa.text("1")).order_by(sa.text("1"))
    )  # fmt: skip
    return [Counted(row[0], 0, *row[1:]) for row in db.session.execute(found)]


def assists(asked: Question) -> dict[int, int]:
    """By promoter."""
    found = _scoped(
        sa.select(AssistDay.promoter_id, sa.func.sum(AssistDay.assists)), asked, AssistDay
    )
    rows = db.session.execute(found.group_by(AssistDay.promoter_id))
    return {promoter_id: int(count) for promoter_id, count in rows}


def _totals(asked: Question) -> list[Counted]:
    found = (
        sa.select(ClickDay.day, *_sums(ClickDay, _CLICKS))
        .where(_own(ClickDay, asked), ClickDay.dimension == TOTAL,
               ClickDay.day.between(asked.since, asked.until))
        .group_by(ClickDay.day).order_by(ClickDay.day)
    )  # fmt: skip
    return [Counted(row[0], 0, *row[1:]) for row in db.session.execute(found)]


def _own(table: Any, asked: Question) -> sa.ColumnElement[bool]:
    """The rows that begin the key: of promoters, or promoter 0 for all of a merchant's."""
    promoters = [0] if asked.promoter_ids is None else asked.promoter_ids
    whose = among(table.promoter_id, promoters)
    if asked.merchant_ids is None and asked.promoter_ids is not None:
        known = sa.select(Membership.merchant_id).where(among(Membership.promoter_id, promoters))
        # As an array, so that it is looked up first and the key's index is used for each.
        return sa.and_(table.merchant_id == sa.any_(sa.func.array(known.scalar_subquery())), whose)
    if asked.merchant_ids is None:
        return whose
    return sa.and_(among(table.merchant_id, asked.merchant_ids), whose)


def _scoped(found: Any, asked: Question, table: Any) -> Any:
    found = found.where(table.day.between(asked.since, asked.until))
    if asked.merchant_ids is not None:
        found = found.where(among(table.merchant_id, asked.merchant_ids))
    if asked.promoter_ids is not None:
        found = found.where(among(table.promoter_id, asked.promoter_ids))
    return found


def _sums(table: Any, names: Collection[str]) -> list[Any]:
    total = (sa.func.coalesce(sa.func.sum(getattr(table, name)), 0) for name in names)
    return [
        sa.cast(each, sa.BigInteger).label(name) for each, name in zip(total, names, strict=True)
    ]


def _merchant(by: str, column: Any) -> Any:
    """Days are everybody's; ids are a merchant's; promoters and their content may have several."""
    return sa.literal(0).label("merchant") if by in _OF_SEVERAL else column.label("merchant")


def _grouped(found: Any, by: str, key: Any, merchant: Any) -> Any:
    found = found.group_by(key)
    return found if by in _OF_SEVERAL else found.group_by(merchant)


def _ordered(by: str, rank: str) -> list[Any]:
    key: sa.ColumnElement[Any] = sa.literal_column("key")
    return [key] if by == "day" else [sa.literal_column(rank).desc(), key]
