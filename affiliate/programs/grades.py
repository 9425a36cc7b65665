"""Grades and volume bands: what a promoter sold in the last closed period, and what that makes.

Pure. Periods are months and quarters in the merchant's zone. Teams count by what they sell, never
by how many heads they have: nobody is paid for recruiting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

MEASURES = ("orders", "sales", "team_orders", "team_sales")
MONEY = frozenset({"sales", "team_sales"})
PERIODS: Mapping[str, int] = {"month": 1, "quarter": 3}  # in months
DEMOTIONS = ("none", "one", "full")


@dataclass(frozen=True, slots=True)
class Figures:
    """What a promoter sold in a period, and with all below: orders of which something is left, and
    their remaining base by currency.
    """

    orders: int = 0
    team_orders: int = 0
    sales: Mapping[str, int] = field(default_factory=dict)
    team_sales: Mapping[str, int] = field(default_factory=dict)

    def of(self, measure: str, currency: str | None) -> int:
        found: Any = getattr(self, measure)
        return int(found.get(currency, 0) if measure in MONEY else found)

    def plus(self, other: "Figures") -> "Figures":
        return Figures(
            self.orders + other.orders,
            self.team_orders + other.team_orders,
            _sum(self.sales, other.sales),
            _sum(self.team_sales, other.team_sales),
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "orders": self.orders,
            "team_orders": self.team_orders,
            "sales": dict(self.sales),
            "team_sales": dict(self.team_sales),
        }


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *other)}


@dataclass(frozen=True, slots=True)
class Need:
    """At least that much of a measure; money in one currency."""

    measure: str
    at_least: int
    currency: str | None = None

    def is_met(self, figures: Figures) -> bool:
        return figures.of(self.measure, self.currency) >= self.at_least


@dataclass(frozen=True, slots=True)
class Band:
    """What a rule asks of the last closed period: at least so much of a measure, and below that."""

    measure: str
    period: str
    at_least: int = 0
    below: int | None = None
    currency: str | None = None

    def holds(self, value: int) -> bool:
        return self.at_least <= value and (self.below is None or value < self.below)


@dataclass(frozen=True, slots=True)
class Step:
    """A grade of a ladder: who meets all needs of one of its lists has earned it."""

    grade_id: int
    rank: int  # the higher the better
    needs: Sequence[Sequence[Need]]

    def is_earned(self, figures: Figures) -> bool:
        return any(all(need.is_met(figures) for need in each) for each in self.needs)


def earned(ladder: Iterable[Step], figures: Figures) -> Step | None:
    """The best grade these figures make."""
    met = [step for step in ladder if step.is_earned(figures)]
    return max(met, key=lambda step: step.rank, default=None)


def after(
    ladder: Sequence[Step], held: int | None, figures: Figures, *, demotion: str
) -> int | None:
    """The grade (its id) from the end of a period on. Who earned a better one rises to it at once;
    who earned a lower one keeps theirs (`none`), goes down by one step at most (`one`), or to what
    was earned (`full`). A grade that is not in the ladder any more counts as none.
    """
    steps = sorted(ladder, key=lambda step: step.rank)
    place = {step.grade_id: number for number, step in enumerate(steps)}
    best = earned(steps, figures)
    now = place.get(held, -1) if held is not None else -1
    then = place[best.grade_id] if best else -1
    if then < now:
        then = {"none": now, "one": max(then, now - 1), "full": then}[demotion]
    return steps[then].grade_id if then >= 0 else None


# --- periods -----------------------------------------------------------------------------------


def month_of(at: datetime, zone: str) -> date:
    """The first day of the month that an instant is in."""
    return at.astimezone(ZoneInfo(zone)).date().replace(day=1)


def closed_before(month: date, period: str) -> date:
    """The first day of the last period that was over when this month began."""
    return shifted(begun(month, period), -PERIODS[period])


def begun(month: date, period: str) -> date:
    """The first day of the period that a month is in."""
    return shifted(month, -((month.month - 1) % PERIODS[period]))


def months_of(first: date, period: str) -> list[date]:
    return [shifted(first, number) for number in range(PERIODS[period])]


def shifted(month: date, by: int) -> date:
    count = month.year * 12 + month.month - 1 + by
    return date(count // 12, count % 12 + 1, 1)


def begins(month: date, zone: str) -> datetime:
    """The instant at which a month begins there."""
    return datetime(month.year, month.month, 1, tzinfo=ZoneInfo(zone))


def needs_of(stored: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[tuple[Need, ...], ...]:
    """Needs as they are judged, from the JSON they are stored as."""
    return tuple(tuple(Need(**need) for need in each) for each in stored)


def figures_of(stored: Mapping[str, Any]) -> Figures:
    return Figures(**stored)
