"""The books as tables for a spreadsheet or another system: each row of a kind, written while it is
read. Amounts are in whole units with a point; days and instants are ISO 8601 in UTC.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from affiliate import ids
from affiliate.db import db
from affiliate.money import exponent


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` names its columns, which are the head of the file; those in `ids` are the number of a
    row of its merchant and those in `amounts` minor units. `in_period` is asked of those that have
    one; the others show what stands now.
    """

    rows: sa.TextClause
    ids: Mapping[str, str]
    amounts: frozenset[str]
    in_period: bool = True

    def cells(
        self, merchants: Sequence[int] | None, since: datetime, until: datetime
    ) -> Iterator[Sequence[Any]]:
        """The head and then the rows."""
        given = {"merchants": merchants, "since": since, "until": until}
        found = db.session.execute(self.rows, given, execution_options={"yield_per": 2000})
        names = [each for each in found.keys() if each != "merchant_id"]  # noqa: SIM118
        yield names
        for row in found.mappings():
            yield [self._cell(name, row) for name in names]

    def _cell(self, name: str, row: sa.RowMapping) -> Any:
        value = row[name]
        if value is None:
            return None
        if name in self.amounts:
            return Decimal(value).scaleb(-exponent(row["currency"]))
        if name in self.ids:
            return ids.encode(self.ids[name], row["merchant_id"], value)
        return value.isoformat() if isinstance(value, datetime) else value


_PAYEE = """
    coalesce(CASE {of}.payee_kind WHEN 'agency' THEN agency.name ELSE promoter.name END, '')
    AS payee
"""
_PAYEES = """
    LEFT JOIN promoters promoter ON {of}.payee_kind = 'promoter' AND promoter.id = {of}.payee_id
    LEFT JOIN agencies agency ON {of}.payee_kind = 'agency' AND agency.id = {of}.payee_id
"""
_MINE = "(CAST(:merchants AS bigint[]) IS NULL OR {of}.merchant_id = ANY(:merchants))"


def _sql(text: str, of: str) -> sa.TextClause:
    return sa.text(
        text.replace("{payee}", _PAYEE.format(of=of))
        .replace("{payees}", _PAYEES.format(of=of))
        .replace("{mine}", _MINE.format(of=of))
    )


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "entries": Table(
            _sql("""
    SELECT e.merchant_id, e.id AS entry, merchant.name AS merchant, e.payee_kind, {payee},
           coalesce(o.number, o.external_id) AS order_number, e.order_id AS order, c.role,
           e.state AS stage, e.on_hold, e.hold_until, e.created_at AS booked, e.currency, e.amount
      FROM entries e
      JOIN merchants merchant ON merchant.id = e.merchant_id
      JOIN commissions c ON c.merchant_id = e.merchant_id AND c.id = e.commission_id
      JOIN orders o ON o.merchant_id = e.merchant_id AND o.id = e.order_id {payees}
     WHERE {mine} AND e.state IN ('pending', 'available', 'reserved')
       AND e.payee_kind <> 'platform'
     ORDER BY e.merchant_id, e.id
""", "e"),
            {"entry": "ent", "order": "ord"}, frozenset({"amount"}), in_period=False,
        ),
        "accounts": Table(
            _sql("""
    SELECT a.merchant_id, a.id AS account, merchant.name AS merchant, a.owner_kind,
           coalesce(promoter.name, agency.name, '') AS owner, a.kind, a.currency, a.debits,
           a.credits
      FROM ledger_accounts a
      JOIN merchants merchant ON merchant.id = a.merchant_id
      LEFT JOIN promoters promoter ON a.owner_kind = 'promoter' AND promoter.id = a.owner_id
      LEFT JOIN agencies agency ON a.owner_kind = 'agency' AND agency.id = a.owner_id
     WHERE {mine}
     ORDER BY a.merchant_id, a.id
""", "a"),
            {"account": "lac"}, frozenset({"debits", "credits"}), in_period=False,
        ),
        "transfers": Table(
            _sql("""
    SELECT t.merchant_id, t.id AS transfer, merchant.name AS merchant, t.created_at AS booked,
           t.code, t.cause, s.owner_kind AS from_owner, s.id AS from_account, s.kind AS from_kind,
           r.owner_kind AS to_owner, r.id AS to_account, r.kind AS to_kind, t.currency, t.amount
      FROM ledger_transfers t
      JOIN merchants merchant ON merchant.id = t.merchant_id
      JOIN ledger_accounts s ON s.merchant_id = t.merchant_id AND s.id = t.source_id
      JOIN ledger_accounts r ON r.merchant_id = t.merchant_id AND r.id = t.target_id
     WHERE {mine} AND t.created_at >= :since AND t.created_at < :until
     ORDER BY t.merchant_id, t.id
""", "t"),
            {"transfer": "trf", "from_account": "lac", "to_account": "lac"}, frozenset({"amount"}),
        ),
        "payouts": Table(
            _sql("""
    SELECT p.merchant_id, p.id AS payout, merchant.name AS merchant, p.settlement_id AS settlement,
           p.payee_kind, {payee}, account.masked AS account, p.rail, p.reference,
           p.provider_reference, p.state, p.reason, p.created_at AS made, p.paid_at AS paid,
           p.currency, p.gross, p.withheld, p.net
      FROM payouts p
      JOIN merchants merchant ON merchant.id = p.merchant_id
      JOIN payout_accounts account ON account.id = p.account_id {payees}
     WHERE {mine} AND p.created_at >= :since AND p.created_at < :until
     ORDER BY p.merchant_id, p.id
""", "p"),
            {"payout": "pay", "settlement": "stl"}, frozenset({"gross", "withheld", "net"}),
        ),
        "pay_ins": Table(
            _sql("""
    SELECT i.merchant_id, i.id AS pay_in, merchant.name AS merchant, i.reference,
           i.created_at AS booked, i.returned_at AS returned, i.return_reason, i.note, i.currency,
           i.amount
      FROM pay_ins i JOIN merchants merchant ON merchant.id = i.merchant_id
     WHERE {mine} AND i.created_at >= :since AND i.created_at < :until
     ORDER BY i.merchant_id, i.id
""", "i"),
            {"pay_in": "pin"}, frozenset({"amount"}),
        ),
    }
)  # fmt: skip
