"""Proves the books: every total, entry, payout and seal against the transfers.

Each check is one statement that returns the rows at fault, as (row, what is wrong). They speak of
tables and not of models: the ledger imports no feature that stands above it.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from affiliate.db import db

MOST = 100  # breaches named for each check; one is enough to know


@dataclass(frozen=True, slots=True)
class Breach:
    check: str
    row: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Report:
    checked: dict[str, int]
    breaches: list[Breach]

    @property
    def ok(self) -> bool:
        return not self.breaches

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checked": self.checked,
            "breaches": list(map(asdict, self.breaches)),
        }


def verify() -> Report:
    """Reads only. For books in use call it in a REPEATABLE READ transaction, so that all checks
    speak of the same instant.
    """
    return Report(count(), _breaches(CHECKS))


def count() -> dict[str, int]:
    """How many rows there are to check."""
    return dict(db.session.execute(COUNTS).one()._asdict())


def of_merchant(merchant_id: int) -> list[Breach]:
    """What is wrong with the books of one merchant, or with the seals over everybody's."""
    return _breaches(CHECKS.keys() - {"audit"}, merchant_id)


def check(name: str, merchant_id: int | None = None) -> list[Breach]:
    return _breaches([name], merchant_id)


def _breaches(names: Iterable[str], merchant_id: int | None = None) -> list[Breach]:
    db.session.execute(ROOM)
    names = sorted(names, key=list(CHECKS).index)
    agreed = _agreed(merchant_id) if AT_ONCE.intersection(names) else set()
    return [breach for name in names if name not in agreed for breach in _check(name, merchant_id)]


def _agreed(merchant_id: int | None) -> set[str]:
    """Which of the checks over the most rows would find nothing."""
    sql = AGREE if merchant_id is None else _narrowed(AGREE, merchant_id)
    row = db.session.execute(sa.text(sql), {"seed": secrets.randbits(63)}).one()
    return {name for name, agrees in row._asdict().items() if agrees}


def _check(name: str, merchant_id: int | None) -> list[Breach]:
    sql = CHECKS[name].sql if merchant_id is None else _narrowed(CHECKS[name].sql, merchant_id)
    found = sa.text(sql).columns(sa.column("row"), sa.column("wrong")).cte("found")
    # Planned to read everything, not to find a first few rows soon.
    found = found.prefix_with("MATERIALIZED")
    rows = db.session.execute(sa.select(found).limit(MOST))
    return [Breach(name, row, wrong) for row, wrong in rows]


def _narrowed(sql: str, merchant_id: int) -> str:
    """The same check where every table holds this merchant's rows alone: a name in WITH stands
    before the table of that name. By transaction number, as seals are, there is no merchant.
    """
    if "ledger_seals" in sql:
        return sql
    tables = [
        name
        for name, table in db.metadata.tables.items()
        if "merchant_id" in table.c and re.search(rf"\b{name}\b", sql)
    ]
    parts = ", ".join(
        f"{name} AS NOT MATERIALIZED (SELECT * FROM {name} WHERE merchant_id = {merchant_id:d})"  # noqa: S608
        for name in tables
    )
    return f"WITH {parts} SELECT * FROM ({sql}) AS narrowed"  # noqa: S608


# For tens of millions of rows: more memory than a web request may use, and every core.
ROOM = sa.text("""
    SELECT set_config('work_mem', '128MB', true), set_config('jit', 'off', true),
           set_config('parallel_setup_cost', '0', true),
           set_config('parallel_tuple_cost', '0', true)
""")

COUNTS = sa.text("""
    SELECT (SELECT count(*) FROM ledger_accounts) AS accounts,
           (SELECT count(*) FROM ledger_transfers) AS transfers,
           (SELECT count(*) FROM entries) AS entries,
           (SELECT count(*) FROM payouts) AS payouts,
           (SELECT count(*) FROM payout_lines) AS payout_lines,
           (SELECT count(*) FROM withdrawals) AS withdrawals,
           (SELECT count(*) FROM write_offs) AS write_offs,
           (SELECT count(*) FROM pay_ins) AS pay_ins,
           (SELECT count(*) FROM payout_withholdings) AS withholdings,
           (SELECT count(*) FROM remittances) AS remittances,
           (SELECT count(*) FROM ledger_seals) AS seals,
           (SELECT count(*) FROM book_closes) AS book_closes,
           (SELECT count(*) FROM audit_log) AS decisions
""")

# Ten million transfers are some hundred thousand pairs of accounts: read once, then compared.
TOTALS = """
    WITH flows AS MATERIALIZED (
      SELECT merchant_id, code, source_id, target_id, currency, sum(amount) AS amount,
             min(amount) AS least, min(id) AS first, count(*) AS transfers
        FROM ledger_transfers GROUP BY merchant_id, code, source_id, target_id, currency
    ), moved AS (
      SELECT merchant_id, id, sum(debit) AS debits, sum(credit) AS credits, sum(claw) AS clawed
        FROM (
          SELECT merchant_id, source_id AS id, amount AS debit, 0 AS credit,
                 CASE WHEN code IN ('reverse_available', 'unrelease') THEN amount ELSE 0 END AS claw
            FROM flows
          UNION ALL
          SELECT merchant_id, target_id, 0, amount, 0 FROM flows
        ) sides
       GROUP BY merchant_id, id
    )
    SELECT format('account %s of merchant %s', id, merchant_id) AS row,
           CASE WHEN a.kind IS NULL THEN 'has transfers but is not there' ELSE
             format('debits %s, credits %s, clawed %s; its transfers say %s, %s, %s',
                    a.debits, a.credits, a.clawed, coalesce(moved.debits, 0),
                    coalesce(moved.credits, 0), coalesce(moved.clawed, 0)) END AS wrong
      FROM ledger_accounts a FULL JOIN moved USING (merchant_id, id)
     WHERE a.debits IS DISTINCT FROM coalesce(moved.debits, 0)
        OR a.credits IS DISTINCT FROM coalesce(moved.credits, 0)
        OR a.clawed IS DISTINCT FROM coalesce(moved.clawed, 0)
    UNION ALL
    SELECT format('transfer %s of merchant %s and %s like it', first, merchant_id, transfers - 1),
           format('%s of %s %s from %s of %s %s in %s to %s of %s %s in %s',
                  code, least, flows.currency,
                  source.kind, source.owner_kind, source.owner_id, source.currency,
                  target.kind, target.owner_kind, target.owner_id, target.currency)
      FROM flows
      JOIN ledger_accounts source USING (merchant_id)
      JOIN ledger_accounts target USING (merchant_id)
     WHERE source.id = source_id AND target.id = target_id
       AND (NOT ledger_shape_fits(code, source.kind, target.kind) OR least <= 0
            OR flows.currency <> source.currency OR flows.currency <> target.currency
            OR source.owner_kind IN ('promoter', 'agency')
               AND target.owner_kind IN ('promoter', 'agency')
               AND (source.owner_kind, source.owner_id) <> (target.owner_kind, target.owner_id))
"""

BALANCED = """
    SELECT format('books of merchant %s in %s', merchant_id, currency) AS row,
           format('debits %s, credits %s', sum(debits), sum(credits)) AS wrong
      FROM ledger_accounts GROUP BY merchant_id, currency HAVING sum(debits) <> sum(credits)
"""

OVERDRAWN = """
    SELECT format('account %s of merchant %s', id, merchant_id) AS row,
           format('%s is %s below zero', kind, debits - credits) AS wrong
      FROM ledger_accounts
     WHERE kind IN ('pending', 'reserved', 'tax') AND debits > credits
        OR kind = 'available' AND debits - credits > clawed
"""

_OF_ENTRIES = {
    "accrued": """
      CASE WHEN payee_kind = 'platform' AND amount > 0 THEN 'platform_fee'
           WHEN payee_kind = 'platform' THEN 'reverse_fee'
           WHEN amount > 0 THEN 'accrue'
           WHEN state = 'pending' OR released_at IS NOT NULL THEN 'reverse'
           ELSE 'reverse_available' END""",
    "released": "CASE WHEN amount > 0 THEN 'release' ELSE 'unrelease' END",
    "is_released": """
      (payee_kind <> 'platform'
       AND CASE WHEN amount > 0 THEN state <> 'pending' ELSE released_at IS NOT NULL END)""",
    "codes": """
      ('accrue', 'reverse', 'release', 'unrelease', 'reverse_available', 'platform_fee',
       'reverse_fee')""",
}

# The second half runs only if there are more such transfers than entries ask for.
ENTRIES = """
    WITH expected AS NOT MATERIALIZED (
      SELECT merchant_id, 'entry:' || id AS cause,
             {accrued} AS code,
             abs(amount) AS amount, currency, payee_kind, payee_id
        FROM entries WHERE state <> 'estimated' AND split_of IS NULL
      UNION ALL
      SELECT merchant_id, 'entry:' || id,
             {released}, abs(amount), currency, payee_kind, payee_id
        FROM entries WHERE state <> 'estimated' AND split_of IS NULL AND {is_released}
    ), booked AS NOT MATERIALIZED (
      SELECT * FROM ledger_transfers WHERE code IN {codes}
    )
    SELECT format('%s of merchant %s', cause, expected.merchant_id) AS row,
           CASE WHEN booked.amount IS NULL
                THEN format('its %s of %s is not booked', code, expected.amount)
                ELSE format('%s %s for %s %s, booked %s %s for %s %s',
                  expected.amount, expected.currency, expected.payee_kind, expected.payee_id,
                  booked.amount, a.currency, a.owner_kind, a.owner_id)
           END AS wrong
      FROM expected LEFT JOIN booked USING (merchant_id, cause, code)
      LEFT JOIN ledger_accounts a ON a.merchant_id = booked.merchant_id
       AND a.id = CASE WHEN code IN ('accrue', 'platform_fee') THEN target_id ELSE source_id END
     WHERE booked.amount IS NULL OR expected.amount <> booked.amount
        OR (expected.currency, expected.payee_kind, expected.payee_id)
           IS DISTINCT FROM (a.currency, a.owner_kind, a.owner_id)
    UNION ALL
    SELECT format('%s of merchant %s', cause, merchant_id),
           format('%s of %s is booked without it', code, booked.amount)
      FROM booked LEFT JOIN expected USING (merchant_id, cause, code)
     WHERE expected.amount IS NULL
       AND (SELECT count(*) FROM booked) <> (SELECT count(*) FROM expected)
""".format(**_OF_ENTRIES)  # noqa: S608

# A payout that ended before its reserve was booked has neither reserve nor unreserve; tax that was
# remitted before the return is a credit against the next withholding and not moved back.
PAYOUTS = """
    WITH expected AS (
      SELECT merchant_id, 'payout:' || id AS cause, step.code, step.amount, step.needed,
             currency, payee_kind, payee_id
        FROM payouts CROSS JOIN LATERAL (VALUES
          ('reserve', gross - credited, withdrawal_id IS NULL,
            state NOT IN ('draft', 'failed', 'cancelled')),
          ('unreserve', gross - credited,
            withdrawal_id IS NULL AND state IN ('failed', 'cancelled'), false),
          ('pay', net, state IN ('paid', 'returned'), true),
          ('withhold', withheld - credited, state IN ('paid', 'returned'), true),
          ('return', net, state = 'returned', true),
          ('return_tax', withheld - credited, state = 'returned' AND remittance_id IS NULL, true)
        ) AS step (code, amount, fits, needed)
       WHERE step.fits AND step.amount > 0
    ), booked AS (
      SELECT t.merchant_id, t.cause, t.code, t.amount, a.currency, a.owner_kind, a.owner_id
        FROM ledger_transfers t
        JOIN ledger_accounts a ON a.merchant_id = t.merchant_id
         AND a.id = CASE WHEN t.code IN ('return', 'return_tax') THEN t.target_id
                         ELSE t.source_id END
       WHERE t.code IN ('pay', 'withhold', 'return', 'return_tax')
          OR t.code IN ('reserve', 'unreserve') AND t.cause LIKE 'payout:%'
    )
    SELECT format('%s of merchant %s', cause, merchant_id) AS row,
           CASE WHEN booked.amount IS NULL
                THEN format('its %s of %s is not booked', code, expected.amount)
                WHEN expected.amount IS NULL
                THEN format('%s of %s is booked without it', code, booked.amount)
                ELSE format('%s: %s %s for %s %s, booked %s %s for %s %s', code,
                  expected.amount, expected.currency, expected.payee_kind, expected.payee_id,
                  booked.amount, booked.currency, booked.owner_kind, booked.owner_id)
           END AS wrong
      FROM expected FULL JOIN booked USING (merchant_id, cause, code)
     WHERE booked.amount IS NULL AND expected.needed
        OR booked.amount IS NOT NULL AND expected.amount IS DISTINCT FROM booked.amount
        OR expected.currency <> booked.currency
        OR expected.payee_kind <> booked.owner_kind OR expected.payee_id <> booked.owner_id
"""

PAYOUT_SUMS = """
    WITH lines AS (
      SELECT merchant_id, payout_id, sum(amount) AS amount, bool_and(live) AS all_live,
             bool_or(live) AS any_live
        FROM payout_lines GROUP BY merchant_id, payout_id
    )
    SELECT format('payout:%s of merchant %s', p.id, p.merchant_id) AS row,
           CASE WHEN lines.amount IS DISTINCT FROM p.gross
                THEN format('gross %s, its entries %s', p.gross, coalesce(lines.amount, 0))
                ELSE format('is %s, but owns its entries %s', p.state,
                  CASE WHEN any_live THEN 'still' ELSE 'no longer' END) END AS wrong
      FROM payouts p LEFT JOIN lines ON lines.merchant_id = p.merchant_id AND lines.payout_id = p.id
     WHERE lines.amount IS DISTINCT FROM p.gross
        OR p.state IN ('failed', 'cancelled', 'returned') AND lines.any_live
        OR p.state NOT IN ('failed', 'cancelled', 'returned') AND NOT lines.all_live
"""

PAYOUT_LINES = """
    SELECT format('entry:%s of merchant %s', e.id, e.merchant_id) AS row,
           CASE WHEN p.id IS NULL
                THEN format('is %s, but no payout or settlement owns it', e.state)
                WHEN l.amount <> e.amount
                THEN format('amount %s, in payout:%s %s', e.amount, p.id, l.amount)
                WHEN (p.currency, p.payee_kind, p.payee_id)
                     <> (e.currency, e.payee_kind, e.payee_id)
                THEN format('payout:%s is for another payee or currency', p.id)
                ELSE format('is %s, payout:%s %s', e.state, p.id, p.state) END AS wrong
      FROM entries e
      LEFT JOIN payout_lines l
        ON l.merchant_id = e.merchant_id AND l.entry_id = e.id AND l.live
      LEFT JOIN payouts p ON p.merchant_id = l.merchant_id AND p.id = l.payout_id
      LEFT JOIN offsets o ON o.merchant_id = e.merchant_id AND o.entry_id = e.id AND o.live
      LEFT JOIN withdrawal_lines w
        ON w.merchant_id = e.merchant_id AND w.entry_id = e.id AND w.live
     -- The platform's fee is its own once it is earned: no payout owns it.
     WHERE e.payee_kind <> 'platform'
       AND CASE WHEN p.id IS NULL THEN e.state IN ('reserved', 'paid') AND o.entry_id IS NULL
                                           AND (w.entry_id IS NULL OR e.state = 'paid')
           ELSE l.amount <> e.amount
             OR (p.currency, p.payee_kind, p.payee_id) <> (e.currency, e.payee_kind, e.payee_id)
             OR e.state <> CASE WHEN p.state = 'paid' THEN 'paid' ELSE 'reserved' END END
    UNION ALL
    SELECT format('entry:%s of merchant %s', e.id, e.merchant_id),
           format('amount %s, in payout:%s %s', e.amount, l.payout_id, l.amount)
      FROM payout_lines l JOIN entries e ON e.merchant_id = l.merchant_id AND e.id = l.entry_id
     WHERE NOT l.live AND l.amount <> e.amount
"""

RESERVED = """
    WITH open AS (
      SELECT merchant_id, payee_kind AS owner_kind, payee_id AS owner_id, currency,
             sum(gross - credited) AS gross
        FROM payouts p
       WHERE state NOT IN ('paid', 'returned', 'failed', 'cancelled') AND withdrawal_id IS NULL
         AND (state <> 'draft' OR EXISTS (
           SELECT FROM ledger_transfers t WHERE t.merchant_id = p.merchant_id
              AND t.code = 'reserve' AND t.cause = 'payout:' || p.id))
       GROUP BY merchant_id, payee_kind, payee_id, currency
      UNION ALL
      SELECT merchant_id, payee_kind, payee_id, currency, sum(amount - credited)
        FROM withdrawals WHERE state IN ('requested', 'in_settlement')
       GROUP BY merchant_id, payee_kind, payee_id, currency
    ), all_open AS (
      SELECT merchant_id, owner_kind, owner_id, currency, sum(gross) AS gross
        FROM open GROUP BY merchant_id, owner_kind, owner_id, currency
    ), reserved AS (
      SELECT merchant_id, owner_kind, owner_id, currency, credits - debits AS balance
        FROM ledger_accounts WHERE kind = 'reserved'
    )
    SELECT format('%s %s with merchant %s in %s', owner_kind, owner_id, merchant_id, currency)
             AS row,
           format('reserved %s, open payouts and withdrawals %s', coalesce(balance, 0),
                  coalesce(gross, 0)) AS wrong
      FROM reserved FULL JOIN all_open USING (merchant_id, owner_kind, owner_id, currency)
     WHERE coalesce(balance, 0) <> coalesce(gross, 0)
"""

# What moves the one without the other.
_BESIDE = """
      SELECT a.merchant_id, a.owner_kind, a.owner_id, a.currency,
             sum(CASE WHEN t.code = 'recover' THEN -t.amount ELSE t.amount END) AS amount
        FROM ledger_transfers t
        JOIN ledger_accounts a ON a.merchant_id = t.merchant_id
         AND a.id = CASE WHEN t.code = 'recover' THEN t.source_id ELSE t.target_id END
       WHERE t.code IN ('write_off', 'recover', 'return_tax') GROUP BY 1, 2, 3, 4
      UNION ALL
      SELECT merchant_id, payee_kind, payee_id, currency,
             sum(CASE state WHEN 'paid' THEN credited ELSE credited - withheld END)
        FROM payouts WHERE state IN ('paid', 'returned') AND withheld > 0 GROUP BY 1, 2, 3, 4"""

# What is available or reserved, by the entries; only writing off and tax that stayed with the
# authority move the one without the other.
BALANCES = f"""
    WITH sums AS (
      SELECT merchant_id, payee_kind AS owner_kind, payee_id AS owner_id, currency,
             coalesce(sum(amount) FILTER (WHERE state = 'pending'), 0) AS pending,
             coalesce(sum(amount) FILTER (WHERE state IN ('available', 'reserved')), 0) AS free
        FROM entries WHERE payee_kind <> 'platform' GROUP BY 1, 2, 3, 4
    ), accounts AS (
      SELECT merchant_id, owner_kind, owner_id, currency,
             coalesce(sum(credits - debits) FILTER (WHERE kind = 'pending'), 0) AS pending,
             coalesce(sum(credits - debits) FILTER (WHERE kind <> 'pending'), 0) AS free
        FROM ledger_accounts WHERE kind IN ('pending', 'available', 'reserved')
       GROUP BY 1, 2, 3, 4
    ), beside AS ({_BESIDE}
    ), besides AS (
      SELECT merchant_id, owner_kind, owner_id, currency, sum(amount) AS amount
        FROM beside GROUP BY 1, 2, 3, 4
    )
    SELECT format('%s %s with merchant %s in %s', owner_kind, owner_id, merchant_id, currency)
             AS row,
           format('pending %s, available and reserved %s; the entries say %s and %s',
                  coalesce(accounts.pending, 0), coalesce(accounts.free, 0),
                  coalesce(sums.pending, 0), coalesce(sums.free, 0) + coalesce(amount, 0)) AS wrong
      FROM accounts
      FULL JOIN sums USING (merchant_id, owner_kind, owner_id, currency)
      LEFT JOIN besides USING (merchant_id, owner_kind, owner_id, currency)
     WHERE coalesce(accounts.pending, 0) <> coalesce(sums.pending, 0)
        OR coalesce(accounts.free, 0) <> coalesce(sums.free, 0) + coalesce(amount, 0)
"""  # noqa: S608

WITHDRAWALS = """
    WITH lines AS (
      SELECT merchant_id, withdrawal_id, sum(amount) AS amount, bool_and(live) AS all_live,
             bool_or(live) AS any_live
        FROM withdrawal_lines GROUP BY merchant_id, withdrawal_id
    ), expected AS (
      SELECT w.merchant_id, 'withdrawal:' || w.id AS cause, step.code,
             w.amount - w.credited AS amount, w.currency,
             w.payee_kind, w.payee_id
        FROM withdrawals w
        LEFT JOIN payouts p ON p.merchant_id = w.merchant_id AND p.id = w.payout_id
        CROSS JOIN LATERAL (VALUES
          ('reserve', true),
          ('unreserve', w.state = 'refused' AND coalesce(p.state <> 'returned', true))
        ) AS step (code, fits)
       WHERE step.fits
    ), booked AS (
      SELECT t.merchant_id, t.cause, t.code, t.amount, a.currency, a.owner_kind, a.owner_id
        FROM ledger_transfers t
        JOIN ledger_accounts a ON a.merchant_id = t.merchant_id AND a.id = t.source_id
       WHERE t.code IN ('reserve', 'unreserve') AND t.cause LIKE 'withdrawal:%'
    )
    SELECT format('withdrawal:%s of merchant %s', w.id, w.merchant_id) AS row,
           CASE WHEN lines.amount IS DISTINCT FROM w.amount
                THEN format('asks for %s, its entries are %s', w.amount, coalesce(lines.amount, 0))
                ELSE format('is %s, but owns its entries %s', w.state,
                  CASE WHEN any_live THEN 'still' ELSE 'no longer' END) END AS wrong
      FROM withdrawals w
      LEFT JOIN lines ON lines.merchant_id = w.merchant_id AND lines.withdrawal_id = w.id
     WHERE lines.amount IS DISTINCT FROM w.amount
        OR w.state = 'refused' AND lines.any_live OR w.state <> 'refused' AND NOT lines.all_live
    UNION ALL
    SELECT format('%s of merchant %s', cause, merchant_id),
           format('%s of %s %s, booked %s %s', code, expected.amount, expected.currency,
                  booked.amount, booked.currency)
      FROM expected FULL JOIN booked USING (merchant_id, cause, code)
     WHERE (expected.amount, expected.currency, expected.payee_kind, expected.payee_id)
           IS DISTINCT FROM
           (booked.amount, booked.currency, booked.owner_kind, booked.owner_id)
"""

# What a withdrawal left of an entry: out of it and into one of its own.
SPLITS = """
    SELECT format('entry:%s of merchant %s', e.id, e.merchant_id) AS row,
           format('of %s was split into %s entries that sum up to %s', e.amount, count(*),
                  sum(s.amount)) AS wrong
      FROM entries s
      JOIN entries e ON e.merchant_id = s.merchant_id AND e.id = s.split_of
     WHERE s.split_of IS NOT NULL
     GROUP BY e.merchant_id, e.id, e.amount
    HAVING sum(s.amount) <> 0 OR e.amount <= 0
        OR bool_or((s.payee_kind, s.payee_id, s.currency, s.commission_id)
                   <> (e.payee_kind, e.payee_id, e.currency, e.commission_id))
"""

WRITE_OFFS = """
    WITH expected AS (
      SELECT merchant_id, 'write_off:' || id AS cause, 'write_off' AS code, amount, currency,
             payee_kind, payee_id
        FROM write_offs WHERE state = 'approved'
      UNION ALL
      SELECT merchant_id, 'write_off:' || id, 'recover', amount, currency, payee_kind, payee_id
        FROM write_offs WHERE recovered_at IS NOT NULL
    ), booked AS (
      SELECT t.merchant_id, t.cause, t.code, t.amount, a.currency, a.owner_kind, a.owner_id
        FROM ledger_transfers t
        JOIN ledger_accounts a ON a.merchant_id = t.merchant_id
         AND a.id = CASE WHEN t.code = 'recover' THEN t.source_id ELSE t.target_id END
       WHERE t.code IN ('write_off', 'recover')
    )
    SELECT format('%s of merchant %s', cause, merchant_id) AS row,
           format('%s of %s %s, booked %s %s', code, expected.amount, expected.currency,
                  booked.amount, booked.currency) AS wrong
      FROM expected FULL JOIN booked USING (merchant_id, cause, code)
     WHERE (expected.amount, expected.currency, expected.payee_kind, expected.payee_id)
           IS DISTINCT FROM
           (booked.amount, booked.currency, booked.owner_kind, booked.owner_id)
"""

PAY_INS = """
    WITH expected AS (
      SELECT merchant_id, 'pay_in:' || id AS cause, 'pay_in' AS code, amount, currency
        FROM pay_ins
      UNION ALL
      SELECT merchant_id, 'pay_in:' || id, 'return_pay_in', amount, currency
        FROM pay_ins WHERE returned_at IS NOT NULL
    ), booked AS (
      SELECT merchant_id, cause, code, amount, currency
        FROM ledger_transfers WHERE code IN ('pay_in', 'return_pay_in')
    )
    SELECT format('%s of merchant %s', cause, merchant_id) AS row,
           format('%s of %s %s, booked %s %s', code, expected.amount, expected.currency,
                  booked.amount, booked.currency) AS wrong
      FROM expected FULL JOIN booked USING (merchant_id, cause, code)
     WHERE (expected.amount, expected.currency) IS DISTINCT FROM (booked.amount, booked.currency)
"""


WITHHOLDINGS = """
    SELECT format('payout:%s of merchant %s', p.id, p.merchant_id) AS row,
           format('withheld %s, its lines say %s', p.withheld, coalesce(lines.amount, 0)) AS wrong
      FROM payouts p
      FULL JOIN (SELECT merchant_id, payout_id AS id, sum(amount) AS amount
                   FROM payout_withholdings GROUP BY merchant_id, payout_id) lines
     USING (merchant_id, id)
     WHERE coalesce(p.withheld, -1) <> coalesce(lines.amount, 0)
"""

# What was remitted is the tax of the payouts that name it, also of those that came back since.
REMITTANCES = """
    WITH expected AS (
      SELECT r.merchant_id, 'remittance:' || r.id AS cause, r.amount, r.currency,
             coalesce((SELECT sum(p.withheld - p.credited) FROM payouts p
                        WHERE p.merchant_id = r.merchant_id AND p.remittance_id = r.id
                          AND p.currency = r.currency), 0) AS withheld
        FROM remittances r
    ), booked AS (
      SELECT merchant_id, cause, amount, currency FROM ledger_transfers WHERE code = 'remit'
    )
    SELECT format('%s of merchant %s', cause, merchant_id) AS row,
           format('%s %s of %s withheld, booked %s %s', expected.amount, expected.currency,
                  expected.withheld, booked.amount, booked.currency) AS wrong
      FROM expected FULL JOIN booked USING (merchant_id, cause)
     WHERE (expected.amount, expected.currency, expected.withheld)
           IS DISTINCT FROM (booked.amount, booked.currency, booked.amount)
"""

SEALS = """
    SELECT format('seal %s', s.id) AS row,
           CASE WHEN s.from_xact <> coalesce(before.to_xact, 0)
                THEN 'does not go on where the one before ends'
                WHEN s.transfers <> batch.transfers
                THEN format('sealed %s transfers, now %s', s.transfers, batch.transfers)
                ELSE 'what it sealed was changed' END AS wrong
      FROM ledger_seals s
      LEFT JOIN ledger_seals before ON before.to_xact = s.from_xact
      CROSS JOIN LATERAL ledger_batch(s.from_xact, s.to_xact) batch
     WHERE s.from_xact <> coalesce(before.to_xact, 0) OR s.transfers <> batch.transfers
        OR s.hash <> ledger_hash(before.hash, s.from_xact, s.to_xact, s.shift, s.created_at, leaves)
"""

# Each transfer is put into the month that closed over it, all in one pass; what a month's end says
# is the sum of all months until then.
CLOSES = """
    WITH ends AS MATERIALIZED (
      SELECT merchant_id, array_agg(until ORDER BY until) AS untils
        FROM book_closes GROUP BY merchant_id
    ), flows AS MATERIALIZED (
      SELECT t.merchant_id, width_bucket(t.created_at, ends.untils) + 1 AS place,
             t.source_id, t.target_id, sum(t.amount) AS amount
        FROM ledger_transfers t JOIN ends USING (merchant_id) GROUP BY 1, 2, 3, 4
    ), moved AS (
      SELECT merchant_id, flows.place, a.kind, a.currency,
             sum(debit) AS debit, sum(credit) AS credit
        FROM flows
        CROSS JOIN LATERAL (VALUES (source_id, amount, 0), (target_id, 0, amount))
          AS side (id, debit, credit)
        JOIN ledger_accounts a USING (merchant_id, id)
       GROUP BY merchant_id, flows.place, a.kind, a.currency
    ), closes AS (
      SELECT *, row_number() OVER chain AS place, lag(hash) OVER chain AS previous,
             lag(month) OVER chain AS month_before
        FROM book_closes WINDOW chain AS (PARTITION BY merchant_id ORDER BY until)
    ), stood AS (
      SELECT id, merchant_id, (
               SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'currency', currency,
                        'debits', debits, 'credits', credits) ORDER BY currency, kind), '[]')
                 FROM (SELECT kind, currency, sum(debit) AS debits, sum(credit) AS credits
                         FROM moved
                        WHERE moved.merchant_id = closes.merchant_id AND moved.place <= closes.place
                        GROUP BY kind, currency) sums
             ) AS balances
        FROM closes
    )
    SELECT format('month %s of merchant %s', to_char(month, 'YYYY-MM'), merchant_id) AS row,
           CASE WHEN month_before <> month - interval '1 month'
                THEN 'the month before it is not there'
                WHEN hash <> book_close_hash(previous, merchant_id, month, timezone, until,
                                             closed_by, created_at, closes.balances)
                THEN 'what was closed was changed'
                ELSE format('closed with %s, its transfers say %s', closes.balances, stood.balances)
           END AS wrong
      FROM closes JOIN stood USING (merchant_id, id)
     WHERE month_before <> month - interval '1 month' OR closes.balances <> stood.balances
        OR hash <> book_close_hash(previous, merchant_id, month, timezone, until, closed_by,
                                   created_at, closes.balances)
"""

AUDIT = """
    SELECT format('decision %s', id) AS row,
           CASE WHEN id <> place THEN 'one before it is missing'
                ELSE 'it was changed, or the one before it' END AS wrong
      FROM (SELECT *, row_number() OVER chain AS place, lag(hash) OVER chain AS previous
              FROM audit_log WINDOW chain AS (ORDER BY id)) decisions
     WHERE id <> place OR hash <> audit_hash(previous, id, happened_at, action, subject,
                                             merchant_id, user_id, key_id, detail)
"""


# Transfers, entries and accounts are by far the most rows, so they are read once, and both sides of
# a claim become one number: sums of hashes, and of amounts times a hash of their account or owner,
# with a seed of this run that nobody can know before. Where the numbers are the same, the rows are
# (but for one chance in 2^60), and none need be held against another. Where they are not, the
# checks themselves find the rows.
_WEIGHT = "CAST(hashint8extended({id}, hashint8extended(merchant_id, :seed)) AS numeric)"
_OWNER = "CAST(hash_record_extended(ROW(merchant_id, {kind}, {id}, currency), :seed) AS numeric)"
AGREE = """
    WITH booked AS (
      SELECT coalesce(sum(amount * {source}), 0) AS debits,
             coalesce(sum(amount * {target}), 0) AS credits,
             coalesce(sum(amount * {source})
               FILTER (WHERE code IN ('reverse_available', 'unrelease')), 0) AS clawed,
             count(*) FILTER (WHERE fits IS NOT TRUE) AS misfits,
             count(*) FILTER (WHERE of_entry) AS transfers,
             coalesce(sum(hash_record_extended(
               ROW(merchant_id, cause, code, amount, currency, owner_kind, owner_id), :seed))
               FILTER (WHERE of_entry), 0) AS print
        FROM (
          SELECT t.merchant_id, t.source_id, t.target_id, t.amount, t.code, t.cause,
                 t.code IN {codes} AS of_entry,
                 CASE WHEN t.code IN ('accrue', 'platform_fee') THEN target.owner_kind
                      ELSE source.owner_kind END AS owner_kind,
                 CASE WHEN t.code IN ('accrue', 'platform_fee') THEN target.owner_id
                      ELSE source.owner_id END AS owner_id,
                 CASE WHEN t.code IN ('accrue', 'platform_fee') THEN target.currency
                      ELSE source.currency END AS currency,
                 t.amount > 0 AND t.currency = source.currency AND t.currency = target.currency
                 AND ledger_shape_fits(t.code, source.kind, target.kind)
                 AND (source.owner_kind NOT IN ('promoter', 'agency')
                      OR target.owner_kind NOT IN ('promoter', 'agency')
                      OR (source.owner_kind, source.owner_id)
                         = (target.owner_kind, target.owner_id)) AS fits
            FROM ledger_transfers t
            LEFT JOIN ledger_accounts source
              ON source.merchant_id = t.merchant_id AND source.id = t.source_id
            LEFT JOIN ledger_accounts target
              ON target.merchant_id = t.merchant_id AND target.id = t.target_id
        ) transfers
    ), asked AS (
      SELECT count(*) FILTER (WHERE of_entry)
             + count(*) FILTER (WHERE of_entry AND is_released) AS transfers,
             coalesce(sum(hash_record_extended(
               ROW(merchant_id, cause, accrued, size, currency, payee_kind, payee_id), :seed))
               FILTER (WHERE of_entry), 0)
             + coalesce(sum(hash_record_extended(
               ROW(merchant_id, cause, released, size, currency, payee_kind, payee_id), :seed))
               FILTER (WHERE of_entry AND is_released), 0) AS print,
             coalesce(sum(amount * owner) FILTER (WHERE state = 'pending'), 0) AS pending,
             coalesce(sum(amount * owner) FILTER (WHERE state IN ('available', 'reserved')), 0)
               AS free
        FROM (
          SELECT merchant_id, payee_kind, payee_id, currency, state, abs(amount) AS size,
                 'entry:' || id AS cause, {accrued} AS accrued, {released} AS released,
                 {is_released} AS is_released,
                 state <> 'estimated' AND split_of IS NULL AS of_entry,
                 CASE WHEN payee_kind <> 'platform' THEN amount ELSE 0 END AS amount,
                 {payee} AS owner
            FROM entries
        ) entries
    ), stand AS (
      SELECT coalesce(sum(debits * {account}), 0) AS debits,
             coalesce(sum(credits * {account}), 0) AS credits,
             coalesce(sum(clawed * {account}), 0) AS clawed,
             coalesce(sum((credits - debits) * {owner}) FILTER (WHERE kind = 'pending'), 0)
               AS pending,
             coalesce(sum((credits - debits) * {owner})
               FILTER (WHERE kind IN ('available', 'reserved')), 0) AS free
        FROM ledger_accounts
    ), beside AS (
      SELECT coalesce(sum(amount * {owner}), 0) AS free FROM ({beside}) moved
    )
    SELECT misfits = 0 AND (booked.debits, booked.credits, booked.clawed)
                           = (stand.debits, stand.credits, stand.clawed) AS totals,
           (asked.transfers, asked.print) = (booked.transfers, booked.print) AS entries,
           (asked.pending, asked.free + beside.free) = (stand.pending, stand.free) AS balances
      FROM booked, asked, stand, beside
""".format(  # noqa: S608
    source=_WEIGHT.format(id="source_id"),
    target=_WEIGHT.format(id="target_id"),
    account=_WEIGHT.format(id="id"),
    payee=_OWNER.format(kind="payee_kind", id="payee_id"),
    owner=_OWNER.format(kind="owner_kind", id="owner_id"),
    beside=_BESIDE,
    **_OF_ENTRIES,
)
AT_ONCE = {"totals", "entries", "balances"}


@dataclass(frozen=True, slots=True)
class Check:
    proves: str
    sql: str


CHECKS = {
    "totals": Check("totals equal their transfers, which go where their codes may", TOTALS),
    "balanced": Check("debits equal credits, for each merchant and currency", BALANCED),
    "overdrawn": Check("no account is below zero that may not be", OVERDRAWN),
    "entries": Check("entries equal their transfers", ENTRIES),
    "payouts": Check("payouts equal their transfers", PAYOUTS),
    "payout_sums": Check("payouts equal the sum of their entries", PAYOUT_SUMS),
    "payout_lines": Check("entries on their way out are in a payout that says so", PAYOUT_LINES),
    "reserved": Check("what is reserved equals the open payouts and withdrawals", RESERVED),
    "balances": Check("balances of payees equal their entries", BALANCES),
    "withdrawals": Check("withdrawals equal their transfers and entries", WITHDRAWALS),
    "splits": Check("entries that were split sum up as before", SPLITS),
    "write_offs": Check("write-offs equal their transfers", WRITE_OFFS),
    "pay_ins": Check("pay-ins equal their transfers", PAY_INS),
    "withholdings": Check("what is withheld of a payout equals its lines", WITHHOLDINGS),
    "remittances": Check("tax that was remitted equals its transfers and payouts", REMITTANCES),
    "seals": Check("seals hold", SEALS),
    "closes": Check("closed months stand as they were closed", CLOSES),
    "audit": Check("what was decided stands as it was written", AUDIT),
}
