"""What is known of clicks and orders: reports, counts for pages, how far the writer is behind."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog.models import Product, Shop
from affiliate.db import among, among_keys, db
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.insight import store
from affiliate.insight.store import Question, Summed
from affiliate.links import queries as links
from affiliate.links import spool
from affiliate.links.models import Link, LinkDay
from affiliate.people.models import Merchant, Promoter
from affiliate.programs.models import Program

CLICK_METRICS = ("clicks", "valid_clicks", "visitors", "scans")
COUNT_METRICS = ("orders", "paid_orders", "kept_orders")
MONEY_METRICS = ("revenue", "commission", "refunds")
RATIOS = ("epc", "conversion")
METRICS = (*CLICK_METRICS, *COUNT_METRICS, *MONEY_METRICS, *RATIOS)
PPM = 1_000_000
HOUR, HOUR_SECONDS = "hour", 3600
HOURS_DAYS = 2  # besides today, in UTC
ROWS_MAX = 5000  # of a report: those with the most clicks or orders
EPC_CLICKS = 100  # what a hundred clicks earned


class NotCounted(AffiliateError):
    """This metric is not kept by that."""

    status = 422
    code = "not_counted"


@dataclass(frozen=True, slots=True)
class Backlog:
    segments: int
    bytes: int


def backlog(folder: Path) -> Backlog:
    """What lies in the spool of this machine and is not in the database yet."""
    sizes = {path.name: _size(path) for path in spool.segments(folder)}
    stored = store.offsets(list(sizes))
    waiting = [max(size - stored.get(name, 0), 0) for name, size in sizes.items()]
    return Backlog(sum(1 for each in waiting if each), sum(waiting))


def clicks_of(link_ids: Collection[int], *, since: date | None = None) -> dict[int, int]:
    """People's clicks per link, from the daily rollup."""
    counts = (
        sa.select(LinkDay.link_id, sa.func.sum(LinkDay.valid_clicks))
        .where(among(LinkDay.link_id, link_ids))
        .group_by(LinkDay.link_id)
    )
    if since is not None:
        counts = counts.where(LinkDay.day >= since)
    found = {link_id: int(clicks) for link_id, clicks in db.session.execute(counts)}
    return {link_id: found.get(link_id, 0) for link_id in link_ids}


# --- reports ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a report: a number, or an amount in a currency. Conversion is in ppm."""

    key: Any  # a day, an id, or a text
    merchant_id: int
    value: int
    currency: str | None = None


def report(metric: str, by: str, asked: Question) -> list[Figure]:
    """Days in their order; everything else with the largest first.

    A promoter's commission is what they earned themselves; a merchant's is that of all payees.
    """
    if by in (HOUR, *store.DIMENSIONS):
        _check_dimension(metric, by, asked)
    if by == HOUR:
        return _hours(metric, asked)
    if metric in CLICK_METRICS:
        found = [
            Figure(each.key, each.merchant_id, getattr(each, metric))
            for each in store.clicks_by(by, asked, most=ROWS_MAX)
        ]
    elif metric in COUNT_METRICS:
        totals: dict[tuple[int, Any], int] = {}
        for row in store.orders_by(by, asked, most=ROWS_MAX):
            key = (row.merchant_id, row.key)
            totals[key] = totals.get(key, 0) + getattr(row, metric)
        found = [Figure(key, merchant, value) for (merchant, key), value in totals.items()]
    elif metric in MONEY_METRICS:
        found = [
            Figure(row.key, row.merchant_id, _amount(row, metric, asked), row.currency)
            for row in store.orders_by(by, asked, most=ROWS_MAX)
        ]
    else:
        found = _ratios(metric, by, asked)
    found = [each for each in found if each.value]
    if by == "day":
        return sorted(found, key=lambda each: (each.key, each.currency or ""))
    return sorted(found, key=lambda each: (-each.value, str(each.key), each.currency or ""))


def _check_dimension(metric: str, by: str, asked: Question) -> None:
    if metric not in CLICK_METRICS:
        raise NotCounted(_("Orders are not known by %(by)s: only clicks are.", by=by))
    if asked.only:
        raise NotCounted(_("By %(by)s only all clicks together are counted.", by=by))
    if asked.promoter_ids is not None and by not in (HOUR, *store.PROMOTERS_OWN):
        raise NotCounted(_("A promoter's clicks are not counted by %(by)s.", by=by))


def _hours(metric: str, asked: Question) -> list[Figure]:
    """Of the last days only, in UTC."""
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=HOURS_DAYS)
    found = store.clicks_since(first, asked, step_seconds=HOUR_SECONDS)
    hours = [(first + timedelta(hours=each.key), getattr(each, metric)) for each in found]
    return [
        Figure(at.isoformat().replace("+00:00", "Z"), 0, value)
        for at, value in hours
        if value and asked.since <= at.date() <= asked.until
    ]


def _ratios(metric: str, by: str, asked: Question) -> list[Figure]:
    clicks = {(row.merchant_id, row.key): row.valid_clicks for row in store.clicks_by(by, asked)}
    sums: dict[tuple[int, Any, str | None], int] = {}
    for row in store.orders_by(by, asked):
        is_money = metric == "epc"
        key = (row.merchant_id, row.key, row.currency if is_money else None)
        value = _amount(row, "commission", asked) if is_money else row.orders
        sums[key] = sums.get(key, 0) + value
    factor = EPC_CLICKS if metric == "epc" else PPM
    return [
        Figure(key, merchant, value * factor // clicks[merchant, key], currency)
        for (merchant, key, currency), value in sums.items()
        if clicks.get((merchant, key))
    ]


def _amount(row: Summed, metric: str, asked: Question) -> int:
    name = "earned" if metric == "commission" and asked.promoter_ids is not None else metric
    return int(getattr(row, name))


def names(by: str, keys: Collection[tuple[int, Any]]) -> dict[tuple[int, Any], str]:
    """What people call the things of a report, by merchant and key; days and texts are clear."""
    if by == "promoter":
        rows = db.session.execute(
            sa.select(Promoter.id, Promoter.name).where(
                among(Promoter.id, {key for _, key in keys})
            )
        )
        told = {row.id: row.name for row in rows}
        return {(merchant, key): told.get(key, "") for merchant, key in keys}
    if by == "merchant":
        rows = db.session.execute(
            sa.select(Merchant.id, Merchant.name).where(
                among(Merchant.id, {key for _, key in keys})
            )
        )
        return {(row.id, row.id): row.name for row in rows}
    if by == "link":
        return link_names(keys)
    if by == "content_item":
        told = {
            each.id: each.title for each in links.content_items({key for _, key in keys}).values()
        }
        return {(merchant, key): told.get(key, "") for merchant, key in keys}
    kinds: Mapping[str, tuple[Any, Any]] = {
        "shop": (Shop, Shop.name),
        "program": (Program, Program.name),
        "product": (Product, Product.title),
    }
    if by not in kinds:
        return {}
    model, title = kinds[by]
    told_of: Any = sa.select(model.merchant_id, model.id, title)
    of_keys = among_keys(model.merchant_id, model.id, keys)
    found = db.session.execute(told_of.where(of_keys))
    return {(merchant, key): name for merchant, key, name in found}


def link_names(keys: Collection[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """What it leads to, its content where it has one, and its code."""
    rows = db.session.execute(
        sa.select(Link.merchant_id, Link.id, Link.code, Link.content,
                  sa.func.coalesce(Product.title, Shop.name).label("title"))
        .join(Shop, sa.and_(Shop.merchant_id == Link.merchant_id, Shop.id == Link.shop_id))
        .outerjoin(Product, sa.and_(Product.merchant_id == Link.merchant_id,
                                    Product.id == Link.product_id))
        .where(among(Link.id, {key for _, key in keys}))
    )  # fmt: skip
    return {
        (row.merchant_id, row.id): " · ".join(filter(None, (row.title, row.content, row.code)))
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class Leader:
    """One of those with the most clicks or orders."""

    key: Any
    merchant_id: int
    name: str
    clicks: int
    orders: int
    sums: Sequence[Summed]  # one for each currency

    @property
    def conversion_ppm(self) -> int | None:
        return self.orders * PPM // self.clicks if self.clicks else None


def leaders(by: str, asked: Question, *, most: int = 10) -> list[Leader]:
    """Those with the most orders, then with the most clicks; in three statements."""
    found = store.leading(by, asked, most=most)
    if not found:
        return []
    sums: dict[tuple[int, Any], list[Summed]] = {}
    for row in store.orders_by(by, asked, keys=[each[1] for each in found]):
        sums.setdefault((row.merchant_id, row.key), []).append(row)
    told = names(by, {(merchant_id, key) for merchant_id, key, _clicks, _orders in found})
    return [
        Leader(
            key, merchant_id, told.get((merchant_id, key), ""), clicks, orders,
            sums.get((merchant_id, key), []),
        )
        for merchant_id, key, clicks, orders in found
    ]  # fmt: skip


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
