"""What was paid to a payee in a year and withheld of it: what a certificate of the payer says.

By the day of payment, where the merchant is. Payouts that came back are not in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from affiliate.db import db
from affiliate.money import exponent

HEAD = (
    "year", "merchant", "payee_kind", "payee", "currency", "tax", "table", "payouts", "gross",
    "withheld", "net",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One payee, currency and table; without a table nothing was withheld of these payouts."""

    merchant_id: int
    merchant: str
    payee_kind: str
    payee_id: int
    payee: str
    currency: str
    tax: str | None
    table: str | None
    payouts: int
    gross: int
    withheld: int

    @property
    def net(self) -> int:
        return self.gross - self.withheld


def rows(
    year: int,
    *,
    merchants: Sequence[int] | None = None,
    payee: tuple[str, int] | None = None,
    limit: int | None = None,
) -> Iterator[Row]:
    """Of these merchants or all, of one payee or all. A payout under two taxes is in two rows."""
    kind, payee_id = payee or (None, None)
    given = {
        "year": year, "merchants": merchants if merchants is None else list(merchants),
        "kind": kind, "payee": payee_id, "limit": limit,
    }  # fmt: skip
    for row in db.session.execute(ROWS, given, execution_options={"yield_per": 2000}):
        yield Row(**row._asdict())


def years(payee: tuple[str, int]) -> list[int]:
    """In which anything was paid."""
    found = db.session.scalars(YEARS, {"kind": payee[0], "payee": payee[1]})
    return [int(year) for year in found]


def cells(year: int, found: Iterator[Row]) -> Iterator[Sequence[Any]]:
    for each in found:
        sums = (each.gross, each.withheld, each.net)
        yield (
            year, each.merchant, each.payee_kind, each.payee, each.currency, each.tax, each.table,
            each.payouts, *(Decimal(one).scaleb(-exponent(each.currency)) for one in sums),
        )  # fmt: skip


ROWS = sa.text("""
    SELECT p.merchant_id, m.name AS merchant, p.payee_kind, p.payee_id,
           coalesce(CASE p.payee_kind WHEN 'agency' THEN a.name ELSE o.name END, '') AS payee,
           p.currency, w.tax, w.table_code AS table, count(*) AS payouts,
           CAST(sum(p.gross) AS bigint) AS gross,
           CAST(coalesce(sum(w.amount), 0) AS bigint) AS withheld
      FROM payouts p
      JOIN merchants m ON m.id = p.merchant_id
      LEFT JOIN payout_withholdings w ON w.merchant_id = p.merchant_id AND w.payout_id = p.id
      LEFT JOIN promoters o ON p.payee_kind = 'promoter' AND o.id = p.payee_id
      LEFT JOIN agencies a ON p.payee_kind = 'agency' AND a.id = p.payee_id
     WHERE p.state = 'paid'
       AND p.paid_at >= make_timestamptz(CAST(:year AS int), 1, 1, 0, 0, 0, m.timezone)
       AND p.paid_at < make_timestamptz(CAST(:year AS int) + 1, 1, 1, 0, 0, 0, m.timezone)
       AND (CAST(:merchants AS bigint[]) IS NULL OR p.merchant_id = ANY(:merchants))
       AND (CAST(:kind AS text) IS NULL OR (p.payee_kind = :kind AND p.payee_id = :payee))
     GROUP BY p.merchant_id, m.name, p.payee_kind, p.payee_id, o.name, a.name, p.currency,
              w.tax, w.table_code
     ORDER BY m.name, p.merchant_id, p.payee_kind, p.payee_id, p.currency, w.tax
     LIMIT CAST(:limit AS bigint)
""")

YEARS = sa.text("""
    SELECT DISTINCT CAST(extract(year FROM p.paid_at AT TIME ZONE m.timezone) AS int) AS year
      FROM payouts p JOIN merchants m ON m.id = p.merchant_id
     WHERE p.payee_id = :payee AND p.payee_kind = :kind AND p.state = 'paid'
     ORDER BY year DESC
""")
