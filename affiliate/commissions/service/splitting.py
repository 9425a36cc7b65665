"""A withdrawal takes an exact amount, and entries never change: the last one taken is split."""

from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.commissions.models import Entry, State
from affiliate.db import db, inserting


def split(entry: Entry, stays: int) -> int:
    """Leave this much of a positive entry with its payee: one entry takes it out of what is
    taken, another of the same amount is available. They sum up to 0, so no money moves and the
    commission is what it was. Returns the id of the first; the caller has `entry` locked.
    """
    assert 0 < stays < entry.amount
    same = {
        "merchant_id": entry.merchant_id,
        "commission_id": entry.commission_id,
        "order_id": entry.order_id,
        "payee_kind": entry.payee_kind,
        "payee_id": entry.payee_id,
        "currency": entry.currency,
        "state": State.AVAILABLE,
        "hold_until": entry.hold_until,
        "released_at": entry.released_at,
        "split_of": entry.id,
        "reason": ["split", {"of": entry.id}],
        "created_at": clock.now(),
    }
    rows = [{**same, "amount": amount} for amount in (-stays, stays)]
    statement: Any = inserting(Entry, rows).returning(sa.column("id"), sa.column("amount"))
    made = {amount: row_id for row_id, amount in db.session.execute(statement)}
    return int(made[-stays])
