"""Withdrawals: a payee asks for what a merchant owes, and the money is set aside at once.

Its entries and its reserve are the withdrawal's until it is refused; the payout that a settlement
makes of it takes them over. Where the payout goes, a trigger moves the withdrawal (0015_settling).
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from affiliate import audit, events
from affiliate.commissions import service as commissions
from affiliate.commissions.models import Entry
from affiliate.commissions.models import State as EntryState
from affiliate.db import db, inserting
from affiliate.errors import Conflict, NotFound, invalid
from affiliate.i18n import _
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting
from affiliate.money import Money
from affiliate.payouts import rails
from affiliate.payouts.models import Asked, PayoutAccount, Withdrawal, WithdrawalLine
from affiliate.payouts.service import withholding, writing_off
from affiliate.people.models import Merchant, PayoutMode

Payee = tuple[str, int]  # kind, id


class PaidByItself(Conflict):
    code = "paid_automatically"


class OpenAlready(Conflict):
    code = "withdrawal_open"


class NotRequested(Conflict):
    code = "wrong_withdrawal_state"


def withdraw(
    merchant_id: int,
    payee: Payee,
    currency: str,
    *,
    by: int,
    amount: int | None = None,
    note: str | None = None,
) -> Withdrawal:
    """Ask for an amount, or for all there is. Oldest earnings are taken first."""
    merchant = db.session.get_one(Merchant, merchant_id)
    if merchant.payout_mode != PayoutMode.ON_REQUEST:
        raise PaidByItself(_("This merchant pays by itself; there is nothing to ask for."))
    _check_account(payee, currency)
    asked = Withdrawal(
        merchant_id=merchant_id,
        payee_kind=payee[0],
        payee_id=payee[1],
        currency=currency,
        amount=amount or 1,  # until it is known what there is
        requested_by=by,
        note=note,
    )
    entries = _free(merchant_id, payee, currency)
    there = max(0, sum(each.amount for each in entries))
    asked.amount = _checked(merchant, Money(there, currency), amount)
    asked.credited = withholding.outstanding(merchant_id, payee, currency)
    if asked.amount <= asked.credited:
        message = _("Ask for more: that much went to the tax authority already.")
        raise invalid("/amount", "credited", message)
    try:
        with db.session.begin_nested():
            db.session.add(asked)
            db.session.flush()
    except IntegrityError as error:
        message = _("A withdrawal of this money is under way already; wait until it is paid.")
        raise OpenAlready(message) from error
    _set_aside(asked, entries)
    written_off = writing_off.standing(merchant_id, PAYEE, _payee(payee, currency))
    ledger.post([*writing_off.recovered(written_off), _reserve(asked)])
    events.record(
        "withdrawal.requested",
        merchant_id=merchant_id,
        promoter_id=payee[1] if payee[0] == "promoter" else None,
        payload={"withdrawal": asked.id, "amount": asked.amount, "currency": currency},
    )
    audit.record(
        "withdrawal.asked", subject=f"wdr:{asked.id}", by=by, merchant_id=merchant_id,
        amount=asked.amount, currency=currency,
    )  # fmt: skip
    return asked


def _payee(payee: Payee, currency: str) -> dict[str, object]:
    return {"kind": payee[0], "payee": payee[1], "currency": currency}


def _check_account(payee: Payee, currency: str) -> None:
    rail = db.session.scalar(
        sa.select(PayoutAccount.rail).where(
            PayoutAccount.payee_kind == payee[0],
            PayoutAccount.payee_id == payee[1],
            PayoutAccount.currency == currency,
            PayoutAccount.replaced_at.is_(None),
        )
    )
    if rail is None:
        message = _("There is no payout account for %(currency)s yet.", currency=currency)
        raise invalid("/currency", "no_account", message)
    if rail not in rails.offered():
        raise invalid("/currency", "no_rail", _("Nothing can be sent to this account now."))


def _free(merchant_id: int, payee: Payee, currency: str) -> Sequence[Entry]:
    """What can be asked for, locked; all that was taken back, then the oldest first."""
    return db.session.scalars(
        sa.select(Entry)
        .where(
            Entry.merchant_id == merchant_id,
            Entry.currency == currency,
            Entry.payee_kind == payee[0],
            Entry.payee_id == payee[1],
            Entry.state == EntryState.AVAILABLE,
            sa.or_(Entry.amount < 0, Entry.on_hold.is_(None)),
        )
        .order_by(Entry.amount > 0, Entry.released_at, Entry.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()


def _checked(merchant: Merchant, there: Money, amount: int | None) -> int:
    asked = there.minor if amount is None else amount
    if asked <= 0 < there.minor:
        raise invalid("/amount", "not_positive", _("Ask for more than nothing."))
    least = Money(merchant.minimum_payout, there.currency)
    if asked > there.minor or there.minor == 0:
        message = _("Only %(there)s can be withdrawn now.", there=str(there))
        raise invalid("/amount", "not_available", message)
    if asked < least.minor:
        message = _("This merchant pays from %(least)s on.", least=str(least))
        raise invalid("/amount", "below_minimum", message)
    return asked


def _set_aside(asked: Withdrawal, entries: Sequence[Entry]) -> None:
    """All negative ones, and as many others as it takes; the last one is split."""
    lines: dict[int, int] = {}
    total = 0
    for entry in entries:
        if entry.amount > 0 and total >= asked.amount:
            break
        lines[entry.id] = entry.amount
        total += entry.amount
    if total > asked.amount:
        rest = total - asked.amount
        lines[commissions.split(entries[len(lines) - 1], rest)] = -rest
    commissions.move_entries(
        asked.merchant_id, list(lines), EntryState.AVAILABLE, EntryState.RESERVED
    )
    rows = [
        {
            "merchant_id": asked.merchant_id,
            "withdrawal_id": asked.id,
            "entry_id": entry_id,
            "amount": amount,
            "live": True,
        }
        for entry_id, amount in lines.items()
    ]
    db.session.execute(inserting(WithdrawalLine, rows))


def refuse(merchant_id: int, withdrawal_id: int, *, by: int | None, reason: str) -> Withdrawal:
    """Before a settlement takes it: the money is available again. By finance, or by who asked."""
    asked = find(merchant_id, withdrawal_id, lock=True)
    if asked.state == Asked.REFUSED:
        return asked
    if asked.state != Asked.REQUESTED:
        raise NotRequested(_("This withdrawal is in a settlement already, or paid."))
    lines = sa.select(WithdrawalLine.entry_id).where(
        WithdrawalLine.merchant_id == merchant_id,
        WithdrawalLine.withdrawal_id == withdrawal_id,
        WithdrawalLine.live,
    )
    commissions.move_entries(merchant_id, lines, EntryState.RESERVED, EntryState.AVAILABLE)
    asked.state, asked.reason, asked.decided_by = Asked.REFUSED, reason, by
    asked.version += 1
    db.session.flush()
    ledger.post([_unreserve(asked)])
    if by != asked.requested_by and asked.payee_kind == "promoter":
        merchant = db.session.get_one(Merchant, merchant_id)
        events.record(
            "withdrawal.refused",
            merchant_id=merchant_id,
            promoter_id=asked.payee_id,
            payload={
                "merchant": merchant.name,
                "amount": asked.amount,
                "currency": asked.currency,
                "reason": reason,
            },
        )
    if by is not None:
        audit.record(
            "withdrawal.refused", subject=f"wdr:{asked.id}", by=by, merchant_id=merchant_id,
            amount=asked.amount, currency=asked.currency, reason=reason,
        )  # fmt: skip
    return asked


def uncovered(merchant_id: int) -> list[tuple[int, str]]:
    """Withdrawals that can no longer be paid, and why: money of theirs is held, or so much was
    refunded since that what is left does not cover it.
    """
    rows = db.session.execute(UNCOVERED, {"merchant": merchant_id})
    return [(withdrawal_id, reason) for withdrawal_id, reason in rows]


def find(merchant_id: int, withdrawal_id: int, *, lock: bool = False) -> Withdrawal:
    how = {"key_share": True} if lock else None
    found = db.session.get(
        Withdrawal, (merchant_id, withdrawal_id), with_for_update=how, populate_existing=lock
    )
    if found is None:
        raise NotFound(_("There is no such withdrawal."))
    return found


def change_note(asked: Withdrawal, note: str | None) -> Withdrawal:
    """The only thing about it that can be edited."""
    asked.note = note
    asked.version += 1
    db.session.flush()
    return asked


def _reserve(asked: Withdrawal) -> Posting:
    owner = (asked.merchant_id, asked.payee_kind, asked.payee_id, asked.currency)
    available, reserved = ledger.available(*owner), ledger.reserved(*owner)
    amount = asked.amount - asked.credited
    return Posting(Code.RESERVE, f"withdrawal:{asked.id}", available, reserved, amount)


def _unreserve(asked: Withdrawal) -> Posting:
    owner = (asked.merchant_id, asked.payee_kind, asked.payee_id, asked.currency)
    available, reserved = ledger.available(*owner), ledger.reserved(*owner)
    amount = asked.amount - asked.credited
    return Posting(Code.UNRESERVE, f"withdrawal:{asked.id}", reserved, available, amount)


PAYEE = """
    VALUES (CAST(:kind AS text), CAST(:payee AS bigint), CAST(:currency AS char(3)))
"""

UNCOVERED = sa.text("""
    SELECT w.id, CASE WHEN held.is_held THEN 'on_hold' ELSE 'refunded' END
      FROM withdrawals w
      CROSS JOIN LATERAL (
        SELECT EXISTS (
          SELECT FROM withdrawal_lines l
            JOIN entries e ON e.merchant_id = l.merchant_id AND e.id = l.entry_id
           WHERE l.merchant_id = w.merchant_id AND l.withdrawal_id = w.id AND l.live
             AND e.on_hold IS NOT NULL) AS is_held
      ) held
     WHERE w.merchant_id = :merchant AND w.state = 'requested'
       AND (held.is_held OR EXISTS (
         SELECT FROM ledger_accounts a
          WHERE (a.merchant_id, a.owner_kind, a.owner_id, a.kind, a.currency)
                = (w.merchant_id, w.payee_kind, w.payee_id, 'available', w.currency)
            AND a.credits < a.debits))
     ORDER BY w.id
""")
