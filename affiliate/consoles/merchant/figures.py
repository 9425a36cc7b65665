"""The numbers of the overview: set-based, over the merchant's own rows."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.insight import store
from affiliate.insight.store import Question
from affiliate.money import Money

DAYS = 30

_BY_DAY = sa.text("""
    SELECT CAST(o.paid_at AT TIME ZONE :zone AS date) AS day, o.currency,
           count(*) AS orders,
           sum(coalesce(o.total, 0))::bigint AS revenue,
           sum(coalesce(e.earned, 0))::bigint AS commission
      FROM orders o
      LEFT JOIN LATERAL (
        SELECT sum(amount) AS earned FROM entries
         WHERE merchant_id = o.merchant_id AND order_id = o.id
      ) e ON true
     WHERE o.merchant_id = :merchant AND o.paid_at >= :since AND NOT o.test
     GROUP BY 1, 2 ORDER BY 1, 2
""")


@dataclass(slots=True)
class Sums:
    """One currency's sums; never added to another's."""

    currency: str
    revenue: int = 0
    commission: int = 0
    by_day: dict[date, int] = field(default_factory=dict)

    @property
    def revenue_money(self) -> Money:
        return Money(self.revenue, self.currency)

    @property
    def commission_money(self) -> Money:
        return Money(self.commission, self.currency)


@dataclass(slots=True)
class Overview:
    days: list[date]
    sums: list[Sums]
    orders: list[int]
    clicks: list[int]


def overview(merchant_id: int, zone: str) -> Overview:
    """The last thirty days, by the merchant's own calendar."""
    today = clock.now().astimezone(ZoneInfo(zone)).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    since = datetime.combine(days[0], datetime.min.time(), ZoneInfo(zone))
    sums: dict[str, Sums] = {}
    orders = dict.fromkeys(days, 0)
    asked = {"merchant": merchant_id, "zone": zone, "since": since}
    for day, currency, count, revenue, commission in db.session.execute(_BY_DAY, asked):
        of = sums.setdefault(currency, Sums(currency))
        of.revenue += revenue
        of.commission += commission
        of.by_day[day] = commission
        orders[day] = orders.get(day, 0) + count
    whose = Question(days[0], days[-1], frozenset({merchant_id}))
    clicks = {each.key: each.valid_clicks for each in store.clicks_by("day", whose)}
    return Overview(
        days,
        sorted(sums.values(), key=lambda each: -each.revenue),
        [orders[day] for day in days],
        [clicks.get(day, 0) for day in days],
    )
