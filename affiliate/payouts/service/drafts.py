"""Payouts for one chunk of payees: judge their sums, write the rows, take the entries.

Everything is set-based, and nothing is carried here and back. A temporary table `verdicts` lives
as long as the transaction: what becomes of each payee's sum. Settlement writes its rows from it.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.errors import Conflict
from affiliate.i18n import _
from affiliate.ledger import service as ledger
from affiliate.ledger.models import Kind
from affiliate.payouts import rails
from affiliate.payouts.service import withholding
from affiliate.payouts.service.withholding import Payer
from affiliate.tax import tables

Payee = tuple[str, str, int]  # currency, kind, id: the order in which a run walks through them
NOBODY: Payee = ("", "", 0)


class Changed(Conflict):
    """Entries changed between judging and taking them: roll back, and draft again."""

    code = "changed_meanwhile"


@dataclass(frozen=True, slots=True)
class Run:
    """What a settlement looks for."""

    merchant_id: int
    settlement_id: int
    through: datetime
    currencies: tuple[str, ...]  # empty: all
    minimum: int
    on_request: bool  # payees ask for their money; nobody is paid without asking
    payer: Payer  # to the tax authority
    invoices: bool  # paid against confirmed invoices only


@dataclass(frozen=True, slots=True)
class Chunk:
    last: Payee
    payees: int


def count_payees(run: Run) -> int:
    return int(db.session.execute(COUNT, given(run, NOBODY)).scalar_one())


def draft(run: Run, *, after: Payee, size: int) -> Chunk | None:
    """Make the payouts of the next payees, with their entries; None when there are no more.

    `reserve` follows in the same transaction, as its last step.
    """
    found = db.session.execute(NEXT_PAYEES, given(run, after) | {"size": size}).all()
    if not found:
        return None
    last = (found[-1].currency, found[-1].payee_kind, found[-1].payee_id)
    bounds = given(run, after, last)
    for statement in (FORGET, JUDGE, ANALYZE):
        db.session.execute(statement, bounds)
    withheld = withholding.withhold(run.payer, bounds)
    for statement in (MAKE_PAYOUTS, LINES_OF_WITHDRAWALS):
        db.session.execute(statement, bounds)
    withholding.store(withheld)
    if db.session.execute(TAKE, bounds).first():
        raise Changed(_("Entries changed while they were taken."))
    return Chunk(last, len(found))


def reserve(run: Run) -> None:
    """Move the money of the new payouts out of the payees' reach; that of withdrawals is already.

    A refund that takes it away in the same moment makes the books refuse (Overdrawn): roll back
    and draft again.
    """
    bounds = given(run, NOBODY)
    ledger.open_accounts(WHOSE, Kind.RESERVED, bounds)
    ledger.post_from(RESERVE, bounds)


def given(run: Run, after: Payee, last: Payee = NOBODY) -> dict[str, object]:
    """The parameters of all statements here: payees in (after, last] of this run."""
    scheme = tables.SCHEMES.get(run.payer.scheme)
    return {
        "tax_country": scheme.country if scheme else None,
        "needs_id": scheme is not None and scheme.needs_id,
        "invoices": run.invoices,
        "merchant": run.merchant_id,
        "settlement": run.settlement_id,
        "through": run.through,
        "currencies": list(run.currencies),
        "minimum": run.minimum,
        "on_request": run.on_request,
        "rails": rails.offered(),
        **dict(zip(("after_currency", "after_kind", "after_id"), after, strict=True)),
        **dict(zip(("last_currency", "last_kind", "last_id"), last, strict=True)),
        "now": clock.now(),
    }


OF_CURRENCIES = """
      AND (cardinality(CAST(:currencies AS text[])) = 0 OR currency = ANY(:currencies))
"""
NEXT = f"""{OF_CURRENCIES}
      AND (currency, payee_kind, payee_id) >
          (CAST(:after_currency AS char(3)), :after_kind, :after_id)
"""
UP_TO_LAST = """
      AND (currency, payee_kind, payee_id) <=
          (CAST(:last_currency AS char(3)), :last_kind, :last_id)
"""
AVAILABLE = """
    FROM entries
    WHERE merchant_id = :merchant AND state = 'available' AND payee_kind <> 'platform'
"""
OPEN = f"{AVAILABLE} {NEXT}"
ASKED = f"""
    FROM withdrawals
    WHERE merchant_id = :merchant AND state = 'requested' {NEXT}
"""
# What is released late but was due in time counts; what was due later waits for the next run.
DUE = "coalesce(hold_until, released_at, created_at) <= :through"
# All negative ones, also held or young ones: nobody is paid what was already taken back.
TAKEN = f"(amount < 0 OR (on_hold IS NULL AND {DUE}))"

# Those that have cooled off or never had to, of each the last. One that was replaced while it
# cooled is never used.
ACCOUNTS = f"""
    SELECT DISTINCT ON (currency, payee_kind, payee_id) *
    FROM payout_accounts
    WHERE (used_from <= :now OR used_from <= created_at)
      AND (replaced_at IS NULL OR replaced_at >= used_from)
          {NEXT} {UP_TO_LAST}
    ORDER BY currency, payee_kind, payee_id, used_from DESC, id DESC
"""  # noqa: S608

COUNT = sa.text(f"""
    SELECT count(*) FROM (
      SELECT currency, payee_kind, payee_id {OPEN}
      UNION SELECT currency, payee_kind, payee_id {ASKED}
    ) AS payees
""")  # noqa: S608

# From one payee to the next by the index: the entries in between are not read.
NEXT_PAYEES = sa.text(f"""
    WITH RECURSIVE open AS (
      (SELECT currency, payee_kind, payee_id {OPEN}
        ORDER BY currency, payee_kind, payee_id LIMIT 1)
      UNION ALL
      SELECT following.* FROM open CROSS JOIN LATERAL (
        SELECT currency, payee_kind, payee_id {AVAILABLE} {OF_CURRENCIES}
           AND (currency, payee_kind, payee_id) > (open.currency, open.payee_kind, open.payee_id)
         ORDER BY currency, payee_kind, payee_id LIMIT 1) AS following
    )
    SELECT currency, payee_kind, payee_id FROM (
      (SELECT * FROM open LIMIT :size)
      UNION (SELECT currency, payee_kind, payee_id {ASKED}
        ORDER BY currency, payee_kind, payee_id LIMIT :size)
    ) AS payees
    ORDER BY currency, payee_kind, payee_id LIMIT :size
""")  # noqa: S608

FORGET = sa.text("DROP TABLE IF EXISTS pg_temp.verdicts")

# Without statistics the planner takes temporary tables for tiny.
ANALYZE = sa.text("ANALYZE verdicts")

# Asked only where the merchant withholds. Who is at home in another country owes it nothing.
NO_PROFILE = """CAST(:tax_country AS text) IS NOT NULL AND NOT EXISTS (
                    SELECT FROM tax_profiles t
                     WHERE t.payee_kind = coalesce(sums.payee_kind, asked.payee_kind)
                       AND t.payee_id = coalesce(sums.payee_id, asked.payee_id)
                       AND t.replaced_at IS NULL
                       AND (t.country <> :tax_country OR NOT :needs_id
                            OR t.tin_status IN ('given', 'verified')))"""
# Confirmed invoices less what was paid on them must cover it.
NO_INVOICE = """:invoices AND coalesce(asked.amount, sums.amount) > (
                    SELECT coalesce(sum(i.amount), 0) FROM payout_invoices i
                     WHERE i.merchant_id = :merchant AND i.state = 'confirmed'
                       AND i.payee_kind = coalesce(sums.payee_kind, asked.payee_kind)
                       AND i.payee_id = coalesce(sums.payee_id, asked.payee_id)
                       AND i.currency = coalesce(sums.currency, asked.currency)) - (
                    SELECT coalesce(sum(p.gross), 0) FROM payouts p
                     WHERE p.merchant_id = :merchant AND p.invoiced
                       AND p.state NOT IN ('failed', 'cancelled', 'returned')
                       AND p.payee_kind = coalesce(sums.payee_kind, asked.payee_kind)
                       AND p.payee_id = coalesce(sums.payee_id, asked.payee_id)
                       AND p.currency = coalesce(sums.currency, asked.currency))"""

JUDGE = sa.text(f"""
    CREATE TEMPORARY TABLE verdicts ON COMMIT DROP AS
    SELECT judged.*,
           CASE WHEN verdict IN ('pay', 'asked')
                THEN nextval(pg_get_serial_sequence('payouts', 'id')) END AS payout_id,
           CASE verdict WHEN 'asked' THEN asked ELSE amount END AS gross,
           CAST(0 AS bigint) AS withheld
    FROM (
      SELECT currency, payee_kind, payee_id, coalesce(sums.amount, 0) AS amount, sums.held,
             asked.id AS withdrawal_id, asked.amount AS asked,
             coalesce(asked.credited, 0) AS credited,
             account.id AS account_id, account.rail,
             CASE WHEN sums.amount < 0 THEN 'negative'
                  WHEN asked.id IS NULL AND sums.amount IS NULL THEN 'nothing'
                  WHEN asked.id IS NULL AND sums.amount = 0 THEN 'offset'
                  WHEN asked.id IS NULL AND :on_request THEN 'not_requested'
                  WHEN asked.id IS NULL AND sums.amount < :minimum THEN 'below_minimum'
                  WHEN account.id IS NULL THEN 'no_account'
                  WHEN account.rail <> ALL(CAST(:rails AS text[])) THEN 'no_rail'
                  WHEN asked.is_held THEN 'on_hold'
                  WHEN {NO_PROFILE} THEN 'tax_profile_missing'
                  WHEN {NO_INVOICE} THEN 'invoice_missing'
                  WHEN asked.id IS NOT NULL THEN 'asked'
                  ELSE 'pay' END AS verdict
      FROM (SELECT currency, payee_kind, payee_id,
                   CAST(sum(amount) FILTER (WHERE {TAKEN}) AS bigint) AS amount,
                   CAST(sum(amount) FILTER (WHERE amount > 0 AND on_hold IS NOT NULL AND {DUE})
                        AS bigint) AS held
            {OPEN} {UP_TO_LAST}
            GROUP BY currency, payee_kind, payee_id) AS sums
      FULL JOIN (
            SELECT currency, payee_kind, payee_id, id, amount, credited,
                   EXISTS (SELECT FROM withdrawal_lines line
                             JOIN entries entry ON entry.merchant_id = line.merchant_id
                              AND entry.id = line.entry_id AND entry.on_hold IS NOT NULL
                            WHERE line.merchant_id = withdrawals.merchant_id
                              AND line.withdrawal_id = withdrawals.id AND line.live) AS is_held
            {ASKED} {UP_TO_LAST}) AS asked USING (currency, payee_kind, payee_id)
      LEFT JOIN ({ACCOUNTS}) AS account
                USING (currency, payee_kind, payee_id)
      ORDER BY currency, payee_kind, payee_id -- and so are the numbers of the payouts
    ) AS judged
""")  # noqa: S608

# The reference is random, so that a database restored from a backup never sends an old one again.
MAKE_PAYOUTS = sa.text("""
    INSERT INTO payouts (merchant_id, id, settlement_id, payee_kind, payee_id, currency,
                         account_id, rail, gross, withheld, credited, net, state, reference,
                         withdrawal_id, invoiced, version, created_at)
    SELECT :merchant, payout_id, :settlement, payee_kind, payee_id, currency, account_id, rail,
           gross, withheld, credited, gross - withheld, 'draft',
           'TK' || upper(left(replace(CAST(gen_random_uuid() AS text), '-', ''), 16)),
           withdrawal_id, :invoices, 1, :now
    FROM verdicts WHERE payout_id IS NOT NULL ORDER BY payout_id
""")

LINES_OF_WITHDRAWALS = sa.text("""
    INSERT INTO payout_lines (merchant_id, payout_id, entry_id, amount, live)
    SELECT :merchant, payout_id, line.entry_id, line.amount, true
    FROM verdicts
    JOIN withdrawal_lines AS line
      ON line.merchant_id = :merchant AND line.withdrawal_id = verdicts.withdrawal_id AND line.live
    WHERE verdict = 'asked'
""")


def taking(verdict: str) -> str:
    """The WITH query `taken`: takes the entries of the payees with this verdict.

    They were not locked when they were judged: what changed since then shows in their sums. In
    the order of their ids, so that most indexes grow page by page and not all over.
    """
    return f"""
    taken AS (
        UPDATE entries SET state = 'reserved'
         WHERE merchant_id = :merchant AND state = 'available' AND {TAKEN}
           AND id = ANY (ARRAY(
             SELECT open.id
               FROM (SELECT id, currency, payee_kind, payee_id {OPEN} {UP_TO_LAST} AND {TAKEN}
                      AND EXISTS (SELECT FROM verdicts WHERE verdict = '{verdict}')
                     OFFSET 0) AS open
               JOIN verdicts USING (currency, payee_kind, payee_id)
              WHERE verdict = '{verdict}'
              ORDER BY open.id))
        RETURNING id, currency, payee_kind, payee_id, amount
    )"""  # noqa: S608


TAKE = sa.text(f"""
    WITH {taking("pay")}, lined AS (
        INSERT INTO payout_lines (merchant_id, payout_id, entry_id, amount, live)
        SELECT :merchant, payout_id, taken.id, taken.amount, true
          FROM taken JOIN verdicts USING (currency, payee_kind, payee_id)
    )
    SELECT payee_id FROM (
        SELECT currency, payee_kind, payee_id, amount FROM taken
        UNION ALL
        SELECT currency, payee_kind, payee_id, -amount FROM verdicts WHERE verdict = 'pay'
    ) AS both_sides
    GROUP BY currency, payee_kind, payee_id HAVING sum(amount) <> 0 LIMIT 1
""")  # noqa: S608

WHOSE = (
    "SELECT CAST(:merchant AS bigint), payee_kind, payee_id, currency FROM verdicts"
    " WHERE verdict = 'pay'"
)

RESERVE = """
    rows AS (
      SELECT CAST(:merchant AS bigint) AS merchant_id, 'reserve' AS code,
             'payout:' || payout_id AS cause, payee_kind, payee_id, currency,
             amount - credited AS amount
        FROM verdicts WHERE verdict = 'pay'
    )
"""
