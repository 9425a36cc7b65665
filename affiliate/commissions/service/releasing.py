"""Along the states: released when the hold is over, and moved with their payout."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.commissions.models import Commission, Entry, State
from affiliate.commissions.service import holding
from affiliate.db import among, db, numbers
from affiliate.ledger import service as ledger
from affiliate.ledger.models import Kind
from affiliate.people.models import Merchant

STEPS_AHEAD = 10


@dataclass
class Ahead:
    """What is due in the next steps, read at once for whoever makes many of them. Those of one
    payee stand together: so an account is written once for several of its entries, and they come
    to lie side by side in the table, where a settlement will look for them payee by payee.
    """

    steps: int = STEPS_AHEAD
    due: list[int] = field(default_factory=list)  # the next stand last

    def look(self, given: dict[str, Any], limit: int) -> None:
        wanted = {"currency": None, "limit": limit * self.steps}
        found = db.session.scalar(TOGETHER, given | wanted)
        self.due = list(reversed(found or ()))

    def take(self, limit: int) -> list[int]:
        taken = self.due[-limit:]
        del self.due[-limit:]
        return taken[::-1]


def release(
    merchant_id: int, through: datetime, limit: int = 5000, ahead: Ahead | None = None
) -> int:
    """Release what is due: pending entries, not on hold, whose hold ended by `through`.

    Takes up to about `limit` entries in one go and returns how many it changed; call it until it
    returns 0, if for many steps then with the same `ahead`. Two at once share the work. The
    commissions are locked first, so a refund of the same order waits.

    A merchant with a credit limit has no more released than its pay-ins and the limit cover. The
    rest stays pending as `merchant_unfunded`, and goes oldest first once there is money.
    """
    given = {"merchant": merchant_id, "through": through, "limit": limit, "now": clock.now()}
    merchant = db.session.get_one(Merchant, merchant_id, populate_existing=True)
    if merchant.credit_limit is None:
        return _release_all(given, limit, ahead or Ahead(steps=1))
    lent = {merchant.currency: merchant.credit_limit}
    db.session.execute(ALONE, {"name": f"funding/{merchant_id}"})
    changed = 0
    for currency in db.session.scalars(CURRENCIES, given).all():
        changed += _release_funded(given | {"currency": currency}, lent.get(currency, 0))
    return changed


def _release_all(given: dict[str, Any], limit: int, ahead: Ahead) -> int:
    """What somebody else works on is left to them, so who finds nothing else is done."""
    looked = False
    while ahead.due or not looked:
        if not ahead.due:
            ahead.look(given, limit)
            looked = True
        if changed := _release(given, ahead.take(limit)):
            return changed
    return 0


def _release_funded(given: dict[str, Any], lent: int) -> int:
    due = db.session.scalars(DUE, given).all()
    if not due:
        return 0
    left = lent - (db.session.scalar(USED, given) or 0)
    funded = db.session.scalars(FUNDED, given | {"due": numbers(due), "left": left}).all()
    released = _release(given, funded) if funded else 0
    if len(funded) == len(due):
        return released
    waiting = _lock(given, db.session.scalars(UNMARKED, given).all())
    marked = db.session.scalars(MARK, given | {"commissions": numbers(waiting)}).all()
    return released + len(marked)


def _release(given: dict[str, Any], due: Sequence[int]) -> int:
    locked = _lock(given, due) if due else ()
    if not locked:
        return 0
    given = given | {"commissions": numbers(locked)}
    ledger.open_accounts(WHOSE, Kind.AVAILABLE, given)
    return ledger.post_from(RELEASE, given)


def _lock(given: dict[str, Any], commission_ids: Sequence[int]) -> Sequence[int]:
    """Those that nobody else works on."""
    return db.session.scalars(
        sa.select(Commission.id)
        .where(
            Commission.merchant_id == given["merchant"], among(Commission.id, set(commission_ids))
        )
        .order_by(Commission.id)
        .with_for_update(key_share=True, skip_locked=True)
    ).all()


def move_entries(
    merchant_id: int, entry_ids: Collection[int] | Any, source: State, target: State
) -> int:
    """Move entries along their states for a payout; returns how many were in `source`.

    `entry_ids` may be a subquery. The transfers of a payout are the payout's own.
    """
    moved = db.session.scalars(
        sa.update(Entry)
        .where(Entry.merchant_id == merchant_id, Entry.id.in_(entry_ids), Entry.state == source)
        .values(state=target)
        .returning(Entry.order_id)
        .execution_options(synchronize_session=False)
    ).all()
    if target == State.AVAILABLE:
        # A hold may have come or gone while the money was away.
        holding.refresh(merchant_id, set(moved))
    return len(moved)


ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")

# A side each, so that each walks down its own index no further than it must.
_DUE = """
      (SELECT commission_id, hold_until, payee_kind, payee_id FROM entries
        WHERE merchant_id = :merchant AND state = 'pending' AND on_hold IS NULL
          AND hold_until <= :through
          AND (CAST(:currency AS text) IS NULL OR currency = :currency)
        ORDER BY hold_until LIMIT :limit)
      UNION ALL
      (SELECT commission_id, hold_until, payee_kind, payee_id FROM entries
        WHERE merchant_id = :merchant AND state = 'pending' AND on_hold = 'merchant_unfunded'
          AND hold_until <= :through
          AND (CAST(:currency AS text) IS NULL OR currency = :currency)
        ORDER BY hold_until LIMIT :limit)
"""
DUE = sa.text(f"""
    SELECT commission_id FROM ({_DUE}) AS due
    GROUP BY commission_id ORDER BY min(hold_until), commission_id LIMIT :limit
""")  # noqa: S608
TOGETHER = sa.text(f"""
    SELECT array_agg(commission_id ORDER BY payee_kind, payee_id, commission_id) FROM (
      SELECT commission_id, min(payee_kind) AS payee_kind, min(payee_id) AS payee_id
        FROM ({_DUE}) AS due GROUP BY commission_id
    ) AS those
""")  # noqa: S608

CURRENCIES = sa.text("""
    SELECT currency FROM ledger_accounts
     WHERE merchant_id = :merchant AND owner_kind = 'merchant' AND owner_id = :merchant
       AND kind = 'receivable'
     ORDER BY currency
""")

# What was released and not covered by a pay-in: the receivable without what is still pending.
USED = sa.text("""
    SELECT CAST(sum(debits - credits) AS bigint) FROM ledger_accounts
     WHERE merchant_id = :merchant AND currency = :currency AND kind IN ('receivable', 'pending')
""")

_OPEN = """
       e.state = 'pending' AND (e.on_hold IS NULL OR e.on_hold = 'merchant_unfunded')
       AND e.hold_until <= :through
"""

# Oldest first, and nothing overtakes what waits for money.
FUNDED = sa.text(f"""
    WITH due AS (
      SELECT e.commission_id, min(e.hold_until) AS at, sum(e.amount) AS amount
        FROM entries e
       WHERE e.merchant_id = :merchant AND e.commission_id = ANY (CAST(:due AS bigint[]))
         AND {_OPEN}
       GROUP BY e.commission_id
    ), running AS (
      SELECT commission_id, at, sum(amount) OVER (ORDER BY at, commission_id) AS needed FROM due
    )
    SELECT commission_id FROM (
      SELECT commission_id, max(needed) OVER (ORDER BY at, commission_id) AS needed FROM running
    ) AS most WHERE needed <= :left
""")  # noqa: S608

UNMARKED = sa.text("""
    SELECT commission_id FROM entries
     WHERE merchant_id = :merchant AND state = 'pending' AND on_hold IS NULL
       AND hold_until <= :through AND currency = :currency
     ORDER BY hold_until LIMIT :limit
""")

MARK = sa.text("""
    UPDATE entries SET on_hold = 'merchant_unfunded'
     WHERE merchant_id = :merchant AND commission_id = ANY (CAST(:commissions AS bigint[]))
       AND state = 'pending' AND on_hold IS NULL AND hold_until <= :through
    RETURNING id
""")

WHOSE = f"""
    SELECT DISTINCT e.merchant_id, e.payee_kind, e.payee_id, e.currency
      FROM entries e
     WHERE e.merchant_id = :merchant AND e.commission_id = ANY (CAST(:commissions AS bigint[]))
       AND {_OPEN}
"""  # noqa: S608

RELEASE = f"""
    rows AS (
      UPDATE entries e SET state = 'available', released_at = :now, on_hold = NULL
        FROM unnest(CAST(:commissions AS bigint[])) AS due (commission_id) -- in order
       WHERE e.merchant_id = :merchant AND e.commission_id = due.commission_id AND {_OPEN}
      RETURNING e.merchant_id, CASE WHEN e.amount > 0 THEN 'release' ELSE 'unrelease' END AS code,
                'entry:' || e.id AS cause, e.payee_kind, e.payee_id, e.currency,
                abs(e.amount) AS amount
    )
"""  # noqa: S608
