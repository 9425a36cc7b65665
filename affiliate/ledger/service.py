"""The only code that writes to the ledger: `post` moves money, `seal` makes tampering show."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, LiteralString

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from affiliate import clock
from affiliate.db import db, numbers
from affiliate.errors import Conflict
from affiliate.ledger import closes, seals
from affiliate.ledger.models import Code, Kind
from affiliate.ledger.rules import (
    SHAPES,
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
    "clearing", "fees", "open_accounts", "pending", "post", "post_from", "rail_costs",
    "receivable", "reserved", "seal", "tax",
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
    return _again(lambda: _book(postings))


def _again(book: Callable[[], int]) -> int:
    """Once more where the database says that something came between."""
    try:
        return book()
    except IntegrityError as error:
        refusal = _refusal(error)
        if refusal not in (seals.BEHIND, closes.CLOSED):
            raise
    if refusal == seals.BEHIND:
        seal()  # first transfer after a restore on another server
    return book()  # where a month was closed meanwhile, in the one after


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


def open_accounts(payees: LiteralString, kind: Kind, given: Mapping[str, Any]) -> None:
    """For each payee of a query (merchant_id, owner_kind, owner_id, currency) an account of this
    kind, where there is none yet: before `post_from`, which opens none.
    """
    statement = sa.text(_OPEN_FROM.format(payees))
    db.session.execute(statement, {**given, "kind": kind, "now": clock.now()})


def post_from(rows: LiteralString, given: Mapping[str, Any]) -> int:
    """The same for as many transfers as a statement finds, without carrying them here and back.

    `rows` is the body of a WITH: one or several queries, which may change rows themselves, the
    last of them named `rows` with the columns (merchant_id, code, cause, payee_kind, payee_id,
    currency, amount). The codes are such as stay with one payee (release, reserve and back). None
    of the transfers may be booked already; all accounts are open. Returns how many there were.
    """
    statement = sa.text(_BOOK_FROM.format(rows))
    return _again(lambda: _book_from(statement, given))


def _book_from(statement: sa.TextClause, given: Mapping[str, Any]) -> int:
    with db.session.begin_nested():
        try:
            wanted, booked = db.session.execute(statement, {**given, "now": clock.now()}).one()
        except IntegrityError as error:
            if _refusal(error) == "ledger_accounts_never_overdrawn_check":
                raise Overdrawn(_primary(error)) from error
            raise
        assert wanted == booked, "an account is not open"
    return int(booked)


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

_OPEN_FROM = """
    INSERT INTO ledger_accounts (merchant_id, owner_kind, owner_id, kind, currency,
                                 debits, credits, clawed, created_at)
    SELECT payees.merchant_id, payees.owner_kind, payees.owner_id, :kind, payees.currency,
           0, 0, 0, CAST(:now AS timestamptz)
      FROM ({}) AS payees (merchant_id, owner_kind, owner_id, currency)
     WHERE NOT EXISTS (
       SELECT FROM ledger_accounts a
        WHERE (a.merchant_id, a.owner_kind, a.owner_id, a.kind, a.currency)
              = (payees.merchant_id, payees.owner_kind, payees.owner_id, :kind, payees.currency))
     ORDER BY merchant_id, owner_kind, owner_id, currency
        ON CONFLICT DO NOTHING
"""

_OWN = {Code.RELEASE, Code.UNRELEASE, Code.RESERVE, Code.UNRESERVE}
_WAYS = ", ".join(f"('{code}', '{SHAPES[code][0]}', '{SHAPES[code][1]}')" for code in sorted(_OWN))
_BOOK_FROM = f"""
    WITH {{}}, ways (code, source_kind, target_kind) AS (VALUES {_WAYS}), booked AS (
      INSERT INTO ledger_transfers (merchant_id, code, cause, source_id, target_id, amount,
                                    currency, xact, created_at)
      SELECT rows.merchant_id, rows.code, rows.cause, source.id, target.id, rows.amount,
             rows.currency,
             pg_current_xact_id()::text::bigint
               + coalesce((SELECT shift FROM ledger_seals ORDER BY to_xact DESC LIMIT 1), 0),
             greatest(CAST(:now AS timestamptz),
                      (SELECT max(until) FROM book_closes b
                        WHERE b.merchant_id = rows.merchant_id))
        FROM rows
        JOIN ways USING (code)
        JOIN ledger_accounts source
          ON (source.merchant_id, source.owner_kind, source.owner_id, source.kind, source.currency)
           = (rows.merchant_id, rows.payee_kind, rows.payee_id, source_kind, rows.currency)
        JOIN ledger_accounts target
          ON (target.merchant_id, target.owner_kind, target.owner_id, target.kind, target.currency)
           = (rows.merchant_id, rows.payee_kind, rows.payee_id, target_kind, rows.currency)
      RETURNING 1
    )
    SELECT (SELECT count(*) FROM rows), (SELECT count(*) FROM booked)
"""  # noqa: S608

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
