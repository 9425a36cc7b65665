"""Where money goes: payout accounts, payouts, and the entries each payout owns."""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import (
    Currency,
    Json,
    Key,
    Minor,
    Model,
    Owned,
    Stamped,
    of_merchant,
    same_merchant,
)


class State(StrEnum):
    DRAFT = "draft"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    ACTION_REQUIRED = "action_required"
    PAID = "paid"
    RETURNED = "returned"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class PayoutAccount(Stamped, Model):
    """Where a payee wants one currency: sealed fields, a masked text to show."""

    __tablename__ = "payout_accounts"

    id: Mapped[Key]
    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    rail: Mapped[str]
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    currency: Mapped[Currency]
    fields: Mapped[bytes]  # sealed JSON
    masked: Mapped[str]
    fingerprint: Mapped[bytes]  # keyed hash: finds accounts shared by several payees
    # A first account is used at once, one that replaces another only after a while.
    used_from: Mapped[datetime]
    replaced_at: Mapped[datetime | None]
    name_differs: Mapped[bool]  # its holder is called otherwise than the payee
    label: Mapped[str | None]  # the payee's own name for it
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        sa.Index(
            "payout_accounts_live_idx", "payee_kind", "payee_id", "currency",
            unique=True, postgresql_where=sa.text("replaced_at IS NULL"),
        ),
        sa.Index(
            "payout_accounts_payee_idx", "currency", "payee_kind", "payee_id", "used_from", "id"
        ),
        sa.Index("payout_accounts_fingerprint_idx", "fingerprint"),
    )  # fmt: skip


class Payout(Owned, Model):
    """One transfer to one payee in one currency. Its amount never changes."""

    __tablename__ = "payouts"

    settlement_id: Mapped[int]
    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    currency: Mapped[Currency]
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("payout_accounts.id"))
    rail: Mapped[str]
    gross: Mapped[Minor]  # the sum of its entries
    withheld: Mapped[Minor] = mapped_column(default=0)  # the sum of its withholdings
    # Of `withheld`: what the authority has already, from a payout that was returned after its tax
    # was remitted. It is not in the payee's account, so it is not reserved either.
    credited: Mapped[Minor] = mapped_column(default=0)
    net: Mapped[Minor]
    state: Mapped[str]
    reference: Mapped[str] = mapped_column(unique=True)  # frozen; what the bank sees
    reason: Mapped[str | None]
    provider_reference: Mapped[str | None]
    paid_at: Mapped[datetime | None]
    withdrawal_id: Mapped[int | None]  # what asked for it, and reserved its money
    invoiced: Mapped[bool] = mapped_column(default=False)  # it uses up invoices of its payee
    remittance_id: Mapped[int | None]  # with which its tax went to the authority
    version: Mapped[int] = mapped_column(default=1)

    # The merchant is that of its settlement, and needs no foreign key of its own.
    __table_args__ = (
        same_merchant("settlement_id", "settlements"),
        same_merchant("withdrawal_id", "withdrawals"),
        same_merchant("remittance_id", "remittances"),
        sa.CheckConstraint("credited BETWEEN 0 AND withheld", name="credited"),
        sa.CheckConstraint("gross > 0 AND withheld >= 0 AND net = gross - withheld", name="sum"),
        sa.CheckConstraint("(state IN ('paid', 'returned')) = (paid_at IS NOT NULL)", name="paid"),
        sa.CheckConstraint(
            "state IN ('draft', 'awaiting_approval', 'approved', 'submitting', 'accepted',"
            " 'action_required', 'paid', 'returned', 'failed', 'cancelled', 'unknown')",
            name="state",
        ),
        sa.UniqueConstraint("merchant_id", "settlement_id", "payee_kind", "payee_id", "currency"),
        sa.Index("payouts_payee_idx", "payee_id", "payee_kind", "merchant_id", "id"),
        sa.Index(
            "payouts_waiting_idx", "merchant_id", "currency", "id",
            postgresql_where=sa.text("state IN ('accepted', 'unknown')"),
        ),
        sa.Index(
            "payouts_paid_idx", "merchant_id", "currency", "paid_at",
            postgresql_where=sa.text("paid_at IS NOT NULL"),
        ),
        sa.Index(
            "payouts_provider_idx", "merchant_id", "provider_reference",
            postgresql_where=sa.text("provider_reference IS NOT NULL"),
        ),
        sa.Index(
            "payouts_kept_idx", "merchant_id", "payee_kind", "payee_id", "currency",
            postgresql_where=sa.text("state = 'returned' AND remittance_id IS NOT NULL"),
        ),
        sa.Index(
            "payouts_to_remit_idx", "merchant_id", "currency", "paid_at",
            postgresql_where=sa.text(
                "state = 'paid' AND withheld > credited AND remittance_id IS NULL"
            ),
        ),
    )  # fmt: skip


class PayoutLine(Model):
    """An entry inside a payout. While the payout lives, no other may own the entry."""

    __tablename__ = "payout_lines"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    payout_id: Mapped[int] = mapped_column(primary_key=True)
    entry_id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Minor]
    live: Mapped[bool] = mapped_column(default=True)  # false once failed, cancelled or returned

    # No foreign keys, which cost at every insert: `payout_lines_drafted` finds payout and entry of
    # each line or refuses it; and both stay.
    __table_args__ = (
        sa.Index(
            "payout_lines_one_live_idx", "merchant_id", "entry_id",
            unique=True, postgresql_where=sa.text("live"),
        ),
    )  # fmt: skip


class PayoutEvent(Owned, Model):
    """The timeline of a payout: every state it took after `draft`, when, by whom and why."""

    __tablename__ = "payout_events"

    payout_id: Mapped[int]
    state: Mapped[str]
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    detail: Mapped[Json] = mapped_column(default=dict)

    __table_args__ = (
        same_merchant("payout_id", "payouts"),
        sa.Index("payout_events_payout_idx", "merchant_id", "payout_id", "id"),
    )


class Asked(StrEnum):
    """Where a withdrawal stands. A trigger moves it along with its payout."""

    REQUESTED = "requested"
    IN_SETTLEMENT = "in_settlement"
    PAID = "paid"
    REFUSED = "refused"


class Withdrawal(Owned, Model):
    """A payee asked for this much of what a merchant owes. Its money is reserved at once."""

    __tablename__ = "withdrawals"

    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    currency: Mapped[Currency]
    amount: Mapped[Minor]
    credited: Mapped[Minor] = mapped_column(default=0)  # of it, not reserved: see Payout.credited
    state: Mapped[str] = mapped_column(default=Asked.REQUESTED)
    reason: Mapped[str | None]  # why it was refused
    payout_id: Mapped[int | None]  # the last one that was made of it
    requested_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    note: Mapped[str | None]  # the payee's own
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.CheckConstraint("amount > 0", name="amount"),
        sa.CheckConstraint("credited >= 0 AND credited < amount", name="credited"),
        sa.CheckConstraint(
            "state IN ('requested', 'in_settlement', 'paid', 'refused')", name="state"
        ),
        sa.Index(
            "withdrawals_one_open_idx", "merchant_id", "payee_kind", "payee_id", "currency",
            unique=True, postgresql_where=sa.text("state IN ('requested', 'in_settlement')"),
        ),
        sa.Index("withdrawals_payee_idx", "payee_id", "payee_kind", "merchant_id", "id"),
    )  # fmt: skip


class WithdrawalLine(Model):
    """An entry inside a withdrawal, and inside its payout once there is one."""

    __tablename__ = "withdrawal_lines"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    withdrawal_id: Mapped[int] = mapped_column(primary_key=True)
    entry_id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Minor]
    live: Mapped[bool] = mapped_column(default=True)  # false once it is refused

    __table_args__ = (
        same_merchant("withdrawal_id", "withdrawals"),
        same_merchant("entry_id", "entries"),
        sa.Index(
            "withdrawal_lines_one_live_idx", "merchant_id", "entry_id",
            unique=True, postgresql_where=sa.text("live"),
        ),
    )  # fmt: skip


class WriteOff(Owned, Model):
    """A payee's debt that is not expected back: asked for by one person, approved by another.

    Should the payee earn again, the settlement that pays them recovers it first.
    """

    __tablename__ = "write_offs"

    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    currency: Mapped[Currency]
    amount: Mapped[Minor]
    reason: Mapped[str]
    state: Mapped[str] = mapped_column(default="requested")
    created_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    recovered_at: Mapped[datetime | None]
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.CheckConstraint("amount > 0", name="amount"),
        sa.CheckConstraint("state IN ('requested', 'approved', 'refused')", name="state"),
        sa.CheckConstraint("(state = 'requested') = (decided_by IS NULL)", name="decided"),
        sa.CheckConstraint("state <> 'approved' OR decided_by <> created_by", name="four_eyes"),
        sa.Index(
            "write_offs_asked_idx", "merchant_id", "payee_kind", "payee_id", "currency",
            unique=True, postgresql_where=sa.text("state = 'requested'"),
        ),
        sa.Index(
            "write_offs_standing_idx", "merchant_id", "payee_kind", "payee_id", "currency",
            postgresql_where=sa.text("state = 'approved' AND recovered_at IS NULL"),
        ),
    )  # fmt: skip


class PayoutCall(Model):
    """How a provider is called about a payout: what comes next, when, and what it said last.

    `next` is put to `ask` before anything is sent, so whoever finds it after a kill asks first.
    """

    __tablename__ = "payout_calls"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    payout_id: Mapped[int] = mapped_column(primary_key=True)
    settlement_id: Mapped[int]
    rail: Mapped[str]
    next: Mapped[str] = mapped_column(default="send")  # send, ask
    # None: its provider has nothing more to say. While somebody calls, it lies a little ahead.
    call_at: Mapped[datetime | None]
    first_sent_at: Mapped[datetime | None]
    sends: Mapped[int] = mapped_column(default=0)
    pauses: Mapped[int] = mapped_column(default=0)  # that have passed since something was new
    said: Mapped[str | None]
    detail: Mapped[str | None]  # in the provider's words
    said_at: Mapped[datetime | None]
    until: Mapped[datetime | None]  # when a required action lapses
    action: Mapped[str | None]  # what the payee's app needs for it

    __table_args__ = (
        of_merchant(),
        same_merchant("payout_id", "payouts"),
        sa.CheckConstraint("next IN ('send', 'ask')", name="next"),
        sa.Index(
            "payout_calls_due_idx", "call_at", postgresql_where=sa.text("call_at IS NOT NULL")
        ),
        sa.Index("payout_calls_settlement_idx", "merchant_id", "settlement_id", "call_at"),
    )


class PayoutAttempt(Owned, Model):
    """A sending, written down before it begins. Without an answer it was cut short."""

    __tablename__ = "payout_attempts"

    payout_id: Mapped[int]
    said: Mapped[str | None]
    detail: Mapped[str | None]
    answered_at: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("payout_id", "payouts"),
        sa.CheckConstraint("(said IS NULL) = (answered_at IS NULL)", name="answered"),
        sa.Index("payout_attempts_payout_idx", "merchant_id", "payout_id", "id"),
    )


class PayoutProof(Owned, Model):
    """What became of a payout of which nobody knows: said by one person, confirmed by another."""

    __tablename__ = "payout_proofs"

    payout_id: Mapped[int]
    outcome: Mapped[str]  # paid, failed
    proof: Mapped[str]
    reference: Mapped[str | None]  # the bank's
    paid_at: Mapped[datetime | None]
    stated_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    confirmed_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    confirmed_at: Mapped[datetime | None]
    dropped_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    dropped_at: Mapped[datetime | None]

    __table_args__ = (
        of_merchant(),
        same_merchant("payout_id", "payouts"),
        sa.CheckConstraint("outcome IN ('paid', 'failed')", name="outcome"),
        sa.CheckConstraint("confirmed_by <> stated_by", name="four_eyes"),
        sa.CheckConstraint("(confirmed_by IS NULL) = (confirmed_at IS NULL)", name="confirmed"),
        sa.CheckConstraint("(dropped_by IS NULL) = (dropped_at IS NULL)", name="dropped"),
        sa.CheckConstraint("confirmed_at IS NULL OR dropped_at IS NULL", name="one_end"),
        sa.CheckConstraint("outcome = 'failed' OR reference IS NOT NULL", name="reference"),
        sa.Index(
            "payout_proofs_one_idx", "merchant_id", "payout_id",
            unique=True, postgresql_where=sa.text("dropped_at IS NULL"),
        ),
    )  # fmt: skip


class PayoutWithholding(Model):
    """What is kept back of a payout for one tax, and how it was reckoned. Never changed.

    `income` to `due` are in the table's currency, with the rate between; `amount` is in that of
    the payout. A line of nothing is a line too: its income counts for the period.
    """

    __tablename__ = "payout_withholdings"

    merchant_id: Mapped[int] = mapped_column(primary_key=True)
    payout_id: Mapped[int] = mapped_column(primary_key=True)
    tax: Mapped[str] = mapped_column(primary_key=True)
    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    scheme: Mapped[str]
    table_code: Mapped[str]
    month: Mapped[date] = mapped_column(sa.Date)  # its first day, where the merchant is
    currency: Mapped[Currency]
    income: Mapped[Minor]
    cumulative: Mapped[Minor]  # the income of the period with this one
    base: Mapped[Minor]  # what of it is taxed
    ppm: Mapped[int]
    due: Mapped[Minor]
    amount: Mapped[Minor]
    rate_id: Mapped[int | None] = mapped_column(sa.ForeignKey("fx_rates.id"))
    profile_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tax_profiles.id"))

    __table_args__ = (
        same_merchant("payout_id", "payouts"),
        sa.CheckConstraint("amount >= 0 AND due >= 0 AND income >= 0", name="amount"),
        sa.Index("payout_withholdings_payee_idx", "merchant_id", "payee_kind", "payee_id", "month"),
    )


class Remittance(Owned, Model):
    """Tax of one month that a merchant sent to its authority, told by finance, once."""

    __tablename__ = "remittances"

    currency: Mapped[Currency]
    month: Mapped[date] = mapped_column(sa.Date)  # its first day
    amount: Mapped[Minor]
    reference: Mapped[str]
    created_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.CheckConstraint("amount > 0", name="amount"),
        sa.UniqueConstraint("merchant_id", "currency", "month"),
        sa.UniqueConstraint("merchant_id", "reference"),
    )


class Invoice(Owned, Model):
    """What a payee billed a merchant that pays against invoices only. Finance confirms it."""

    __tablename__ = "payout_invoices"

    payee_kind: Mapped[str]
    payee_id: Mapped[int]
    currency: Mapped[Currency]
    amount: Mapped[Minor]
    number: Mapped[str]
    state: Mapped[str] = mapped_column(default="given")
    given_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    decided_by: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]  # why it was refused
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        of_merchant(),
        sa.CheckConstraint("amount > 0", name="amount"),
        sa.CheckConstraint("state IN ('given', 'confirmed', 'refused')", name="state"),
        sa.CheckConstraint("(state = 'given') = (decided_by IS NULL)", name="decided"),
        sa.Index(
            "payout_invoices_number_idx", "merchant_id", "payee_kind", "payee_id", "number",
            unique=True, postgresql_where=sa.text("state <> 'refused'"),
        ),
        sa.Index("payout_invoices_payee_idx", "payee_id", "payee_kind", "merchant_id", "id"),
    )  # fmt: skip
