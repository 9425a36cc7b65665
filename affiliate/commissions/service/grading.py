"""Closing months: what each promoter sold in them is counted once, and their grades follow.

Whoever needs a closed month first counts it: the hourly job, or the booking of a paid order that
asks for a grade or a volume. The lock of the merchant's ladder lets one count and the others wait
for it, so what an order asked for can be asked again and is the same.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime

import sqlalchemy as sa

from affiliate import clock
from affiliate.commissions.models import ClosedMonth, Volume
from affiliate.db import among, db
from affiliate.people.models import Merchant
from affiliate.programs import grades
from affiliate.programs import queries as programs
from affiliate.programs import service as programs_service
from affiliate.programs.grades import Figures, Step
from affiliate.programs.models import Grade, GradeStanding, Program, RuleVersion
from affiliate.programs.service import Change

At = tuple[int, datetime]  # a promoter as of an instant


def volumes_of(
    merchant: Merchant, wanted: Collection[At], periods: Collection[str], *, paid: Collection[At]
) -> dict[At, dict[str, Figures]]:
    """What each promoter sold in the last period that was over then, by period. Only what is
    `paid` closes its months; of others what is known counts.
    """
    firsts = {
        (at, period): grades.closed_before(grades.month_of(at, merchant.timezone), period)
        for _, at in wanted
        for period in periods
    }
    months = {
        (at, month)
        for (at, period), first in firsts.items()
        for month in grades.months_of(first, period)
    }
    closing = {at for _, at in paid}
    close(merchant, {month for at, month in months if at in closing})
    sold = _monthly(merchant.id, {who for who, _ in wanted}, {month for _, month in months})
    return {
        (who, at): {
            period: _sum(
                sold.get((who, month)) for month in grades.months_of(firsts[at, period], period)
            )
            for period in periods
        }
        for who, at in wanted
    }


def grades_of(
    merchant: Merchant, wanted: Collection[At], *, paid: Collection[At]
) -> dict[At, Grade]:
    """The grade of each promoter as of an instant, after every period that was over then. Only
    what is `paid` closes its months.
    """
    close(merchant, {_last_closed(merchant, at) for _, at in paid})
    held = programs.grades_as_of(merchant.id, wanted)
    known = programs.grades_by_id(merchant.id, set(held.values()))
    return {key: known[grade_id] for key, grade_id in held.items()}


def close_due(merchant: Merchant) -> None:
    """Close the month that is over, if grades or rules ask for it. Safe to call at any time."""
    if _asks(merchant.id):
        close(merchant, {_last_closed(merchant, clock.now())})


def close(merchant: Merchant, months: Iterable[date]) -> None:
    """Count these months, each once, and all since the ladder began: grades follow each other."""
    now = grades.month_of(clock.now(), merchant.timezone)
    wanted = {month for month in months if month < now}
    began = _ladder_began(merchant)
    if began is not None and wanted:
        month = began
        while month < max(wanted):
            wanted.add(month)
            month = grades.shifted(month, 1)
    if not wanted - _closed(merchant.id, wanted):
        return
    programs_service.hold_ladder(merchant.id)
    for month in sorted(wanted - _closed(merchant.id, wanted)):
        db.session.add(ClosedMonth(merchant_id=merchant.id, month=month))
        db.session.flush()
        _count(merchant, month)
        if began is not None and month >= began and _ends_period(merchant, month):
            _grade(merchant, month)


def grade_now(merchant: Merchant) -> list[Change]:
    """Grade everybody by the last closed period, from now on: for a ladder that was just made.
    Nobody goes down by it, so asking again changes nothing.
    """
    period = merchant.grade_period
    month = grades.month_of(clock.now(), merchant.timezone)
    first = grades.closed_before(month, period)
    close(merchant, grades.months_of(first, period))
    programs_service.hold_ladder(merchant.id)
    changes = _changes(merchant, first, since=clock.now(), demotion="none")
    programs_service.stand(merchant.id, changes, since=clock.now(), period=first)
    return changes


def _closed(merchant_id: int, months: Collection[date]) -> set[date]:
    return set(
        db.session.scalars(
            sa.select(ClosedMonth.month).where(
                ClosedMonth.merchant_id == merchant_id, among(ClosedMonth.month, months)
            )
        )
    )


def _last_closed(merchant: Merchant, at: datetime) -> date:
    return grades.shifted(grades.month_of(at, merchant.timezone), -1)


def _asks(merchant_id: int) -> bool:
    graded = sa.exists().where(Grade.merchant_id == merchant_id)
    banded = sa.exists().where(
        RuleVersion.merchant_id == merchant_id, RuleVersion.conditions.has_key("volume")
    )
    return bool(db.session.scalar(sa.select(sa.or_(graded, banded))))


def _ladder_began(merchant: Merchant) -> date | None:
    """The first month of the period in which the merchant's first grade was made."""
    first = db.session.scalar(
        sa.select(sa.func.min(Grade.created_at)).where(Grade.merchant_id == merchant.id)
    )
    if first is None:
        return None
    month = grades.month_of(first, merchant.timezone)
    return grades.begun(month, merchant.grade_period)


def _ends_period(merchant: Merchant, month: date) -> bool:
    return month.month % grades.PERIODS[merchant.grade_period] == 0


# Of those who sold something, and of all who stand above them as of the month's end. Uplines that
# this merchant does not know are none of its business.
_COUNT = sa.text("""
    WITH RECURSIVE sold AS (
        SELECT c.via_id AS promoter_id, c.currency, c.order_id,
               sum(c.remaining)::bigint AS sales
          FROM commissions c
          JOIN orders o ON o.merchant_id = c.merchant_id AND o.id = c.order_id
         WHERE c.merchant_id = :merchant AND c.program_id = ANY (:programs) AND c.month = :month
           AND c.role IN ('direct', 'rebate') AND c.remaining > 0 AND o.paid_at IS NOT NULL
         GROUP BY 1, 2, 3
    ), up (promoter_id, above, level) AS (
        SELECT DISTINCT promoter_id, promoter_id, 0 FROM sold
        UNION ALL
        SELECT up.promoter_id, s.sponsor_id, up.level + 1
          FROM up JOIN sponsorships s ON s.promoter_id = up.above
                                     AND s.since <= :end AND (s.until IS NULL OR :end < s.until)
         WHERE up.level < 64
    )
    INSERT INTO promoter_volumes (merchant_id, month, promoter_id, currency,
                                  orders, sales, team_orders, team_sales, created_at)
    SELECT :merchant, :month, up.above, sold.currency,
           count(DISTINCT sold.order_id) FILTER (WHERE level = 0),
           coalesce(sum(sold.sales) FILTER (WHERE level = 0), 0),
           count(DISTINCT sold.order_id), sum(sold.sales), :now
      FROM up JOIN sold USING (promoter_id)
     WHERE EXISTS (SELECT FROM enrolments e
                    WHERE e.promoter_id = up.above AND e.merchant_id = :merchant)
     GROUP BY up.above, sold.currency
""")


def _count(merchant: Merchant, month: date) -> None:
    of_merchant = sa.select(Program.id).where(Program.merchant_id == merchant.id)
    end = grades.begins(grades.shifted(month, 1), merchant.timezone) - clock.TICK
    given = {
        "merchant": merchant.id,
        "programs": list(db.session.scalars(of_merchant)),
        "month": month,
        "end": end,
        "now": clock.now(),
    }
    db.session.execute(_COUNT, given)


def _grade(merchant: Merchant, last: date) -> None:
    """Take everybody up or down by the period that ended with this month, from its end on."""
    length = grades.PERIODS[merchant.grade_period]
    first = grades.shifted(last, 1 - length)
    since = grades.begins(grades.shifted(last, 1), merchant.timezone)
    changes = _changes(merchant, first, since=since, demotion=merchant.grade_demotion)
    programs_service.stand(merchant.id, changes, since=since, period=first)


def _changes(merchant: Merchant, first: date, *, since: datetime, demotion: str) -> list[Change]:
    """Whose grade is another after this period. What was given by hand meanwhile stays."""
    ladder = [
        Step(grade.id, grade.rank, grades.needs_of(grade.needs))
        for grade in programs.ladder(merchant.id)
    ]
    held, given_later = {}, set()
    rows = db.session.execute(
        sa.select(GradeStanding.promoter_id, GradeStanding.grade_id, GradeStanding.since).where(
            GradeStanding.merchant_id == merchant.id, GradeStanding.until.is_(None)
        )
    )
    for promoter_id, grade_id, began in rows:
        held[promoter_id] = grade_id
        if began > since:
            given_later.add(promoter_id)
    months = grades.months_of(first, merchant.grade_period)
    sold: dict[int, Figures] = {}
    for (promoter_id, _), figures in _monthly(merchant.id, None, months).items():
        sold[promoter_id] = sold.get(promoter_id, Figures()).plus(figures)
    found = []
    for promoter_id in sorted({*held, *sold} - given_later):
        figures, now = sold.get(promoter_id, Figures()), held.get(promoter_id)
        then = grades.after(ladder, now, figures, demotion=demotion)
        if then != now:
            found.append(Change(promoter_id, then, figures))
    return found


def _monthly(
    merchant_id: int, promoter_ids: Collection[int] | None, months: Iterable[date]
) -> Mapping[tuple[int, date], Figures]:
    """What is stored of closed months, by promoter and month; of everybody where none are named."""
    whose = sa.true() if promoter_ids is None else among(Volume.promoter_id, promoter_ids)
    rows = db.session.scalars(
        sa.select(Volume).where(
            Volume.merchant_id == merchant_id, among(Volume.month, months), whose
        )
    )
    found: dict[tuple[int, date], Figures] = {}
    for row in rows:
        key = (row.promoter_id, row.month)
        sales, team_sales = {row.currency: row.sales}, {row.currency: row.team_sales}
        more = Figures(row.orders, row.team_orders, sales, team_sales)
        found[key] = found.get(key, Figures()).plus(more)
    return found


def _sum(figures: Iterable[Figures | None]) -> Figures:
    total = Figures()
    for each in figures:
        if each is not None:
            total = total.plus(each)
    return total
