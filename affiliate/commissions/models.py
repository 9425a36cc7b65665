"""What is earned: a commission per line, payee and role, as the sum of its entries."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, column_property, mapped_column

from affiliate.db import Currency, Json, Minor, Model, Owned, of_merchant, same_merchant


class State(StrEnum):
    ESTIMATED = "estimated"  # the order is not paid yet; no transfer
    PENDING = "pending"
    AVAILABLE = "available"
    RESERVED = "reserved"
    PAID = "paid"


class Commission(Owned, Model):
    __tablename__ = "commissions"

    order_id: Mapped[int]
    line_id: Mapped[int]
    payee_kind: Mapped[str]  # promoter, agency, platform
    payee_id: Mapped[int]
    role: Mapped[str]  # direct, tier_2 …, agency, rebate, platform_fee
    via_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))  # the credited promoter
    program_id: Mapped[int]
    terms_id: Mapped[int]
    currency: Mapped[Currency]
    base: Mapped[Minor]  # of the line (linear: of this part), before refunds
    remaining: Mapped[Minor]  # of the base, after refunds; 0 where nobody earns any more
    rate_ppm: Mapped[int]  # 0 where the rule pays an amount
    month: Mapped[date | None]  # of the payment, in the merchant's zone; what caps count by
    allowed: Mapped[int | None]  # what a cap left of it, for good; null: nothing was cut
    rule_id: Mapped[int | None]  # the version of the rule that the seller's rate comes from

    # Sums over its entries, defined below; amount − reversed is what is earned.
    amount: ClassVar[Mapped[int]]
    reversed: ClassVar[Mapped[int]]
    state: ClassVar[Mapped[str]]

    __table_args__ = (
        of_merchant(),
        same_merchant("order_id", "orders"),
        same_merchant("line_id", "order_lines"),
        same_merchant("program_id", "programs"),
        same_merchant("rule_id", "rule_versions"),
        sa.UniqueConstraint(
            "merchant_id", "order_id", "line_id", "payee_kind", "payee_id", "role", "via_id"
        ),
        sa.Index("commissions_payee_idx", "payee_id", "payee_kind", "merchant_id", "id"),
        sa.Index("commissions_month_idx", "merchant_id", "program_id", "month"),
    )


class Entry(Owned, Model):
    """A signed amount of a commission. Amounts never change; states move forward, or back to
    available when a payout fails. A negative entry in `pending` is released with the positive
    ones of its commission; one in `available` waits for the next settlement.
    """

    __tablename__ = "entries"

    commission_id: Mapped[int]
    order_id: Mapped[int]
    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    currency: Mapped[Currency]
    amount: Mapped[Minor]
    state: Mapped[str]
    hold_until: Mapped[datetime | None]
    on_hold: Mapped[str | None]  # the reason; stops release and settlement
    released_at: Mapped[datetime | None]
    reason: Mapped[Json]  # why this entry exists, as a code with arguments
    # A withdrawal took only a part of that entry: what it left, out of it and into one of its own.
    # Such pairs sum up to 0 and move no money.
    split_of: Mapped[int | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("commission_id", "commissions"),
        same_merchant("order_id", "orders"),
        same_merchant("split_of", "entries"),
        sa.CheckConstraint("amount <> 0", name="amount"),
        sa.CheckConstraint(
            "state IN ('estimated', 'pending', 'available', 'reserved', 'paid')", name="state"
        ),
        sa.Index("entries_commission_idx", "merchant_id", "commission_id"),
        sa.Index("entries_order_idx", "merchant_id", "order_id"),
        sa.Index(
            "entries_due_idx", "merchant_id", "hold_until",
            postgresql_where=sa.text("state = 'pending' AND on_hold IS NULL"),
        ),
        sa.Index(
            "entries_unfunded_idx", "merchant_id", "currency", "hold_until",
            postgresql_where=sa.text("state = 'pending' AND on_hold = 'merchant_unfunded'"),
        ),
        sa.Index(
            "entries_available_idx", "merchant_id", "currency", "payee_kind", "payee_id",
            postgresql_where=sa.text("state = 'available'"),
        ),
        sa.Index(
            "entries_open_idx", "merchant_id", "state", "currency", "id",
            postgresql_where=sa.text("state IN ('pending', 'available', 'reserved')"),
        ),
        sa.Index("entries_payee_idx", "payee_id", "payee_kind", "merchant_id", "id"),
        sa.Index(
            "entries_split_idx", "merchant_id", "split_of",
            postgresql_where=sa.text("split_of IS NOT NULL"),
        ),
    )  # fmt: skip


class Hold(Owned, Model):
    """Money of an order, or of all a payee's orders, that waits for a person's decision."""

    __tablename__ = "holds"

    order_id: Mapped[int | None]
    payee_kind: Mapped[str | None]
    payee_id: Mapped[int | None]
    reason: Mapped[str]
    lifted_at: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("order_id", "orders"),
        sa.CheckConstraint(
            "num_nonnulls(order_id, payee_id) = 1 AND num_nonnulls(payee_kind, payee_id) <> 1",
            name="subject",
        ),
        sa.Index(
            "holds_order_idx", "merchant_id", "order_id",
            unique=True, postgresql_where=sa.text("lifted_at IS NULL AND order_id IS NOT NULL"),
        ),
        sa.Index(
            "holds_payee_idx", "merchant_id", "payee_kind", "payee_id",
            unique=True, postgresql_where=sa.text("lifted_at IS NULL AND payee_id IS NOT NULL"),
        ),
    )  # fmt: skip


class CapCounter(Owned, Model):
    """What is earned in a month of a program with caps: by one promoter, or (payee 0) by all.

    Locked by key while orders are booked. Always the sum over its entries.
    """

    __tablename__ = "cap_counters"

    program_id: Mapped[int]
    payee_id: Mapped[int]
    month: Mapped[date]
    currency: Mapped[Currency]
    used: Mapped[Minor]

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        sa.UniqueConstraint("merchant_id", "program_id", "month", "currency", "payee_id"),
    )


class ClosedMonth(Owned, Model):
    """A month of the merchant's whose volumes stand; the first to store it counts them."""

    __tablename__ = "closed_months"

    month: Mapped[date]

    __table_args__ = (of_merchant(), sa.UniqueConstraint("merchant_id", "month"))


class Volume(Owned, Model):
    """What a promoter sold in a closed month in one currency, and with all below. What comes later
    (a refund, a late order) changes nothing of it.
    """

    __tablename__ = "promoter_volumes"

    month: Mapped[date]
    promoter_id: Mapped[int] = mapped_column(sa.ForeignKey("promoters.id"))
    currency: Mapped[Currency]
    orders: Mapped[int]
    sales: Mapped[Minor]
    team_orders: Mapped[int]
    team_sales: Mapped[Minor]

    __table_args__ = (
        of_merchant(),
        sa.UniqueConstraint("merchant_id", "month", "promoter_id", "currency"),
    )


class TouchedDay(Owned, Model):
    """Orders of this day (in the merchant's zone) were booked: what is counted of it is to be
    counted anew. Only added and taken out, so that booking waits for nobody.
    """

    __tablename__ = "touched_days"

    day: Mapped[date]


class Simulation(Owned, Model):
    """A past period under a draft: worked off chunk by chunk, with what it found so far."""

    __tablename__ = "simulations"

    program_id: Mapped[int]
    draft: Mapped[Json]  # as it was sent
    since: Mapped[datetime]
    until: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="running")
    cursor: Mapped[int] = mapped_column(default=0)  # the last order that was looked at
    orders_done: Mapped[int] = mapped_column(default=0)
    orders_total: Mapped[int]
    # {"paid": {currency: n}, "would": {…}, "by": {"promoter": {"<key>/<currency>": n}, …}}
    result: Mapped[Json] = mapped_column(default=dict)
    tries: Mapped[int] = mapped_column(default=0)  # that failed since something was done
    error: Mapped[str | None]  # why the last of them failed
    created_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    worked_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("program_id", "programs"),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
        sa.Index("simulations_running_idx", "worked_at",
                 postgresql_where=sa.text("state = 'running'")),
    )  # fmt: skip


def _sum_of(*chosen: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(Entry.amount).filter(*chosen), 0).cast(sa.BigInteger)


def _of_commission(what: sa.ColumnElement[Any]) -> Any:
    """Something summed over a commission's entries, read only where it is asked for."""
    of_this = sa.and_(
        Entry.merchant_id == Commission.merchant_id, Entry.commission_id == Commission.id
    )
    summed = sa.select(what).where(of_this).correlate(Commission.__table__).scalar_subquery()
    return column_property(summed, deferred=True, group="sums")


_sent = sa.func.coalesce(sa.func.bool_or(Entry.state.in_([State.RESERVED, State.PAID])), False)

_whole = Entry.split_of.is_(None)

Commission.amount = _of_commission(_sum_of(Entry.amount > 0, _whole))
Commission.reversed = _of_commission(-_sum_of(Entry.amount < 0, _whole))
# That of its least advanced open entries; `void` when nothing is left and nothing was sent.
Commission.state = _of_commission(
    sa.case(
        (sa.and_(_sum_of(sa.true()) == 0, sa.not_(_sent)), "void"),
        *((_sum_of(Entry.state == state) != 0, str(state)) for state in State),
        else_=str(State.PAID),
    )
)


class SoldTogether(Model):
    """So many promoters sold both products lately; counted anew each day, fewer than a few not."""

    __tablename__ = "sold_together"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(primary_key=True)
    other_id: Mapped[int] = mapped_column(primary_key=True)
    promoters: Mapped[int]

    __table_args__ = (
        of_merchant(),
        same_merchant("product_id", "products"),
        same_merchant("other_id", "products"),
    )
