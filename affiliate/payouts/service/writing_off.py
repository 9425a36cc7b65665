"""Debts that are not expected back: written off by two people, recovered if the payee earns again.

A payee who was paid and then lost the commission by a refund owes it; the account is below zero.
Writing off brings it up to 0 at the cost of bad debt. The negative entries stay: the settlement or
withdrawal that sets them against new earnings moves the same money back.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import LiteralString

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from affiliate import audit, clock
from affiliate.db import db
from affiliate.errors import Conflict, Forbidden, NotFound, invalid
from affiliate.i18n import _
from affiliate.ledger import queries as books
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting
from affiliate.payouts.models import WriteOff
from affiliate.people.service import person


class NothingOwed(Conflict):
    code = "nothing_owed"


class AlreadyDecided(Conflict):
    code = "already_decided"


class OwnRequest(Forbidden):
    code = "self_approval"


def request_write_off(
    merchant_id: int,
    payee: tuple[str, int],
    currency: str,
    *,
    amount: int,
    reason: str,
    by: int,
    note: str | None = None,
) -> WriteOff:
    """Ask for it; nothing is booked until somebody else approves."""
    person(by)
    owed = -books.balance(ledger.available(merchant_id, *payee, currency))
    if owed <= 0:
        raise NothingOwed(_("This payee owes this merchant nothing in this currency."))
    if amount > owed:
        raise invalid("/amount", "more_than_owed", _("That is more than what is owed."))
    asked = WriteOff(
        merchant_id=merchant_id,
        payee_kind=payee[0],
        payee_id=payee[1],
        currency=currency,
        amount=amount,
        reason=reason,
        created_by=by,
        note=note,
    )
    try:
        with db.session.begin_nested():
            db.session.add(asked)
            db.session.flush()
    except IntegrityError as error:
        message = _("Somebody has already asked to write off what this payee owes.")
        raise AlreadyDecided(message) from error
    _record(asked, by)
    return asked


def approve_write_off(merchant_id: int, write_off_id: int, *, by: int) -> WriteOff:
    """A second person agrees: the debt is bad debt from now on."""
    asked = _undecided(merchant_id, write_off_id)
    if asked.created_by == person(by).id:
        raise OwnRequest(_("Who asked for it cannot approve it; another person has to."))
    available = _available(asked)
    # Held until the commit: no refund or release changes what is owed meanwhile.
    db.session.execute(LOCK_ACCOUNT, {"merchant": merchant_id, **_key(asked)})
    if -books.balance(available) < asked.amount:
        raise NothingOwed(_("Less is owed by now. Refuse this and ask again."))
    _decide(asked, "approved", by)
    ledger.post(
        [
            Posting(
                Code.WRITE_OFF,
                f"write_off:{asked.id}",
                ledger.bad_debt(merchant_id, asked.currency),
                available,
                asked.amount,
            )
        ]
    )
    return asked


def refuse_write_off(merchant_id: int, write_off_id: int, *, by: int) -> WriteOff:
    """By anybody who may handle money, also by who asked for it."""
    asked = _undecided(merchant_id, write_off_id)
    _decide(asked, "refused", person(by).id)
    return asked


def standing(
    merchant_id: int, payees: LiteralString, given: Mapping[str, object] = MappingProxyType({})
) -> Sequence[WriteOff]:
    """What was written off of these payees and not recovered yet, locked. `payees` is a query of
    (payee_kind, payee_id, currency).
    """
    statement = sa.text(STANDING.format(payees)).bindparams(merchant=merchant_id, **given)
    return db.session.scalars(sa.select(WriteOff).from_statement(statement)).all()


def recovered(written_off: Sequence[WriteOff]) -> list[Posting]:
    """It is set against what the payee gets now: the caller takes all their negative entries in
    this transaction, and posts this.
    """
    for each in written_off:
        each.recovered_at = clock.now()
        each.version += 1
    db.session.flush()
    return [
        Posting(
            Code.RECOVER,
            f"write_off:{each.id}",
            _available(each),
            ledger.bad_debt(each.merchant_id, each.currency),
            each.amount,
        )
        for each in written_off
    ]


def write_off(merchant_id: int, write_off_id: int, *, lock: bool = False) -> WriteOff:
    how = {"key_share": True} if lock else None
    found = db.session.get(
        WriteOff, (merchant_id, write_off_id), with_for_update=how, populate_existing=lock
    )
    if found is None:
        raise NotFound(_("There is no such write-off."))
    return found


def change_write_off_note(asked: WriteOff, note: str | None) -> WriteOff:
    """The only thing about it that can be edited."""
    asked.note = note
    asked.version += 1
    db.session.flush()
    return asked


def _undecided(merchant_id: int, write_off_id: int) -> WriteOff:
    asked = write_off(merchant_id, write_off_id, lock=True)
    if asked.state != "requested":
        raise AlreadyDecided(_("This was decided already."))
    return asked


def _decide(asked: WriteOff, state: str, by: int) -> None:
    asked.state, asked.decided_by, asked.decided_at = state, by, clock.now()
    asked.version += 1
    db.session.flush()
    _record(asked, by)


def _record(asked: WriteOff, by: int) -> None:
    audit.record(
        f"write_off.{asked.state}", subject=f"wof:{asked.id}", by=by,
        merchant_id=asked.merchant_id, amount=asked.amount, currency=asked.currency,
        reason=asked.reason,
    )  # fmt: skip


def _available(asked: WriteOff) -> ledger.AccountKey:
    return ledger.available(asked.merchant_id, asked.payee_kind, asked.payee_id, asked.currency)


def _key(asked: WriteOff) -> dict[str, object]:
    return {"kind": asked.payee_kind, "payee": asked.payee_id, "currency": asked.currency}


LOCK_ACCOUNT = sa.text("""
    SELECT id FROM ledger_accounts
     WHERE merchant_id = :merchant AND owner_kind = :kind AND owner_id = :payee
       AND kind = 'available' AND currency = :currency
       FOR NO KEY UPDATE
""")

STANDING = """
    SELECT write_offs.* FROM write_offs
      JOIN ({}) AS payees (payee_kind, payee_id, currency)
           USING (payee_kind, payee_id, currency)
     WHERE merchant_id = :merchant AND state = 'approved' AND recovered_at IS NULL
     ORDER BY id FOR NO KEY UPDATE OF write_offs
"""
