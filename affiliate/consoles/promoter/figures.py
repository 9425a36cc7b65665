"""A promoter's numbers: set-based, per currency, never added across currencies."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate import clock
from affiliate.consoles import purses
from affiliate.db import db
from affiliate.insight import store
from affiliate.insight.store import Question
from affiliate.money import Money

DAYS = 14  # of the small picture of clicks
SLOW_CLOCKS = timedelta(hours=1)  # an entry is never older than its order, but clocks differ

_EARNED = sa.text("""
    SELECT e.currency,
           coalesce(sum(e.amount) FILTER (WHERE o.placed_at >= :today), 0)::bigint AS today,
           coalesce(sum(e.amount), 0)::bigint AS month,
           count(DISTINCT (o.merchant_id, o.id)) FILTER (WHERE o.placed_at >= :today) AS orders
      FROM entries e JOIN orders o ON o.merchant_id = e.merchant_id AND o.id = e.order_id
     WHERE e.payee_id = :promoter AND e.payee_kind = 'promoter'
       AND e.created_at >= :entered AND o.placed_at >= :month
     GROUP BY 1
""")


@dataclass(slots=True)
class Earned:
    """In one currency; by the orders' own dates, less what was taken back of them since."""

    currency: str
    today: int = 0
    month: int = 0
    estimated: int = 0
    pending: int = 0
    available: int = 0

    def money(self, stage: str) -> Money:
        return Money(getattr(self, stage), self.currency)


@dataclass(slots=True)
class Today:
    earned: list[Earned]
    orders: int
    clicks: int
    clicks_by_day: list[int]


def today(promoter_id: int, zone: ZoneInfo, *, usual: str) -> Today:
    """Days and months begin at midnight of the reader's zone; `usual` is a currency to show when
    nothing was earned yet.
    """
    midnight = clock.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    month = midnight.replace(day=1)
    earned: dict[str, Earned] = {}
    for purse in purses.by_merchant("promoter", promoter_id).values():
        of = earned.setdefault(purse.currency, Earned(purse.currency))
        of.estimated += purse.estimated
        of.pending += purse.pending
        of.available += purse.available
    orders = 0
    asked = {
        "promoter": promoter_id,
        "today": midnight,
        "month": month,
        "entered": month - SLOW_CLOCKS,
    }
    for row in db.session.execute(_EARNED, asked):
        of = earned.setdefault(row.currency, Earned(row.currency))
        of.today, of.month = row.today, row.month
        orders += row.orders
    by_worth = sorted(earned.values(), key=lambda each: (-each.month, each.currency))
    return Today(
        by_worth or [Earned(usual)],
        orders,
        _clicks_since(promoter_id, midnight),
        _clicks_by_day(promoter_id, midnight.date()),
    )


def _clicks_since(promoter_id: int, since: datetime) -> int:
    whose = Question(since.date(), since.date(), promoter_ids=frozenset({promoter_id}))
    return sum(each.valid_clicks for each in store.clicks_since(since.astimezone(UTC), whose))


def _clicks_by_day(promoter_id: int, today: date) -> list[int]:
    """Days are those of each merchant's own calendar."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    whose = Question(days[0], today, promoter_ids=frozenset({promoter_id}))
    clicks = {each.key: each.valid_clicks for each in store.clicks_by("day", whose)}
    return [clicks.get(day, 0) for day in days]
