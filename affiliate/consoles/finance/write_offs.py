"""What payees owe and will not pay back: asked for by one person, approved by another."""

from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_person, current_scope
from affiliate.db import db
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _
from affiliate.ledger.models import Account, Kind, OwnerKind
from affiliate.money import Money
from affiliate.payouts import service
from affiliate.payouts.models import WriteOff
from affiliate.people.queries import within
from affiliate.people.rules import Right

LONGEST = 300
OWING = 100


@bp.get("/write-offs/")
def write_offs() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [WriteOff.id])
    owing = _owing()
    payees = [(each.payee_kind, each.payee_id) for each in found]
    payees += [(each.owner_kind, each.owner_id) for each in owing]
    by = [user for each in found for user in (each.created_by, each.decided_by)]
    return render_template(
        "finance/write_offs.html",
        rows=[(ids.encode("wof", each.merchant_id, each.id), each) for each in found],
        owing=[
            (
                ids.encode("lac", each.merchant_id, each.id),
                each,
                Money(each.debits - each.credits, each.currency),
            )
            for each in owing
        ],
        names=words.payees(payees),
        people=words.users(by),
        merchants=words.merchant_names({each.merchant_id for each in [*found, *owing]}),
        choices=access.merchants(),
        next=cursor,
        me=current_person().user.id,
        may_handle=access.may(*access.HANDLERS),
    )


@bp.get("/write-offs/new/<account>")
def new_write_off(account: str) -> ResponseReturnValue:
    return _form(_debt(account), account, None)


@bp.post("/write-offs/new/<account>")
def ask_write_off(account: str) -> ResponseReturnValue:
    debt = _debt(account)
    if refusal := access.refused(lambda: _ask(debt)):
        return _form(debt, account, refusal)
    flash(_("Asked for. Another person has to approve it."), "done")
    return redirect(url_for("finance.write_offs"), 303)


@bp.post("/write-offs/<write_off_id>/<any(approve, refuse):decision>")
def decide_write_off(write_off_id: str, decision: str) -> ResponseReturnValue:
    key = access.key_of("wof", write_off_id)
    access.require(access.HANDLERS, key[0])
    decide = service.approve_write_off if decision == "approve" else service.refuse_write_off
    by = current_person().user.id
    if refusal := access.refused(lambda: decide(*key, by=by)):
        flash(refusal.message, "wait")
    else:
        flash(_("Written off.") if decision == "approve" else _("Refused."), "done")
    return redirect(url_for("finance.write_offs"), 303)


def _debt(key: str) -> Account:
    """A payee's account that is below zero."""
    merchant_id, account_id = access.key_of("lac", key)
    access.require(access.HANDLERS, merchant_id)
    found = db.session.get(Account, (merchant_id, account_id))
    if found is None or found.kind != Kind.AVAILABLE:
        abort(404)
    return found


def _ask(debt: Account) -> None:
    reason = request.form.get("reason", "").strip()[:LONGEST]
    if not reason:
        raise invalid("/reason", "missing", _("Say why; the second person reads it."))
    try:
        amount = formats.typed_minor(request.form.get("amount", ""), debt.currency)
    except formats.NotANumber as error:
        raise invalid("/amount", "not_a_number", error.message) from error
    if amount <= 0:
        raise invalid("/amount", "not_positive", _("An amount above zero, please."))
    service.request_write_off(
        debt.merchant_id,
        (debt.owner_kind, debt.owner_id),
        debt.currency,
        amount=amount,
        reason=reason,
        by=current_person().user.id,
    )


def _form(debt: Account, key: str, refusal: AffiliateError | None) -> ResponseReturnValue:
    payee = (debt.owner_kind, debt.owner_id)
    owed = Money(max(0, debt.debits - debt.credits), debt.currency)
    shown = render_template(
        "finance/write_off_form.html",
        key=key,
        payee=words.payees([payee])[payee],
        owed=owed,
        amount=request.form.get("amount") or formats.amount(owed),
        reason=request.form.get("reason", ""),
        refusal=refusal if refusal and not refusal.errors else None,
        faults={each.pointer.strip("/"): each.message for each in refusal.errors}
        if refusal
        else {},
    )
    return shown, refusal.status if refusal else 200


def _owing() -> list[Account]:
    """Payees below zero for whom nothing is asked yet."""
    asked = sa.exists().where(
        WriteOff.merchant_id == Account.merchant_id,
        WriteOff.payee_kind == Account.owner_kind,
        WriteOff.payee_id == Account.owner_id,
        WriteOff.currency == Account.currency,
        WriteOff.state == "requested",
    )
    found = sa.select(Account).where(
        within(Account.merchant_id, current_scope(Right.READ_MONEY)),
        Account.kind == Kind.AVAILABLE,
        Account.owner_kind.in_([OwnerKind.PROMOTER, OwnerKind.AGENCY]),
        Account.credits < Account.debits,
        ~asked,
    )
    if merchant_id := access.asked_merchant():
        found = found.where(Account.merchant_id == merchant_id)
    order = (Account.debits - Account.credits).desc()
    return list(db.session.scalars(found.order_by(order).limit(OWING)))


def _chosen() -> sa.Select[Any]:
    found = sa.select(WriteOff).where(within(WriteOff.merchant_id, current_scope(Right.READ_MONEY)))
    if merchant_id := access.asked_merchant():
        found = found.where(WriteOff.merchant_id == merchant_id)
    return found
