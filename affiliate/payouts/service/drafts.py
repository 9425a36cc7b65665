"""Payouts for one chunk of payees: pick their entries, judge the sums, write the rows.

Everything is set-based. Two temporary tables live as long as the transaction: `picked` (the
entries) and `verdicts` (what becomes of each payee's sum); settlement writes its own rows from
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.commissions import service as commissions
from affiliate.commissions.models import State as EntryState
from affiliate.db import db
from affiliate.ledger import service as ledger
from affiliate.payouts import rails

Payee = tuple[str, str, int]  # currency, kind, id: the order in which a run walks through them
NOBODY: Payee = ("", "", 0)


@dataclass(frozen=True, slots=True)
class Run:
    """What a settlement looks for."""

    merchant_id: int
    settlement_id: int
    through: datetime
    currencies: tuple[str, ...]  # empty: all
    minimum: int
    on_request: bool  # payees ask for their money; nobody is paid without asking


@dataclass(frozen=True, slots=True)
class Chunk:
    last: Payee
    payees: int
    made: Sequence[sa.Row[Any]]  # the new payouts


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
    for statement in (FORGET, PICK, ANALYZE_PICKED, JUDGE, ANALYZE_VERDICTS):
        db.session.execute(statement, bounds)
    made = db.session.execute(MAKE_PAYOUTS, bounds).all()
    db.session.execute(MAKE_LINES, bounds)
    moved = commissions.move_entries(
        run.merchant_id, TAKEN, EntryState.AVAILABLE, EntryState.RESERVED
    )
    assert moved == db.session.scalar(COUNT_TAKEN), "an entry was locked and yet changed"
    return Chunk(last, len(found), made)


def reserve(run: Run, chunk: Chunk) -> None:
    """Move the money of the new payouts out of the payees' reach.

    A refund that takes it away in the same moment makes the books refuse (Overdrawn): roll back
    and draft again.
    """
    ledger.post(
        [
            ledger.Posting(
                ledger.Code.RESERVE,
                f"payout:{each.id}",
                ledger.available(run.merchant_id, each.payee_kind, each.payee_id, each.currency),
                ledger.reserved(run.merchant_id, each.payee_kind, each.payee_id, each.currency),
                each.gross,
            )
            for each in chunk.made
        ]
    )


def given(run: Run, after: Payee, last: Payee = NOBODY) -> dict[str, object]:
    """The parameters of all statements here: payees in (after, last] of this run."""
    return {
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


OPEN = """
    FROM entries
    WHERE merchant_id = :merchant AND state = 'available' AND payee_kind <> 'platform'
      AND (cardinality(CAST(:currencies AS text[])) = 0 OR currency = ANY(:currencies))
      AND (currency, payee_kind, payee_id) >
          (CAST(:after_currency AS char(3)), :after_kind, :after_id)
"""
UP_TO_LAST = """
      AND (currency, payee_kind, payee_id) <=
          (CAST(:last_currency AS char(3)), :last_kind, :last_id)
"""
# What is released late but was due in time counts; what was due later waits for the next run.
DUE = "coalesce(hold_until, released_at, created_at) <= :through"

COUNT = sa.text(f"""
    SELECT count(*) FROM (SELECT DISTINCT currency, payee_kind, payee_id {OPEN}) AS payees
""")  # noqa: S608

NEXT_PAYEES = sa.text(f"""
    SELECT DISTINCT currency, payee_kind, payee_id {OPEN}
    ORDER BY currency, payee_kind, payee_id LIMIT :size
""")

FORGET = sa.text("DROP TABLE IF EXISTS pg_temp.picked, pg_temp.verdicts")

# All negative ones, also held or young ones: nobody is paid what was already taken back.
PICK = sa.text(f"""
    CREATE TEMPORARY TABLE picked ON COMMIT DROP AS
    SELECT id AS entry_id, currency, payee_kind, payee_id, amount
    {OPEN} {UP_TO_LAST}
      AND (amount < 0 OR (on_hold IS NULL AND {DUE}))
    ORDER BY id FOR UPDATE
""")

# Without statistics the planner takes temporary tables for tiny.
ANALYZE_PICKED, ANALYZE_VERDICTS = sa.text("ANALYZE picked"), sa.text("ANALYZE verdicts")

JUDGE = sa.text("""
    CREATE TEMPORARY TABLE verdicts ON COMMIT DROP AS
    SELECT sums.currency, sums.payee_kind, sums.payee_id, sums.amount,
           account.id AS account_id, account.rail,
           CASE WHEN sums.amount < 0 THEN 'negative'
                WHEN sums.amount = 0 THEN 'offset'
                WHEN :on_request THEN 'not_requested'
                WHEN sums.amount < :minimum THEN 'below_minimum'
                WHEN account.id IS NULL THEN 'no_account'
                WHEN account.rail <> ALL(CAST(:rails AS text[])) THEN 'no_rail'
                ELSE 'pay' END AS verdict
    FROM (SELECT currency, payee_kind, payee_id, CAST(sum(amount) AS bigint) AS amount
          FROM picked GROUP BY currency, payee_kind, payee_id) AS sums
    LEFT JOIN payout_accounts AS account
      ON account.payee_kind = sums.payee_kind AND account.payee_id = sums.payee_id
     AND account.currency = sums.currency AND account.replaced_at IS NULL
""")

# The reference is random, so that a database restored from a backup never sends an old one again.
MAKE_PAYOUTS = sa.text("""
    WITH made AS (
        INSERT INTO payouts (merchant_id, settlement_id, payee_kind, payee_id, currency,
                             account_id, rail, gross, withheld, net, state, reference, version,
                             created_at)
        SELECT :merchant, :settlement, payee_kind, payee_id, currency, account_id, rail,
               amount, 0, amount, 'draft',
               'TK' || upper(left(replace(CAST(gen_random_uuid() AS text), '-', ''), 16)), 1, :now
        FROM verdicts WHERE verdict = 'pay' ORDER BY currency, payee_kind, payee_id
        RETURNING id, payee_kind, payee_id, currency, gross
    ), noted AS (
        INSERT INTO payout_events (merchant_id, payout_id, state, detail, created_at)
        SELECT :merchant, id, 'draft', '{}', :now FROM made ORDER BY id
    )
    SELECT * FROM made
""")

MAKE_LINES = sa.text("""
    INSERT INTO payout_lines (merchant_id, payout_id, entry_id, amount, live)
    SELECT :merchant, payout.id, entry_id, picked.amount, true
    FROM picked
    JOIN verdicts USING (currency, payee_kind, payee_id)
    JOIN payouts AS payout USING (currency, payee_kind, payee_id)
    WHERE verdict = 'pay'
      AND payout.merchant_id = :merchant AND payout.settlement_id = :settlement
""")

PAYEE = ("currency", "payee_kind", "payee_id")
_picked = sa.table("picked", *map(sa.column, ("entry_id", *PAYEE)))
_verdicts = sa.table("verdicts", *map(sa.column, ("verdict", *PAYEE)))
TAKEN = (
    sa.select(_picked.c.entry_id)
    .join(_verdicts, sa.and_(*(_picked.c[each] == _verdicts.c[each] for each in PAYEE)))
    .where(_verdicts.c.verdict.in_(["pay", "offset"]))
)
COUNT_TAKEN = sa.select(sa.func.count()).select_from(TAKEN.subquery())
