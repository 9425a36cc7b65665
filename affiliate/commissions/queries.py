"""What is earned, for pages, the API and `orders explain`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import undefer_group

from affiliate.commissions.models import Commission, Entry, State
from affiliate.db import among, db

Key = tuple[int, int]  # merchant, row


def all_commissions() -> sa.Select[Commission]:
    """A select to narrow down; with the sums and the state of each commission."""
    return sa.select(Commission).options(undefer_group("sums"))


def of_orders(orders: Collection[Key]) -> list[Commission]:
    key = sa.tuple_(Commission.merchant_id, Commission.order_id)
    return list(
        db.session.scalars(
            all_commissions()
            .where(key.in_(list(orders)))
            .order_by(Commission.order_id, Commission.id)
        )
    )


def settled(merchant_id: int, order_ids: Collection[int]) -> set[int]:
    """Of these orders those whose credit stands, since an entry of theirs was released."""
    return set(
        db.session.scalars(
            sa.select(Entry.order_id).where(
                Entry.merchant_id == merchant_id,
                among(Entry.order_id, order_ids),
                Entry.released_at.is_not(None),
            )
        )
    )


def promoters_of(merchant_id: int, order_ids: Collection[int]) -> list[int]:
    """Who earns of these orders, sellers and those above them."""
    return list(
        db.session.scalars(
            sa.select(Commission.payee_id)
            .distinct()
            .where(
                Commission.merchant_id == merchant_id,
                among(Commission.order_id, order_ids),
                Commission.payee_kind == "promoter",
            )
        )
    )


def entries_of(commissions: Collection[Key]) -> dict[Key, list[Entry]]:
    """The entries of these commissions, oldest first."""
    key = sa.tuple_(Entry.merchant_id, Entry.commission_id)
    rows = db.session.scalars(
        sa.select(Entry)
        .where(key.in_(list(set(commissions))))
        .order_by(Entry.merchant_id, Entry.id)
    )
    found: dict[Key, list[Entry]] = {}
    for row in rows:
        found.setdefault((row.merchant_id, row.commission_id), []).append(row)
    return found


@dataclass(frozen=True, slots=True)
class Sums:
    """What a payee has of one merchant in one currency that no account shows."""

    merchant_id: int
    currency: str
    estimated: int
    paid: int


def sums_of(payee_kind: str, payee_id: int) -> Sequence[Sums]:
    def total(state: State) -> sa.ColumnElement[int]:
        chosen = sa.func.sum(Entry.amount).filter(Entry.state == state)
        return sa.func.coalesce(chosen, 0).cast(sa.BigInteger)

    rows = db.session.execute(
        sa.select(Entry.merchant_id, Entry.currency, total(State.ESTIMATED), total(State.PAID))
        .where(Entry.payee_kind == payee_kind, Entry.payee_id == payee_id)
        .group_by(Entry.merchant_id, Entry.currency)
        .order_by(Entry.merchant_id, Entry.currency)
    )
    return [Sums(*row) for row in rows]
