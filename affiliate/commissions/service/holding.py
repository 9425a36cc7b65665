"""Holds: money that waits for a decision is neither released nor settled.

An order is held while one of its disputes is open (a fact of the order), or while a `Hold` of it or
of the payee stands. `entries.on_hold` says so for each entry and is always made anew from those
facts; a payout that has not gone out and owns a held entry is cancelled (settlement does that).

An order's holds change under the order's lock. A payee's holds concern orders that others may be
booking: who books holds the merchant's lock shared, who holds or lifts a payee holds it alone.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import clock, jobs
from affiliate.commissions.models import Commission, Entry, Hold, State
from affiliate.db import among, db
from affiliate.orders.queries import Stored

Payee = tuple[str, int]  # kind, id
UNREAD = "unread"


def place(merchant_id: int, order_ids: Collection[int], reason: str) -> None:
    """Nothing of these orders is paid until the hold is lifted. For who has the orders locked and
    books them afterwards; asking again changes nothing.
    """
    _place(merchant_id, reason, [{"order_id": order_id} for order_id in sorted(order_ids)])


def hold_unread(merchant_id: int, order_ids: Collection[int]) -> None:
    """What a shop told last about these orders could not be read. The caller has them locked."""
    place(merchant_id, order_ids, UNREAD)
    _lock_commissions(merchant_id, order_ids)
    refresh(merchant_id, order_ids)


def lift_read(merchant_id: int, order_ids: Collection[int]) -> None:
    """What was told last about these orders was read, so nothing waits for that any more."""
    lifted = db.session.scalars(
        sa.update(Hold)
        .where(
            Hold.merchant_id == merchant_id,
            among(Hold.order_id, order_ids),
            Hold.reason == UNREAD,
            Hold.lifted_at.is_(None),
        )
        .values(lifted_at=clock.now())
        .returning(Hold.order_id)
    ).all()
    if lifted:
        found = [order_id for order_id in lifted if order_id is not None]
        _lock_commissions(merchant_id, found)
        refresh(merchant_id, found)


def hold_payees(merchant_id: int, payees: Collection[Payee], reason: str) -> None:
    """Nothing is paid to them by this merchant until the hold is lifted."""
    _alone(merchant_id)
    rows = [{"payee_kind": kind, "payee_id": payee_id} for kind, payee_id in sorted(payees)]
    _place(merchant_id, reason, rows)
    _refresh_payees(merchant_id, payees)


def lift_order(merchant_id: int, order_id: int) -> None:
    """The caller has the order locked."""
    _lift(Hold.merchant_id == merchant_id, Hold.order_id == order_id)
    _lock_commissions(merchant_id, [order_id])
    refresh(merchant_id, [order_id])


def lift_payee(merchant_id: int, payee: Payee) -> None:
    _alone(merchant_id)
    _lift(Hold.merchant_id == merchant_id, Hold.payee_kind == payee[0], Hold.payee_id == payee[1])
    _refresh_payees(merchant_id, [payee])


def share(merchant_id: int) -> None:
    """While orders are booked no payee's hold comes or goes."""
    db.session.execute(_SHARED, {"name": f"holds/{merchant_id}"})


def _alone(merchant_id: int) -> None:
    db.session.execute(_EXCLUSIVE, {"name": f"holds/{merchant_id}"})


def are_concerned(merchant_id: int, orders: Sequence[Stored], payees: Collection[Payee]) -> bool:
    """Whether any of these orders or payees is on hold, or an order ever was by a dispute."""
    if any(order.facts.disputes for order in orders):
        return True
    standing = sa.select(Hold.id).where(
        Hold.merchant_id == merchant_id,
        Hold.lifted_at.is_(None),
        sa.or_(
            among(Hold.order_id, [order.id for order in orders]),
            among(Hold.payee_id, {payee_id for _, payee_id in payees}),
        ),
    )
    return db.session.scalar(standing.limit(1)) is not None


def refresh(merchant_id: int, order_ids: Collection[int]) -> None:
    """Say anew of each open entry of these orders why it is held, if it is."""
    changed = db.session.execute(
        REFRESH, {"merchant": merchant_id, "orders": list(order_ids)}
    ).scalars()
    if State.RESERVED in set(changed):
        jobs.ring(jobs.Job.CANCEL_HELD, merchant_id)


def _refresh_payees(merchant_id: int, payees: Collection[Payee]) -> None:
    mine = sa.tuple_(Entry.payee_kind, Entry.payee_id).in_(list(payees))
    order_ids = db.session.scalars(
        sa.select(Entry.order_id)
        .distinct()
        .where(Entry.merchant_id == merchant_id, mine, Entry.state.not_in(["estimated", "paid"]))
    ).all()
    _lock_commissions(merchant_id, order_ids)
    refresh(merchant_id, order_ids)


def _lock_commissions(merchant_id: int, order_ids: Collection[int]) -> None:
    """They come before entries in the lock order, also here."""
    db.session.execute(
        sa.select(Commission.id)
        .where(Commission.merchant_id == merchant_id, among(Commission.order_id, order_ids))
        .order_by(Commission.id)
        .with_for_update(key_share=True)
    )


def _place(merchant_id: int, reason: str, subjects: Sequence[dict[str, Any]]) -> None:
    now = clock.now()
    rows = [
        {"merchant_id": merchant_id, "reason": reason, "created_at": now, **each}
        for each in subjects
    ]
    if rows:
        db.session.execute(insert(Hold).on_conflict_do_nothing(), rows)


def _lift(*which: sa.ColumnElement[bool]) -> None:
    db.session.execute(
        sa.update(Hold).where(*which, Hold.lifted_at.is_(None)).values(lifted_at=clock.now())
    )


_SHARED = sa.text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))")
_EXCLUSIVE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")

# What is taken back from the available is never held: it is set against what is paid next.
REFRESH = sa.text("""
    WITH wanted AS (
        SELECT e.id, CASE WHEN o.disputes @> '[{"status": "open"}]' THEN 'dispute'
                          ELSE (SELECT min(h.reason) FROM holds h
                                 WHERE h.merchant_id = :merchant AND h.lifted_at IS NULL
                                   AND (h.order_id = e.order_id
                                        OR (h.payee_kind, h.payee_id) = (e.payee_kind, e.payee_id)))
                      END AS reason, e.on_hold = 'merchant_unfunded' AS unfunded
          FROM entries e
          JOIN orders o ON o.merchant_id = e.merchant_id AND o.id = e.order_id
         WHERE e.merchant_id = :merchant AND e.order_id = ANY (:orders)
           AND e.payee_kind <> 'platform'
           AND (e.state = 'pending' OR e.state IN ('available', 'reserved') AND e.amount > 0)
    )
    UPDATE entries e SET on_hold = w.reason
      FROM wanted w
     WHERE e.merchant_id = :merchant AND e.id = w.id AND e.on_hold IS DISTINCT FROM w.reason
       AND (w.reason IS NOT NULL OR w.unfunded IS NOT TRUE)
    RETURNING e.state
""")
