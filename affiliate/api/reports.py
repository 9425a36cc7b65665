"""Reports: one figure by one thing, of clicks and of orders. Days are the merchant's own."""

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from affiliate import clock, ids
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    ContentId,
    LinkId,
    ListQuery,
    MerchantId,
    Money,
    Pair,
    ProductId,
    ProgramId,
    PromoterId,
    Resource,
    ShopId,
)
from affiliate.errors import Forbidden, invalid
from affiliate.insight import queries
from affiliate.insight.queries import Figure
from affiliate.insight.store import Question
from affiliate.paging import slice_of
from affiliate.people.rules import Caller, Right

DAYS = 30
DAYS_MAX = 400
Metric = Literal[
    "clicks", "valid_clicks", "visitors", "scans", "orders", "paid_orders", "kept_orders",
    "revenue", "commission", "refunds", "epc", "conversion",
]  # fmt: skip
By = Literal[
    "day", "hour", "merchant", "shop", "program", "product", "promoter", "link", "content",
    "content_item", "channel", "country", "device", "os", "browser", "language", "referrer",
]  # fmt: skip
PREFIXES: Mapping[str, str] = MappingProxyType(
    {"merchant": "mer", "shop": "shp", "program": "prg", "product": "prd", "promoter": "prm",
     "link": "lnk", "content_item": "cnt"}
)  # fmt: skip


def _day(text: object) -> object:
    return date.fromisoformat(text) if isinstance(text, str) and len(text) == 10 else text


Day = Annotated[date, BeforeValidator(_day), Field(ge=date(1970, 1, 2), le=date(2200, 1, 1))]


class ReportQuery(ListQuery):
    metric: Metric = Field(
        "clicks",
        description="`visitors` are counted per link and day; `conversion` is orders per valid"
        " click in ppm; `epc` is the commission of 100 valid clicks. A promoter's commission is"
        " their own",
    )
    by: By = Field(
        "day",
        description="`hour` is in UTC, of the last days only; `channel` is the app that the link"
        " was opened in; `product` is what the link leads to; `content_item` is a"
        " promoter's own, `content` its title or what was typed. Orders are not known by hour,"
        " channel, country, device and what else a browser says. A promoter's own clicks are known"
        " by hour, channel, country and device",
    )
    from_: Day | None = Field(
        None, alias="from", description="First day, in the merchant's zone; by default 30 days back"
    )
    to: Day | None = Field(None, description="Last day, included; by default today")
    merchant: MerchantId | None = None
    promoter: PromoterId | None = None
    shop: ShopId | None = None
    program: ProgramId | None = None
    product: ProductId | None = None
    link: LinkId | None = None
    content_item: ContentId | None = None


class FigureShown(Resource):
    """`key` is a day, an id, or a text; empty where it is not known. One of `value` and `money`."""

    key: str
    name: str | None
    value: int | None
    money: Money | None


class Report(Resource):
    data: list[FigureShown]
    next: str | None = Field(description="Cursor of the next page; null on the last one")


@endpoint("GET", "/reports", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def report(caller: Caller, query: ReportQuery) -> Report:
    """A figure by day, or by something else with the largest first; at most 400 days of it.

    Clicks are a few seconds behind, orders up to a minute.
    """
    by = "app" if query.by == "channel" else query.by
    found, cursor = slice_of(queries.report(query.metric, by, _question(caller, query)), query)
    named = queries.names(by, {(each.merchant_id, each.key) for each in found})
    return Report(data=[_show(by, each, named) for each in found], next=cursor)


def _question(caller: Caller, query: ReportQuery) -> Question:
    until = query.to or clock.now().date() + timedelta(days=1)  # it is tomorrow somewhere
    since = query.from_ or until - timedelta(days=DAYS)
    if since > until:
        raise invalid("/from", "after_to", "This day comes after the last one.")
    if (until - since).days >= DAYS_MAX:
        raise invalid("/from", "too_long", f"A report covers {DAYS_MAX} days at most.")
    only: dict[str, int | str] = {}
    merchants = _merchants(caller, query)
    for name in ("shop", "program", "product", "link"):
        given: Pair | None = getattr(query, name)
        if given is not None:
            merchants = _narrowed(merchants, given[0])
            only[name] = given[1]
    if query.content_item is not None:
        only["content_item"] = query.content_item
    return Question(since, until, merchants, _promoters(caller, query), only)


def _merchants(caller: Caller, query: ReportQuery) -> frozenset[int] | None:
    """Those of the caller; a promoter's are all, since only the promoter's own is looked at."""
    if not caller.may(Right.READ_MERCHANT):
        return None if query.merchant is None else frozenset({query.merchant})
    scope = caller.scope(Right.READ_MERCHANT)
    if query.merchant is None:
        return scope
    caller.require(Right.READ_MERCHANT, query.merchant)
    return frozenset({query.merchant})


def _narrowed(merchants: frozenset[int] | None, merchant_id: int) -> frozenset[int]:
    """Of another's thing there are no figures."""
    known = merchants is None or merchant_id in merchants
    return frozenset({merchant_id} if known else ())


def _promoters(caller: Caller, query: ReportQuery) -> frozenset[int] | None:
    if caller.may(Right.READ_MERCHANT):
        return None if query.promoter is None else frozenset({query.promoter})
    if query.promoter is not None and query.promoter not in caller.promoter_ids:
        raise Forbidden("These are another promoter's figures.")
    return caller.promoter_ids


def _show(by: str, each: Figure, named: Mapping[tuple[int, Any], str]) -> FigureShown:
    money = None if each.currency is None else Money.of(each.value, each.currency)
    return FigureShown(
        key=_key(by, each),
        name=named.get((each.merchant_id, each.key)),
        value=each.value if money is None else None,
        money=money,
    )


def _key(by: str, each: Figure) -> str:
    prefix = PREFIXES.get(by)
    if prefix is None:
        return str(each.key)
    keys = (
        [each.key]
        if by in ("merchant", "promoter", "content_item")
        else [each.merchant_id, each.key]
    )
    return ids.encode(prefix, *keys)
