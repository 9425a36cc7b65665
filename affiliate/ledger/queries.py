"""Reads: balances, accounts and their transfers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from affiliate.db import db
from affiliate.ledger import rules
from affiliate.ledger.models import Account
from affiliate.ledger.rules import AccountKey


class Balance(NamedTuple):
    merchant_id: int
    currency: str
    kind: str
    amount: int


@dataclass(frozen=True, slots=True)
class Movement:
    """A transfer as one of its two accounts sees it: `amount` is signed like its balance."""

    id: int
    at: datetime
    code: str
    cause: str
    amount: int
    other: AccountKey


def has_account(merchant_id: int, owner_kind: str, owner_id: int) -> bool:
    """Whether anything was ever booked for this owner with this merchant."""
    found = sa.select(Account.id).filter_by(
        merchant_id=merchant_id, owner_kind=owner_kind, owner_id=owner_id
    )
    return db.session.scalar(found.limit(1)) is not None


def find(key: AccountKey) -> Account | None:
    """None for an account that nothing was ever booked on."""
    return db.session.scalar(
        sa.select(Account).filter_by(**asdict(key)).execution_options(populate_existing=True)
    )


def balance(key: AccountKey) -> int:
    """0 for an account that nothing was ever booked on."""
    totals = db.session.execute(
        sa.select(Account.debits, Account.credits).where(
            Account.merchant_id == key.merchant_id,
            Account.owner_kind == key.owner_kind,
            Account.owner_id == key.owner_id,
            Account.kind == key.kind,
            Account.currency == key.currency,
        )
    ).one_or_none()
    return rules.balance(key.kind, *totals) if totals else 0


def balances_of(payee_kind: str, payee_id: int) -> list[Balance]:
    """All accounts of a payee, with every merchant, ordered for showing."""
    rows = db.session.execute(
        sa.select(
            Account.merchant_id, Account.currency, Account.kind, Account.debits, Account.credits
        )
        .where(Account.owner_kind == payee_kind, Account.owner_id == payee_id)
        .order_by(Account.merchant_id, Account.currency, Account.kind)
    )
    return [
        Balance(merchant_id, currency, kind, rules.balance(kind, debits, credits_))
        for merchant_id, currency, kind, debits, credits_ in rows
    ]


def accounts(merchant_id: int, *, after: int = 0, limit: int = 50) -> Sequence[Account]:
    """A page of a payer's accounts in the order they were opened; `after` is the last id seen."""
    return db.session.scalars(
        sa.select(Account)
        .where(Account.merchant_id == merchant_id, Account.id > after)
        .order_by(Account.id)
        .limit(limit)
        .execution_options(populate_existing=True)  # totals change without the session knowing
    ).all()


def movements(
    merchant_id: int, account_id: int, *, before: int | None = None, limit: int = 50
) -> list[Movement]:
    """A page of what moved on an account, newest first; `before` is the last id seen."""
    rows = db.session.execute(
        MOVEMENTS,
        {"merchant": merchant_id, "account": account_id, "before": before, "limit": limit},
    )
    return [
        Movement(
            row.id,
            row.created_at,
            row.code,
            row.cause,
            rules.balance(row.kind, row.debit, row.credit),
            AccountKey(
                merchant_id, row.other_owner, row.other_owner_id, row.other_kind, row.currency
            ),
        )
        for row in rows
    ]


# A side each, so that each walks down its own index no further than one page.
MOVEMENTS = sa.text("""
    SELECT moved.*, own.kind, other.owner_kind AS other_owner, other.owner_id AS other_owner_id,
           other.kind AS other_kind
      FROM (
        (SELECT id, created_at, code, cause, currency, amount AS debit, 0 AS credit,
                target_id AS other_id
           FROM ledger_transfers
          WHERE merchant_id = :merchant AND source_id = :account
            AND (CAST(:before AS bigint) IS NULL OR id < :before)
          ORDER BY id DESC LIMIT :limit)
        UNION ALL
        (SELECT id, created_at, code, cause, currency, 0, amount, source_id
           FROM ledger_transfers
          WHERE merchant_id = :merchant AND target_id = :account
            AND (CAST(:before AS bigint) IS NULL OR id < :before)
          ORDER BY id DESC LIMIT :limit)
      ) moved
      JOIN ledger_accounts own ON own.merchant_id = :merchant AND own.id = :account
      JOIN ledger_accounts other ON other.merchant_id = :merchant AND other.id = moved.other_id
     ORDER BY moved.id DESC LIMIT :limit
""")
