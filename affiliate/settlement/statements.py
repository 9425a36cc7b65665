"""Statements: what moved between a merchant and one payee, or what a merchant owes altogether.

A payee's statement is about all that is theirs with a merchant: pending, available and reserved
together, so putting money into a payout moves nothing, and paying it out does. A merchant's is
about what it owes. Both are read from the transfers of the accounts concerned, and a statement that
does not add up is not shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db, numbers
from affiliate.ledger import rules
from affiliate.ledger.models import Account, Code, Kind
from affiliate.money import exponent
from affiliate.people import queries as people
from affiliate.programs import grades

PAGE = 500
CHUNK = 2000
# Between two accounts of one payee: nothing comes and nothing goes.
WITHIN = (Code.RELEASE, Code.UNRELEASE, Code.RESERVE, Code.UNRESERVE)
OF_PAYEE = (Kind.PENDING, Kind.AVAILABLE, Kind.RESERVED)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose statement: a payee with a merchant, or the merchant itself."""

    merchant_id: int
    kind: str  # promoter, agency, merchant
    id: int

    @property
    def subject(self) -> str:
        """For the audit log."""
        prefix = {"promoter": "prm", "agency": "agn", "merchant": "mer"}[self.kind]
        return f"{prefix}:{self.id}"

    @property
    def kinds(self) -> Sequence[Kind]:
        return (Kind.RECEIVABLE,) if self.kind == "merchant" else OF_PAYEE


@dataclass(frozen=True, slots=True)
class Period:
    """From the beginning of one day to the end of another, where the merchant is."""

    first: date
    last: date
    zone: str

    @property
    def since(self) -> datetime:
        return self._begins(self.first)

    @property
    def until(self) -> datetime:
        return self._begins(self.last + timedelta(days=1))

    def _begins(self, day: date) -> datetime:
        return datetime.combine(day, time.min, ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """One movement, signed as the balance is. Of a payout also what it was made of."""

    id: int
    at: datetime
    code: str
    cause: str
    amount: int
    balance: int  # once it was booked
    order_id: int | None
    order: str | None  # as the shop calls it
    product: str | None
    reference: str | None  # of a payout or a pay-in
    gross: int | None
    withheld: int | None
    net: int | None


@dataclass(frozen=True, slots=True)
class Statement:
    owner: Owner
    currency: str
    period: Period
    opened: dict[str, int]  # by kind of account
    closed: dict[str, int]
    sums: dict[str, int]  # by what moved
    count: int

    @property
    def opening(self) -> int:
        return sum(self.opened.values())

    @property
    def closing(self) -> int:
        return sum(self.closed.values())

    @property
    def moved(self) -> int:
        return sum(self.sums.values())


def month_of(merchant_id: int, month: date | None = None) -> Period:
    """That month, or the one that it is there now."""
    zone = people.merchant(merchant_id).timezone
    first = month or grades.month_of(clock.now(), zone)
    return Period(first, grades.shifted(first, 1) - timedelta(days=1), zone)


def between(merchant_id: int, first: date, last: date) -> Period:
    return Period(first, last, people.merchant(merchant_id).timezone)


def currencies(owner: Owner) -> list[str]:
    """In which anything was ever booked."""
    return list(
        db.session.scalars(
            sa.select(Account.currency)
            .distinct()
            .where(*_accounts_of(owner))
            .order_by(Account.currency)
        )
    )


def draw(owner: Owner, currency: str, period: Period) -> Statement:
    """The sums of a statement; its lines are read apart, as they may be many."""
    accounts = _accounts(owner, currency)
    opened = dict.fromkeys(map(str, owner.kinds), 0)
    closed = dict(opened)
    sums: dict[str, int] = {}
    count = 0
    for row in db.session.execute(SUMS, _given(owner, accounts, period)):
        kind = accounts[row.account_id]
        amount = rules.balance(kind, row.debits, row.credits)
        closed[kind] += amount
        if not row.during:
            opened[kind] += amount
        elif row.code not in WITHIN:
            sums[row.code] = sums.get(row.code, 0) + amount
            count += row.number
    found = Statement(owner, currency, period, opened, closed, sums, count)
    assert found.opening + found.moved == found.closing, f"{owner} does not add up: {found}"
    return found


def lines(statement: Statement, limit: int | None = None) -> Iterator[Line]:
    """In the order in which they were booked, read in portions."""
    owner = statement.owner
    accounts = _accounts(owner, statement.currency)
    given = _given(owner, accounts, statement.period) | {"limit": limit}
    balance = statement.opening
    kind = owner.kinds[0]
    for row in db.session.execute(LINES, given, execution_options={"yield_per": CHUNK}):
        fields = row._asdict()
        amount = rules.balance(kind, fields.pop("debit"), fields.pop("credit"))
        balance += amount
        yield Line(amount=amount, balance=balance, **fields)


HEAD = (
    "booked_at", "what", "order", "product", "reference", "gross", "withheld", "net", "amount",
    "balance", "currency",
)  # fmt: skip


def cells(statement: Statement) -> Iterator[Sequence[Any]]:
    """The whole statement as rows of a file, with the balances before and after."""
    currency, period = statement.currency, statement.period
    yield _balance(period.since, "opening", statement.opening, currency)
    balance = statement.opening
    for each in lines(statement):
        balance = each.balance
        amounts = (each.gross, each.withheld, each.net, each.amount, each.balance)
        yield (
            each.at.isoformat(), each.code, each.order, each.product, each.reference,
            *(None if one is None else _decimal(one, currency) for one in amounts), currency,
        )  # fmt: skip
    assert balance == statement.closing, f"{statement.owner} does not add up to {balance}"
    yield _balance(period.until, "closing", statement.closing, currency)
    for kind, amount in statement.closed.items():
        yield _balance(period.until, kind, amount, currency)


def _balance(at: datetime, what: str, amount: int, currency: str) -> Sequence[Any]:
    return (at.isoformat(), what, *[None] * 7, _decimal(amount, currency), currency)


def _decimal(amount: int, currency: str) -> Decimal:
    return Decimal(amount).scaleb(-exponent(currency))


def _accounts(owner: Owner, currency: str) -> dict[int, str]:
    rows = db.session.execute(
        sa.select(Account.id, Account.kind).where(
            *_accounts_of(owner), Account.currency == currency
        )
    )
    return {id_: kind for id_, kind in rows}  # noqa: C416


def _accounts_of(owner: Owner) -> list[sa.ColumnElement[bool]]:
    return [
        Account.merchant_id == owner.merchant_id,
        Account.owner_kind == owner.kind,
        Account.owner_id == owner.id,
        Account.kind.in_(owner.kinds),
    ]


def _given(owner: Owner, accounts: dict[int, str], period: Period) -> dict[str, Any]:
    return {
        "merchant": owner.merchant_id,
        "accounts": numbers(accounts),
        "within": list(WITHIN),
        "since": period.since,
        "until": period.until,
    }


# Each account's transfers by its own two indexes.
SIDES = """
    SELECT t.id, t.created_at, t.code, t.cause, t.amount AS debit, 0 AS credit,
           t.source_id AS account_id
      FROM ledger_transfers t
     WHERE t.merchant_id = :merchant AND t.source_id = ANY(CAST(:accounts AS bigint[]))
       AND t.created_at < :until
    UNION ALL
    SELECT t.id, t.created_at, t.code, t.cause, 0, t.amount, t.target_id
      FROM ledger_transfers t
     WHERE t.merchant_id = :merchant AND t.target_id = ANY(CAST(:accounts AS bigint[]))
       AND t.created_at < :until
"""
MOVED = "created_at >= :since AND code <> ALL(CAST(:within AS text[]))"

# All sums in one statement, so that they are of one instant.
SUMS = sa.text(f"""
    SELECT account_id, code, created_at >= :since AS during, count(*) AS number,
           CAST(sum(debit) AS bigint) AS debits, CAST(sum(credit) AS bigint) AS credits
      FROM ({SIDES}) sides GROUP BY account_id, code, during ORDER BY code
""")  # noqa: S608

LINES = sa.text(f"""
    SELECT moved.id, moved.created_at AS at, moved.code, moved.cause, moved.debit, moved.credit,
           o.id AS order_id, coalesce(o.number, o.external_id) AS "order", l.title AS product,
           coalesce(p.reference, i.reference) AS reference, p.gross, p.withheld, p.net
      FROM (SELECT *, split_part(cause, ':', 1) AS what,
                   CASE WHEN cause ~ '^(entry|payout|pay_in):[0-9]{{1,18}}$'
                        THEN CAST(split_part(cause, ':', 2) AS bigint) END AS row_id
              FROM ({SIDES}) sides
             WHERE {MOVED} ORDER BY created_at, id LIMIT CAST(:limit AS bigint)) moved
      LEFT JOIN entries e
        ON moved.what = 'entry' AND e.merchant_id = :merchant AND e.id = moved.row_id
      LEFT JOIN orders o ON o.merchant_id = :merchant AND o.id = e.order_id
      LEFT JOIN commissions c ON c.merchant_id = :merchant AND c.id = e.commission_id
      LEFT JOIN order_lines l ON l.merchant_id = :merchant AND l.id = c.line_id
      LEFT JOIN payouts p
        ON moved.what = 'payout' AND p.merchant_id = :merchant AND p.id = moved.row_id
      LEFT JOIN pay_ins i
        ON moved.what = 'pay_in' AND i.merchant_id = :merchant AND i.id = moved.row_id
     ORDER BY moved.created_at, moved.id
""")  # noqa: S608
