"""Along the states: released when the hold is over, and moved with their payout."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.commissions.models import Commission, Entry, State
from affiliate.commissions.service import holding
from affiliate.db import db
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting


def release(merchant_id: int, through: datetime, limit: int = 5000) -> int:
    """Release what is due: pending entries, not on hold, whose hold ended by `through`.

    Takes up to `limit` entries in one go and returns how many; call it until it returns 0. Two at
    once share the work. The commissions are locked first, so a refund of the same order waits.
    """
    due = (
        sa.select(Entry.commission_id)
        .where(
            Entry.merchant_id == merchant_id,
            Entry.state == State.PENDING,
            Entry.on_hold.is_(None),
            Entry.hold_until <= through,
        )
        .order_by(Entry.hold_until, Entry.commission_id)
        .limit(limit)
    )
    locked = db.session.scalars(
        sa.select(Commission.id)
        .where(Commission.merchant_id == merchant_id, Commission.id.in_(due))
        .order_by(Commission.id)
        .with_for_update(key_share=True, skip_locked=True)
    ).all()
    if not locked:
        return 0
    released = db.session.execute(
        sa.update(Entry)
        .where(
            Entry.merchant_id == merchant_id,
            Entry.commission_id.in_(locked),
            Entry.state == State.PENDING,
            Entry.on_hold.is_(None),
            Entry.hold_until <= through,
        )
        .values(state=State.AVAILABLE, released_at=clock.now())
        .returning(Entry.id, Entry.payee_kind, Entry.payee_id, Entry.currency, Entry.amount)
    ).all()
    ledger.post([_release_posting(merchant_id, *row) for row in released])
    return len(released)


def _release_posting(
    merchant_id: int, entry_id: int, payee_kind: str, payee_id: int, currency: str, amount: int
) -> Posting:
    payee = (merchant_id, payee_kind, payee_id, currency)
    held, free = ledger.pending(*payee), ledger.available(*payee)
    if amount > 0:
        return Posting(Code.RELEASE, f"entry:{entry_id}", held, free, amount)
    return Posting(Code.UNRELEASE, f"entry:{entry_id}", free, held, -amount)


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
