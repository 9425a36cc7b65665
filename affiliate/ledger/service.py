"""The only code that writes to the ledger: `post` moves money, `seal` makes tampering show."""

from collections.abc import Iterable, Sequence, Set
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from affiliate import clock
from affiliate.db import db, numbers
from affiliate.errors import Conflict
from affiliate.ledger import closes, seals
from affiliate.ledger.models import Code
from affiliate.ledger.rules import (
    AccountKey,
    Posting,
    available,
    bad_debt,
    clearing,
    fees,
    pending,
    rail_costs,
    receivable,
    reserved,
    tax,
)
from affiliate.ledger.seals import seal

__all__ = [
    "AccountKey", "CauseReused", "Code", "Overdrawn", "Posting", "available", "bad_debt",
    "clearing", "fees", "pending", "post", "rail_costs", "receivable", "reserved", "seal", "tax",
]  # fmt: skip


class Overdrawn(Conflict):
    """There is not that much in the account."""

    code = "overdrawn"


class CauseReused(Conflict):
    """This (code, cause) is booked already, with another amount or other accounts."""

    code = "cause_reused"


def post(postings: Sequence[Posting]) -> int:
    """Make all these transfers, or none. Safe to ask again: what is booked is not moved twice.

    Returns how many were new. Call it once and last in a unit of work: the accounts it touches,
    taken in the order of their ids, stay locked until the commit.
    """
    if not postings:
        return 0
    try:
        return _book(postings)
    except IntegrityError as error:
        refusal = _refusal(error)
        if refusal not in (seals.BEHIND, closes.CLOSED):
            raise
    if refusal == seals.BEHIND:
        seal()  # first transfer after a restore on another server
    return _book(postings)  # where a month was closed meanwhile, in the one after


def _book(postings: Sequence[Posting]) -> int:
    # A savepoint, so that a caller who catches the refusal keeps none of it.
    with db.session.begin_nested():
        rows = _rows(
            postings, _account_ids({key for p in postings for key in (p.source, p.target)})
        )
        try:
            added = _rowcount(db.session.execute(BOOK, rows | {"now": clock.now()}))
        except IntegrityError as error:
            if _refusal(error) == "ledger_accounts_never_overdrawn_check":
                raise Overdrawn(_primary(error)) from error
            raise
        if added < len(postings):
            _refuse_other_money(rows)
    return added


def _account_ids(keys: Set[AccountKey]) -> dict[AccountKey, int]:
    """The ids of these accounts, opened on first use. Two openers at once get the same one."""
    found = _find(keys)
    while missing := keys - found.keys():
        # Sorted, so that two openers never wait for each other.
        db.session.execute(OPEN, _key_columns(sorted(missing)) | {"now": clock.now()})
        found |= _find(missing)
    return found


def _find(keys: Set[AccountKey]) -> dict[AccountKey, int]:
    rows = db.session.execute(FIND, _key_columns(keys))
    return {AccountKey(*key): account_id for account_id, *key in rows}


def _key_columns(keys: Iterable[AccountKey]) -> dict[str, Any]:
    rows = [(k.merchant_id, k.owner_kind, k.owner_id, k.kind, k.currency) for k in keys]
    merchant_ids, owner_kinds, owner_ids, kinds, currencies = zip(*rows, strict=True)
    return {
        "merchant_ids": numbers(merchant_ids),
        "owner_kinds": list(owner_kinds),
        "owner_ids": numbers(owner_ids),
        "kinds": list(kinds),
        "currencies": list(currencies),
    }


def _rows(postings: Sequence[Posting], ids: dict[AccountKey, int]) -> dict[str, Any]:
    return {
        "merchant_ids": numbers(each.source.merchant_id for each in postings),
        "codes": [each.code for each in postings],
        "causes": [each.cause for each in postings],
        "source_ids": numbers(ids[each.source] for each in postings),
        "target_ids": numbers(ids[each.target] for each in postings),
        "amounts": numbers(each.amount for each in postings),
        "currencies": [each.source.currency for each in postings],
    }


def _refuse_other_money(rows: dict[str, Any]) -> None:
    other = db.session.execute(OTHER_MONEY, rows).first()
    if other:
        raise CauseReused("{} for {} is booked already, with other money.".format(*other))


def _rowcount(result: sa.Result[Any]) -> int:
    assert isinstance(result, sa.CursorResult)
    return result.rowcount


def _refusal(error: IntegrityError) -> str | None:
    """The name of the constraint, or of the trigger's rule, that refused."""
    name: str | None = error.orig.diag.constraint_name  # type: ignore[union-attr]
    return name


def _primary(error: IntegrityError) -> str:
    return str(error.orig.diag.message_primary)  # type: ignore[union-attr]


# Arrays and not VALUES: one statement text and one plan for any number of rows.
FIND = sa.text("""
    SELECT id, merchant_id, owner_kind, owner_id, kind, currency
      FROM unnest(
        CAST(:merchant_ids AS bigint[]), CAST(:owner_kinds AS text[]),
        CAST(:owner_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:currencies AS char(3)[])
      ) AS wanted (merchant_id, owner_kind, owner_id, kind, currency)
      JOIN ledger_accounts USING (merchant_id, owner_kind, owner_id, kind, currency)
""")

OPEN = sa.text("""
    INSERT INTO ledger_accounts (merchant_id, owner_kind, owner_id, kind, currency,
                                 debits, credits, clawed, created_at)
    SELECT wanted.*, 0, 0, 0, CAST(:now AS timestamptz)
      FROM unnest(
        CAST(:merchant_ids AS bigint[]), CAST(:owner_kinds AS text[]),
        CAST(:owner_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:currencies AS char(3)[])
      ) AS wanted
        ON CONFLICT DO NOTHING
""")

# What comes late, and what a clock that went back calls earlier, is booked in the open month.
BOOK = sa.text("""
    INSERT INTO ledger_transfers (merchant_id, code, cause, source_id, target_id, amount, currency,
                                  xact, created_at)
    SELECT rows.*,
           pg_current_xact_id()::text::bigint
             + coalesce((SELECT shift FROM ledger_seals ORDER BY to_xact DESC LIMIT 1), 0),
           greatest(CAST(:now AS timestamptz), closed.until)
      FROM unnest(
        CAST(:merchant_ids AS bigint[]), CAST(:codes AS text[]), CAST(:causes AS text[]),
        CAST(:source_ids AS bigint[]), CAST(:target_ids AS bigint[]), CAST(:amounts AS bigint[]),
        CAST(:currencies AS char(3)[])
      ) AS rows (merchant_id, code, cause, source_id, target_id, amount, currency)
      LEFT JOIN (SELECT merchant_id, max(until) AS until FROM book_closes
                  WHERE merchant_id = ANY(CAST(:merchant_ids AS bigint[])) GROUP BY merchant_id
                ) AS closed USING (merchant_id)
     ORDER BY merchant_id, code, cause -- so that two askers of the same never deadlock
        ON CONFLICT (merchant_id, code, cause) DO NOTHING
""")

OTHER_MONEY = sa.text("""
    SELECT code, cause
      FROM unnest(
        CAST(:merchant_ids AS bigint[]), CAST(:codes AS text[]), CAST(:causes AS text[]),
        CAST(:source_ids AS bigint[]), CAST(:target_ids AS bigint[]), CAST(:amounts AS bigint[])
      ) AS asked (merchant_id, code, cause, source_id, target_id, amount)
      JOIN ledger_transfers booked USING (merchant_id, code, cause)
     WHERE (asked.source_id, asked.target_id, asked.amount)
           <> (booked.source_id, booked.target_id, booked.amount)
     LIMIT 1
""")
