"""Settlements: one payer's run through an instant, approved once by a second person."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate import clock
from affiliate.db import Currency, Json, Minor, Model, Owned, Texts, of_merchant, same_merchant


class State(StrEnum):
    BUILDING = "building"
    REVIEW = "review"
    APPROVED = "approved"
    EXECUTING = "executing"
    CLOSED = "closed"
    DISCARDED = "discarded"


class Settlement(Owned, Model):
    __tablename__ = "settlements"

    through: Mapped[datetime]
    currencies: Mapped[Texts] = mapped_column(default=list)  # empty: all
    state: Mapped[str]
    created_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    approved_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    approved_at: Mapped[datetime | None]
    # Whose approval it was, when somebody stood in for them.
    approved_for: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    exception_id: Mapped[int | None]  # what let its maker approve it
    # SHA-256 over what is approved: payouts, accounts, entries, amounts.
    hash: Mapped[str | None]
    payees_done: Mapped[int] = mapped_column(default=0)  # progress of the running job
    payees_total: Mapped[int | None]
    # [currency, payee kind, payee id] of the last payee that was built: a killed job goes on here.
    cursor: Mapped[Texts | None]
    worked_at: Mapped[datetime] = mapped_column(default=clock.now)  # quiet for long: bell lost
    # By currency: payouts, gross, withheld, net.
    totals: Mapped[Json] = mapped_column(default=dict)
    executed_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    executed_at: Mapped[datetime | None]
    discarded_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    ended_at: Mapped[datetime | None]  # closed or discarded
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        # Four eyes: the database refuses what the program should never try.
        sa.CheckConstraint(
            "created_by NOT IN (approved_by, coalesce(approved_for, approved_by))"
            " OR exception_id IS NOT NULL",
            name="four_eyes",
        ),
        same_merchant("exception_id", "approval_exceptions"),
        sa.CheckConstraint(
            "(state IN ('approved', 'executing', 'closed')) = (approved_by IS NOT NULL)",
            name="approved_by_somebody",
        ),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="approved_when"),
        sa.CheckConstraint(
            "(state IN ('closed', 'discarded')) = (ended_at IS NOT NULL)", name="ended"
        ),
        sa.CheckConstraint("state IN ('building', 'discarded') OR hash IS NOT NULL", name="hash"),
        sa.CheckConstraint(
            "state IN ('building', 'review', 'approved', 'executing', 'closed', 'discarded')",
            name="state",
        ),
        sa.Index(
            "settlements_work_idx", "worked_at",
            postgresql_where=sa.text("state IN ('building', 'executing')"),
        ),
    )  # fmt: skip


class PayoutFile(Owned, Model):
    """A file for the bank, made once when a settlement is executed."""

    __tablename__ = "payout_files"

    settlement_id: Mapped[int]
    rail: Mapped[str]
    currency: Mapped[Currency]
    name: Mapped[str]
    content: Mapped[bytes] = mapped_column(deferred=True)  # sealed; large, read alone
    sha256: Mapped[str]  # of the content in clear
    payouts: Mapped[int]
    total: Mapped[Minor]

    __table_args__ = (
        of_merchant(),
        same_merchant("settlement_id", "settlements"),
        sa.UniqueConstraint("merchant_id", "settlement_id", "rail", "currency"),
    )


class CarryOver(Owned, Model):
    """Why a payee's money was not paid in this settlement."""

    __tablename__ = "carry_overs"

    settlement_id: Mapped[int]
    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    currency: Mapped[Currency]
    amount: Mapped[Minor]
    reason: Mapped[str]

    __table_args__ = (
        of_merchant(),
        same_merchant("settlement_id", "settlements"),
        sa.UniqueConstraint(
            "merchant_id", "settlement_id", "payee_kind", "payee_id", "currency", "reason"
        ),
    )


class Offset(Model):
    """An entry that others of its payee cancel out: together they are exactly 0, so a settlement
    takes them from the pool and nothing is sent. What a payout line is to a payout.
    """

    __tablename__ = "offsets"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    settlement_id: Mapped[int] = mapped_column(primary_key=True)
    entry_id: Mapped[int] = mapped_column(primary_key=True)
    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    currency: Mapped[Currency]
    amount: Mapped[Minor]
    live: Mapped[bool] = mapped_column(default=True)  # false once the settlement is discarded

    __table_args__ = (
        of_merchant(),
        same_merchant("settlement_id", "settlements"),
        same_merchant("entry_id", "entries"),
        sa.Index(
            "offsets_one_live_idx", "merchant_id", "entry_id",
            unique=True, postgresql_where=sa.text("live"),
        ),
    )  # fmt: skip


class Flag(Owned, Model):
    """What to look at twice before a payout is approved."""

    __tablename__ = "settlement_flags"

    settlement_id: Mapped[int]
    payout_id: Mapped[int]
    code: Mapped[str]  # far_above_usual, new_account, shared_account, other_name
    detail: Mapped[Json]

    __table_args__ = (
        same_merchant("settlement_id", "settlements"),
        same_merchant("payout_id", "payouts"),
        sa.UniqueConstraint("merchant_id", "settlement_id", "payout_id", "code"),
    )


class ApprovalException(Owned, Model):
    """A payer with one person only: who made a settlement may approve it, up to these amounts.

    Recorded by an operator, with the reason; named on every settlement that made use of it.
    """

    __tablename__ = "approval_exceptions"

    reason: Mapped[str]
    limits: Mapped[Json]  # {currency: minor units}; other currencies need a second person
    created_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    until: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # before `until`, by an operator
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.Index(
            "approval_exceptions_open_idx", "merchant_id",
            unique=True, postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )  # fmt: skip


class PayIn(Owned, Model):
    """Money a merchant sent to cover what it owes."""

    __tablename__ = "pay_ins"

    amount: Mapped[Minor]
    currency: Mapped[Currency]
    reference: Mapped[str]
    created_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    returned_at: Mapped[datetime | None]
    returned_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    return_reason: Mapped[str | None]
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.CheckConstraint("amount > 0", name="amount"),
        sa.UniqueConstraint("merchant_id", "reference"),
    )
