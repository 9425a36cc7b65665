"""Double entry in two tables: accounts, and transfers between two of them.

A transfer takes one positive amount from one account to another of the same payer and currency,
so it balances by its very shape. Rows are only ever added: a mistake is put right by a second
transfer the other way round. Accounts keep two ever-growing totals; the balance is their
difference. Triggers (migrations/versions/0002_ledger.py) add each transfer to the totals of its
accounts, and refuse edits and overdrafts, whoever asks.
"""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Currency, Json, Minor, Model, Owned, Stamped, of_merchant


class Kind(StrEnum):
    """What an account counts. In every transfer `source` is debited and `target` credited."""

    RECEIVABLE = "receivable"  # debit side: what the merchant owes; owner: the merchant
    PENDING = "pending"  # credit side: earned, in the hold; owner: payee
    AVAILABLE = "available"  # credit side: released; owner: payee; below zero only by a reversal
    RESERVED = "reserved"  # credit side: in a payout or withdrawal; owner: payee
    FEES = "fees"  # credit side: the platform's fees; below zero by a reversal
    TAX = "tax"  # credit side: withheld and not yet remitted
    CLEARING = "clearing"  # credit side: paid through a rail and not yet covered by a pay-in
    RAIL_COSTS = "rail_costs"  # debit side
    BAD_DEBT = "bad_debt"  # debit side: written off by two people


class OwnerKind(StrEnum):
    MERCHANT = "merchant"
    PROMOTER = "promoter"
    AGENCY = "agency"
    PLATFORM = "platform"
    AUTHORITY = "authority"
    RAIL = "rail"


class Code(StrEnum):
    """Why money moves. From which kind of account to which: `SHAPES` in rules.py."""

    ACCRUE = "accrue"
    REVERSE = "reverse"
    RELEASE = "release"
    UNRELEASE = "unrelease"  # the release of a negative entry
    REVERSE_AVAILABLE = "reverse_available"
    PLATFORM_FEE = "platform_fee"
    REVERSE_FEE = "reverse_fee"
    RESERVE = "reserve"
    UNRESERVE = "unreserve"
    PAY = "pay"
    WITHHOLD = "withhold"
    RAIL_COST = "rail_cost"
    RETURN = "return"
    RETURN_TAX = "return_tax"
    PAY_IN = "pay_in"
    RETURN_PAY_IN = "return_pay_in"
    REMIT = "remit"
    WRITE_OFF = "write_off"
    RECOVER = "recover"


class Account(Owned, Model):
    __tablename__ = "ledger_accounts"

    owner_kind: Mapped[str]
    owner_id: Mapped[int] = mapped_column(default=0)  # 0: there is only one, e.g. the platform
    kind: Mapped[str]
    currency: Mapped[Currency]
    debits: Mapped[Minor] = mapped_column(default=0)
    credits: Mapped[Minor] = mapped_column(default=0)
    # Of an `available` account: the sum of reversals, which alone may take it below zero.
    clawed: Mapped[Minor] = mapped_column(default=0)

    __table_args__ = (
        of_merchant(),
        sa.UniqueConstraint("merchant_id", "owner_kind", "owner_id", "kind", "currency"),
        sa.CheckConstraint("debits >= 0 AND credits >= 0 AND clawed >= 0", name="totals_grow"),
        sa.CheckConstraint(
            "kind NOT IN ('pending', 'reserved', 'tax') OR credits >= debits",
            name="never_overdrawn",
        ),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('pending', 'available', 'reserved')"
            " THEN owner_kind IN ('promoter', 'agency') AND owner_id > 0"
            " WHEN kind IN ('receivable', 'bad_debt')"
            " THEN owner_kind = 'merchant' AND owner_id = merchant_id"
            " WHEN kind = 'fees' THEN owner_kind = 'platform' AND owner_id = 0"
            " WHEN kind = 'tax' THEN owner_kind = 'authority'"
            " WHEN kind IN ('clearing', 'rail_costs') THEN owner_kind = 'rail'"
            " ELSE false END",
            name="owner_fits_kind",
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        sa.Index("ledger_accounts_owner_idx", "owner_id", "owner_kind", "merchant_id", "id"),
    )


class Transfer(Owned, Model):
    __tablename__ = "ledger_transfers"

    code: Mapped[str]
    cause: Mapped[str]  # the row it is for: entry:<id>, payout:<id>, pay_in:<id>
    source_id: Mapped[int]
    target_id: Mapped[int]
    amount: Mapped[Minor]
    currency: Mapped[Currency]
    # The writing transaction: seals take only what every running transaction is older than.
    xact: Mapped[int] = mapped_column(
        sa.BigInteger, server_default=sa.text("pg_current_xact_id()::text::bigint")
    )

    # No foreign keys, which cost at every insert: `ledger_book` finds both accounts of a transfer,
    # of its merchant and in its currency, or refuses it; and accounts stay.
    __table_args__ = (
        sa.UniqueConstraint("merchant_id", "code", "cause"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("source_id <> target_id", name="two_accounts"),
        sa.CheckConstraint("strpos(cause, ':') > 1", name="cause_names_a_row"),
        sa.Index("ledger_transfers_xact_idx", "xact"),
        sa.Index("ledger_transfers_source_idx", "merchant_id", "source_id", "id"),
        sa.Index("ledger_transfers_target_idx", "merchant_id", "target_id", "id"),
    )


class Seal(Stamped, Model):
    """A hash over the last seal and all transfers of transactions in [from_xact, to_xact)."""

    __tablename__ = "ledger_seals"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    from_xact: Mapped[int] = mapped_column(unique=True)
    to_xact: Mapped[int] = mapped_column(unique=True)
    # Added to this server's transaction numbers since: not 0 once the books were restored on a
    # server that had counted less far.
    shift: Mapped[int]
    transfers: Mapped[int]
    hash: Mapped[bytes]

    __table_args__ = (sa.CheckConstraint("to_xact > from_xact", name="forward"),)


class BookClose(Owned, Model):
    """A month whose books take no more transfers, and how they stood at its end: by kind of account
    and currency. The database counts that itself, and hashes it with the close before.
    """

    __tablename__ = "book_closes"

    month: Mapped[date]  # its first day
    timezone: Mapped[str]  # the merchant's, when it was closed
    until: Mapped[datetime]  # the end of the month there
    closed_by: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    balances: Mapped[Json] = mapped_column(server_default=sa.FetchedValue())
    hash: Mapped[bytes] = mapped_column(server_default=sa.FetchedValue())

    __table_args__ = (
        of_merchant(),
        sa.UniqueConstraint("merchant_id", "month"),
        sa.UniqueConstraint("merchant_id", "until"),
    )
