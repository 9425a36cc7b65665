"""What is booked of an order so far: each commission with the sums of its entries."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

import sqlalchemy as sa

from affiliate.commissions.models import Commission, Entry, State
from affiliate.commissions.targets import Target
from affiliate.db import among, db, table
from affiliate.orders.queries import Stored

Key = tuple[int, str, int, str, int]  # line, payee kind, payee, role, via
# Program, terms, base, what refunds leave of it, rate, version of the rule, month, what a cap left.
Terms = tuple[int, int, int, int, int, int | None, date | None, int | None]


@dataclass(slots=True)
class Known:
    """A stored commission with what its entries sum up to."""

    id: int
    payee_kind: str
    payee_id: int
    currency: str
    terms: Terms  # as the row has them
    pending: int = 0
    settled: int = 0
    has_pending: bool = False
    estimated: dict[int, int] = field(default_factory=dict)  # entry id → amount
    released: bool = False

    @property
    def earned(self) -> int:
        return self.pending + self.settled

    @property
    def program_id(self) -> int:
        return self.terms[0]

    @property
    def remaining(self) -> int:
        return self.terms[3]

    @property
    def month(self) -> date | None:
        return self.terms[-2]

    @property
    def allowed(self) -> int | None:
        """What a cap left of it, for good; None where nothing was cut."""
        return self.terms[-1]


def key_of(order: Stored, target: Target) -> Key:
    share = target.share
    return (
        order.line_ids[target.line],
        share.payee_kind,
        share.payee_id,
        share.role,
        target.via_id,
    )


def of_orders(merchant_id: int, order_ids: Collection[int]) -> dict[int, dict[Key, Known]]:
    """Locked, so that a release or settlement of the same entries waits or has been seen."""
    found: dict[int, dict[Key, Known]] = {}
    by_id: dict[int, Known] = {}
    commissions = db.session.execute(
        sa.select(table(Commission))
        .where(Commission.merchant_id == merchant_id, among(Commission.order_id, order_ids))
        .order_by(Commission.id)
        .with_for_update(key_share=True)
    )
    for row in commissions:
        key = (row.line_id, row.payee_kind, row.payee_id, row.role, row.via_id)
        terms = (
            row.program_id,
            row.terms_id,
            row.base,
            row.remaining,
            row.rate_ppm,
            row.rule_id,
            row.month,
            row.allowed,
        )
        known = Known(row.id, row.payee_kind, row.payee_id, row.currency, terms)
        found.setdefault(row.order_id, {})[key] = by_id[row.id] = known
    entries = db.session.execute(
        sa.select(Entry.id, Entry.commission_id, Entry.amount, Entry.state, Entry.released_at)
        .where(Entry.merchant_id == merchant_id, among(Entry.order_id, order_ids))
        .order_by(Entry.id)
    )
    for entry in entries:
        known = by_id[entry.commission_id]
        if entry.state == State.ESTIMATED:
            known.estimated[entry.id] = entry.amount
        elif entry.state == State.PENDING:
            known.pending += entry.amount
            known.has_pending = True
        else:
            known.settled += entry.amount
            known.released |= entry.released_at is not None
    return found
