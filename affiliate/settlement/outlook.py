"""What is owed by its age, and what merchants have to send to cover it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate.commissions.models import Entry, State
from affiliate.db import db
from affiliate.ledger import rules
from affiliate.ledger.models import Account, Kind
from affiliate.people.queries import within
from affiliate.people.rules import Scope

STAGES = (State.PENDING, State.AVAILABLE, State.RESERVED)
# By name: how many days ago an entry was booked, from and before.
AGES: Mapping[str, tuple[int, int | None]] = MappingProxyType(
    {"week": (0, 7), "month": (7, 30), "quarter": (30, 90), "older": (90, None)}
)
AHEAD = timedelta(days=30)


@dataclass(slots=True)
class Owed:
    """What is owed in one currency: by stage and age in minor units, and what of it is held."""

    currency: str
    amounts: dict[tuple[str, str], int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)

    def of(self, stage: str, age: str | None = None) -> int:
        ages = AGES if age is None else (age,)
        return sum(self.amounts.get((stage, each), 0) for each in ages)

    def aged(self, age: str) -> int:
        return sum(self.of(stage, age) for stage in STAGES)

    @property
    def total(self) -> int:
        return sum(self.amounts.values())


@dataclass(slots=True)
class Need:
    """What one merchant's payees and authorities get in one currency, and what of the merchant's
    money is in hand for it. `hand` is below zero where more was paid than the merchant sent.
    """

    merchant_id: int
    currency: str
    hand: int = 0
    reserved: int = 0
    tax: int = 0
    available: int = 0
    released: dict[date, int] = field(default_factory=dict)  # pending, by the day of its release

    @property
    def pending(self) -> int:
        return sum(self.released.values())

    @property
    def now(self) -> int:
        """What is missing to pay what is in payouts."""
        return max(0, self.reserved + self.tax - self.hand)

    @property
    def later(self) -> int:
        """What is missing for all that is due within `AHEAD`."""
        return max(0, self.reserved + self.tax + self.available + self.pending - self.hand)


def still_owed(scope: Scope) -> sa.ColumnElement[bool]:
    """Entries that are booked and not paid. The platform's own are nobody's claim."""
    return sa.and_(
        within(Entry.merchant_id, scope), Entry.state.in_(STAGES), Entry.payee_kind != "platform"
    )


def of_age(age: str, now: datetime) -> sa.ColumnElement[bool]:
    """Entries booked that long ago."""
    since, before = AGES[age]
    young = Entry.created_at <= now - timedelta(days=since) if since else sa.true()
    old = sa.true() if before is None else Entry.created_at > now - timedelta(days=before)
    return sa.and_(young, old)


def owed(scope: Scope, now: datetime) -> list[Owed]:
    """By currency. Sums of entries, so they equal the accounts as `ledger verify` proves."""
    age = sa.case(*((of_age(each, now), each) for each in AGES))
    rows = db.session.execute(
        sa.select(Entry.currency, Entry.state, Entry.on_hold, age, _sum(Entry.amount))
        .where(still_owed(scope))
        .group_by(Entry.currency, Entry.state, Entry.on_hold, age)
        .order_by(Entry.currency, Entry.on_hold)
    )
    found: dict[str, Owed] = {}
    for currency, stage, on_hold, aged, amount in rows:
        of = found.setdefault(currency, Owed(currency))
        of.amounts[stage, aged] = of.of(stage, aged) + amount
        if on_hold and stage != State.RESERVED:
            of.held[on_hold] = of.held.get(on_hold, 0) + amount
    return list(found.values())


def needs(scope: Scope, now: datetime, zone: ZoneInfo) -> list[Need]:
    """By merchant and currency, where anything is in hand or to be paid."""
    found = {(each.merchant_id, each.currency): each for each in needs_now(scope)}
    day = sa.cast(sa.func.timezone(zone.key, sa.func.greatest(Entry.hold_until, now)), sa.Date)
    waits = sa.or_(Entry.on_hold.is_(None), Entry.on_hold == "merchant_unfunded")
    rows = db.session.execute(
        sa.select(Entry.merchant_id, Entry.currency, day, _sum(Entry.amount))
        .where(still_owed(scope), Entry.state == State.PENDING, waits,
               Entry.hold_until < now + AHEAD)
        .group_by(Entry.merchant_id, Entry.currency, day)
        .order_by(day)
    )  # fmt: skip
    for merchant_id, currency, on, amount in rows:
        # Its first entry may have come since its accounts were read.
        need = found.setdefault((merchant_id, currency), Need(merchant_id, currency))
        need.released[on] = amount
    return [
        each
        for each in found.values()
        if each.hand or each.reserved or each.tax or each.available or each.released
    ]


def needs_now(scope: Scope) -> list[Need]:
    """The same without what is still pending."""
    found: dict[tuple[int, str], Need] = {}
    for merchant_id, currency, kind, balance in _balances(scope):
        need = found.setdefault((merchant_id, currency), Need(merchant_id, currency))
        if kind == Kind.CLEARING:
            need.hand = -balance
        else:
            setattr(need, kind, balance)
    return list(found.values())


def by_day(wanted: Sequence[Need], today: date) -> list[tuple[date, int]]:
    """Needs of one currency, summed up day by day: what was to be paid until then."""
    sums, amount = [], sum(each.reserved + each.tax + each.available for each in wanted)
    for ahead in range(AHEAD.days + 1):
        day = today + timedelta(days=ahead)
        amount += sum(each.released.get(day, 0) for each in wanted)
        sums.append((day, amount))
    return sums


def _balances(scope: Scope) -> list[tuple[int, str, str, int]]:
    """What payees owe back themselves lessens nobody else's claim."""
    kinds = (Kind.CLEARING, Kind.RESERVED, Kind.TAX, Kind.AVAILABLE)
    balance = sa.case(
        (Account.kind == Kind.AVAILABLE, sa.func.greatest(Account.credits - Account.debits, 0)),
        else_=Account.credits - Account.debits,
    )
    rows = db.session.execute(
        sa.select(Account.merchant_id, Account.currency, Account.kind, _sum(balance))
        .where(within(Account.merchant_id, scope), Account.kind.in_(kinds))
        .group_by(Account.merchant_id, Account.currency, Account.kind)
        .order_by(Account.merchant_id, Account.currency)
    )
    return [
        (merchant_id, currency, kind, rules.balance(kind, 0, amount))
        for merchant_id, currency, kind, amount in rows
    ]


def _sum(what: Any) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.sum(what), sa.BigInteger)
