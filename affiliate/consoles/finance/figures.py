"""The numbers of finance's first page: what is owed to whom, and what waits for somebody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.ledger import rules
from affiliate.ledger.models import Account, Kind
from affiliate.payouts.models import Payout
from affiliate.payouts.models import State as PayoutState
from affiliate.people.queries import within
from affiliate.people.rules import Scope
from affiliate.settlement.models import Settlement, State

STAGES = (Kind.PENDING, Kind.AVAILABLE, Kind.RESERVED)
LATELY = timedelta(days=30)
MOST = 500  # accounts of merchants by kind: a hundred merchants with five kinds each


@dataclass(slots=True)
class Liability:
    """What one merchant owes in one currency, by stage. `owed` is all of it and what was paid
    ahead for the merchant, less what the merchant paid in.
    """

    merchant_id: int
    currency: str
    pending: int = 0
    available: int = 0
    reserved: int = 0
    receivable: int = 0
    clearing: int = 0

    @property
    def to_payees(self) -> int:
        return self.pending + self.available + self.reserved


def liabilities(scope: Scope) -> list[Liability]:
    found: dict[tuple[int, str], Liability] = {}
    kinds = (*STAGES, Kind.RECEIVABLE, Kind.CLEARING)
    rows = db.session.execute(
        sa.select(
            Account.merchant_id,
            Account.currency,
            Account.kind,
            sa.cast(sa.func.sum(Account.debits), sa.BigInteger),
            sa.cast(sa.func.sum(Account.credits), sa.BigInteger),
        )
        .where(within(Account.merchant_id, scope), Account.kind.in_(kinds))
        .group_by(Account.merchant_id, Account.currency, Account.kind)
        .order_by(Account.merchant_id, Account.currency)
        .limit(MOST)
    )
    for merchant_id, currency, kind, debits, credits_ in rows:
        of = found.setdefault((merchant_id, currency), Liability(merchant_id, currency))
        setattr(of, kind, rules.balance(kind, debits, credits_))
    return list(found.values())


def by_currency(rows: Sequence[Liability]) -> list[Liability]:
    """Summed over merchants; currencies are never added to each other."""
    sums: dict[str, Liability] = {}
    for row in rows:
        into = sums.setdefault(row.currency, Liability(0, row.currency))
        for stage in (*STAGES, Kind.RECEIVABLE, Kind.CLEARING):
            setattr(into, stage, getattr(into, stage) + getattr(row, stage))
    return sorted(sums.values(), key=lambda each: each.currency)


def waiting_settlements(scope: Scope, limit: int = 10) -> list[Settlement]:
    """Those that somebody has to decide on or to execute, the oldest first."""
    return list(
        db.session.scalars(
            sa.select(Settlement)
            .where(
                within(Settlement.merchant_id, scope),
                Settlement.state.in_([State.REVIEW, State.APPROVED]),
            )
            .order_by(Settlement.id)
            .limit(limit)
        )
    )


def troubled_payouts(scope: Scope) -> dict[str, int]:
    """By state: unclear ones, those with the bank, and what came back in the last thirty days."""
    lately = Payout.created_at > clock.now() - LATELY
    came_back = Payout.state.in_([PayoutState.RETURNED, PayoutState.FAILED])
    open_ = Payout.state.in_([PayoutState.UNKNOWN, PayoutState.ACCEPTED])
    rows = db.session.execute(
        sa.select(Payout.state, sa.func.count())
        .where(within(Payout.merchant_id, scope), sa.or_(open_, sa.and_(came_back, lately)))
        .group_by(Payout.state)
    )
    return {state: count for state, count in rows}  # noqa: C416
