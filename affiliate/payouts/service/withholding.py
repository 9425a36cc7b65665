"""What is kept back for the tax authority, reckoned while a chunk of payouts is drafted.

Only payees whom a table of the merchant's scheme fits are looked at one by one; for all others it
is one statement a chunk. The income of a period is that of the payer's live payouts to the payee
in it: whoever builds holds the lock on all that the payer builds (settlement/service/building.py),
and so that on each payer, payee and year, until the payouts are stored.

Tax that was remitted for a payout that then came back is with the authority: it is missing in the
payee's account and counts as withheld from the next payout (`credited`), whatever that one owes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db, inserting, numbers
from affiliate.fx import service as fx
from affiliate.payouts.models import PayoutWithholding
from affiliate.tax import profiles, rules, tables
from affiliate.tax.models import HAS_ID
from affiliate.tax.tables import Period, Table

RATE_LIVES = timedelta(days=31)  # an older rate of exchange decides about no bracket
CREDIT = "credit"  # the line of what the authority has already, where no table fits

Payee = tuple[str, int]


class NoRate(Exception):
    """The table is in another currency, and there is no rate of these days."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One payout, and whom it is for."""

    payee: Payee
    currency: str
    gross: int
    credited: int = 0
    payout_id: int = 0
    profile_id: int | None = None
    person: str = ""
    regime: str = ""
    has_id: bool = False


@dataclass(slots=True)
class Past:
    """By month: the income of a payee, and the tax due for it, under one scheme and tax."""

    income: dict[date, int] = field(default_factory=dict)
    due: dict[date, int] = field(default_factory=dict)

    def add(self, month: date, income: int, due: int) -> None:
        self.income[month] = self.income.get(month, 0) + income
        self.due[month] = self.due.get(month, 0) + due


History = dict[tuple[Payee, str], Past]  # by payee and tax


@dataclass(frozen=True, slots=True)
class Payer:
    merchant_id: int
    scheme: str
    day: date  # today, where the merchant is

    @property
    def country(self) -> str:
        return tables.SCHEMES[self.scheme].country

    @property
    def month(self) -> date:
        return self.day.replace(day=1)


def payer(merchant_id: int, scheme: str | None, zone: str) -> Payer:
    """Without a scheme nothing is withheld, but what the authority has already still counts."""
    return Payer(merchant_id, scheme or "", clock.now().astimezone(ZoneInfo(zone)).date())


def withhold(who: Payer, given: dict[str, object]) -> list[dict[str, Any]]:
    """Set `withheld` and `credited` of the verdicts that are paid; the lines, to be stored once
    their payouts are.
    """
    db.session.execute(CREDIT_BACK, given)
    country = who.country if who.scheme else ""
    found = [
        Subject(
            (row.payee_kind, row.payee_id), row.currency, row.gross, row.credited, row.payout_id,
            row.profile_id, row.person or "", row.regime or "", row.tin_status in HAS_ID,
        )
        for row in db.session.execute(TAXED, {"country": country})
    ]  # fmt: skip
    if not found:
        return []
    past = history(who, [each.payee for each in found])
    lines: list[dict[str, Any]] = []
    without: list[int] = []
    for subject in found:
        try:
            lines += reckon(who, subject, past)
        except NoRate:
            without.append(subject.payout_id)
    _note(lines, without)
    return lines


def store(lines: Sequence[dict[str, Any]]) -> None:
    if lines:
        db.session.execute(inserting(PayoutWithholding, lines))


def estimate(who: Payer, payee: Payee, currency: str, gross: int) -> int | None:
    """What would be kept back now; None where that cannot be said."""
    profile = profiles.live(*payee)
    if not who.scheme or profile is None or profile.country != who.country:
        return None if who.scheme and profile is None else 0
    subject = Subject(
        payee, currency, gross, 0, 0, profile.id, profile.person, profile.regime,
        profile.tin_status in HAS_ID,
    )  # fmt: skip
    try:
        lines = reckon(who, subject, history(who, [payee]))
    except NoRate:
        return None
    return sum(int(line["amount"]) for line in lines)


def reckon(who: Payer, subject: Subject, past: History) -> list[dict[str, Any]]:
    """The lines of one payout, which then count for the next."""
    found = [_line(who, subject, table, past) for table in _tables(who, subject)]
    _fit(subject, found)
    total = sum(line["amount"] for line in found)
    if subject.credited > total:
        more = subject.credited - total
        found = found or [_credit(who, subject)]
        found[0]["amount"] += more
        found[0]["due"] += _within(found[0], subject, more)
    for line in found:
        past.setdefault((subject.payee, line["tax"]), Past()).add(
            line["month"], line["income"], line["due"]
        )
    return found


def _tables(who: Payer, subject: Subject) -> tuple[Table, ...]:
    if not who.scheme or subject.profile_id is None:
        return ()
    return tables.fitting(
        who.scheme, person=subject.person, regime=subject.regime, has_id=subject.has_id, on=who.day
    )


def _line(who: Payer, subject: Subject, table: Table, past: History) -> dict[str, Any]:
    currency = table.currency or subject.currency
    rate = _rate(subject.currency, currency, who.day)
    income = rate.of(subject.gross) if rate else subject.gross
    before = past.get((subject.payee, table.tax), Past())
    months = {
        Period.PAYOUT: (),
        Period.MONTH: (who.month,),
        Period.YEAR: tuple(before.income),
    }[table.period]
    cumulative = income + sum(before.income.get(month, 0) for month in months)
    row = 1 if table.period != Period.YEAR else rules.months_in_a_row(who.month, before.income)
    found = rules.reckon(table, cumulative, row)
    due = max(0, found.tax - sum(before.due.get(month, 0) for month in months))
    back = _rate(currency, subject.currency, who.day)
    return _blank(who, subject) | {
        "tax": table.tax,
        "table_code": table.code,
        "currency": currency,
        "income": income,
        "cumulative": cumulative,
        "base": found.base,
        "ppm": found.ppm,
        "due": due,
        "amount": back.of(due) if back else due,
        "rate_id": rate.rate_id if rate else None,
    }


def _credit(who: Payer, subject: Subject) -> dict[str, Any]:
    return _blank(who, subject) | {
        "tax": CREDIT, "table_code": CREDIT, "currency": subject.currency, "income": subject.gross,
        "cumulative": subject.gross, "base": 0, "ppm": 0, "due": 0, "amount": 0, "rate_id": None,
    }  # fmt: skip


def _blank(who: Payer, subject: Subject) -> dict[str, Any]:
    return {
        "merchant_id": who.merchant_id,
        "payout_id": subject.payout_id,
        "payee_kind": subject.payee[0],
        "payee_id": subject.payee[1],
        "scheme": who.scheme or CREDIT,
        "month": who.month,
        "profile_id": subject.profile_id,
    }


def _fit(subject: Subject, lines: list[dict[str, Any]]) -> None:
    """A bank sends no payout of nothing: one minor unit is left, and what of the tax finds no room
    stays due and is made up for by the next payout of the period.
    """
    over = sum(line["amount"] for line in lines) - (subject.gross - 1)
    for line in reversed(lines):
        less = min(line["amount"], max(0, over))
        if less:
            line["amount"] -= less
            line["due"] = max(0, line["due"] - _within(line, subject, less))
            over -= less


def _within(line: dict[str, Any], subject: Subject, amount: int) -> int:
    """An amount of the payout in the line's currency, by the rate of its income."""
    if line["currency"] == subject.currency:
        return amount
    return int(amount * line["income"] // subject.gross)


def _rate(base: str, quote: str, day: date) -> fx.Quoted | None:
    if base == quote:
        return None
    rate = fx.find(base, quote, day, oldest=day - RATE_LIVES)
    if rate is None:
        raise NoRate
    return rate


def history(who: Payer, payees: Sequence[Payee]) -> History:
    """The live payouts of this year to these payees, by the taxes of the payer's scheme."""
    found: History = {}
    given = {
        "merchant": who.merchant_id,
        "scheme": who.scheme,
        "kinds": [kind for kind, _ in payees],
        "ids": numbers(payee_id for _, payee_id in payees),
        "since": who.month.replace(month=1),
    }
    for row in db.session.execute(HISTORY, given):
        past = found.setdefault(((row.payee_kind, row.payee_id), row.tax), Past())
        past.add(row.month, row.income, row.due)
    return found


def outstanding(merchant_id: int, payee: Payee, currency: str) -> int:
    """What the authority has of this payee's money, and no payout has counted yet."""
    found = sa.text(OUTSTANDING).columns(amount=sa.BigInteger)
    for row in db.session.execute(found, {"merchant": merchant_id}):
        if (row.payee_kind, row.payee_id, row.currency) == (*payee, currency):
            return int(row.amount)
    return 0


def _note(lines: Sequence[dict[str, Any]], without: Sequence[int]) -> None:
    given = {
        "payouts": numbers(line["payout_id"] for line in lines),
        "amounts": numbers(line["amount"] for line in lines),
    }
    if lines:
        db.session.execute(NOTE, given)
    if without:
        db.session.execute(LEAVE, {"payouts": numbers(without)})


# What payouts that came back left with the authority, less what was counted since.
OUTSTANDING = """
    SELECT payee_kind, payee_id, currency, amount
      FROM (SELECT payee_kind, payee_id, currency,
                   CAST(sum(withheld - credited) AS bigint) - (
                     SELECT coalesce(CAST(sum(p.credited) AS bigint), 0) FROM payouts p
                      WHERE p.merchant_id = kept.merchant_id AND p.payee_id = kept.payee_id
                        AND p.payee_kind = kept.payee_kind AND p.currency = kept.currency
                        AND p.state NOT IN ('failed', 'cancelled', 'returned')
                   ) - (
                     SELECT coalesce(CAST(sum(w.credited) AS bigint), 0) FROM withdrawals w
                      WHERE w.merchant_id = kept.merchant_id AND w.payee_id = kept.payee_id
                        AND w.payee_kind = kept.payee_kind AND w.currency = kept.currency
                        AND w.state = 'requested'
                   ) AS amount
              FROM payouts AS kept
             WHERE merchant_id = :merchant AND state = 'returned' AND remittance_id IS NOT NULL
             GROUP BY merchant_id, payee_kind, payee_id, currency) AS found
     WHERE amount > 0
"""

# What is not more than the authority has already cannot be paid: the account is at zero or below.
CREDIT_BACK = sa.text(f"""
    UPDATE verdicts
       SET credited = CASE WHEN verdicts.amount > found.amount THEN found.amount ELSE 0 END,
           verdict = CASE WHEN verdicts.amount > found.amount THEN verdict ELSE 'negative' END,
           payout_id = CASE WHEN verdicts.amount > found.amount THEN payout_id END,
           amount = CASE WHEN verdicts.amount > found.amount THEN verdicts.amount
                         ELSE verdicts.amount - found.amount END
      FROM ({OUTSTANDING}) AS found
     WHERE verdict = 'pay'
       AND (verdicts.payee_kind, verdicts.payee_id, verdicts.currency)
           = (found.payee_kind, found.payee_id, found.currency)
""")  # noqa: S608

TAXED = sa.text("""
    SELECT v.currency, v.payee_kind, v.payee_id, v.payout_id, v.gross, v.credited,
           t.id AS profile_id, t.person, t.regime, t.tin_status
      FROM verdicts v
      LEFT JOIN tax_profiles t
        ON t.payee_kind = v.payee_kind AND t.payee_id = v.payee_id AND t.replaced_at IS NULL
       AND t.country = :country
     WHERE v.payout_id IS NOT NULL AND (t.id IS NOT NULL OR v.credited > 0)
     ORDER BY v.payout_id
""")

HISTORY = sa.text("""
    SELECT w.payee_kind, w.payee_id, w.tax, w.month,
           CAST(sum(w.income) AS bigint) AS income, CAST(sum(w.due) AS bigint) AS due
      FROM (SELECT DISTINCT * FROM unnest(CAST(:kinds AS text[]), CAST(:ids AS bigint[])))
           AS payee (kind, id)
      JOIN payout_withholdings w
        ON w.merchant_id = :merchant AND w.payee_kind = payee.kind AND w.payee_id = payee.id
       AND w.month >= :since AND w.scheme = :scheme
      JOIN payouts p ON p.merchant_id = w.merchant_id AND p.id = w.payout_id
     WHERE p.state NOT IN ('failed', 'cancelled', 'returned')
     GROUP BY w.payee_kind, w.payee_id, w.tax, w.month
""")

NOTE = sa.text("""
    UPDATE verdicts SET withheld = sums.amount
      FROM (SELECT payout_id, CAST(sum(amount) AS bigint) AS amount
              FROM unnest(CAST(:payouts AS bigint[]), CAST(:amounts AS bigint[]))
                   AS line (payout_id, amount)
             GROUP BY payout_id) AS sums
     WHERE verdicts.payout_id = sums.payout_id
""")

LEAVE = sa.text("""
    UPDATE verdicts SET verdict = 'no_exchange_rate', payout_id = NULL
     WHERE payout_id = ANY(CAST(:payouts AS bigint[]))
""")
