"""Pay-ins: money that merchants sent to cover what they owe."""

from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.consoles import lists
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_person, current_scope
from affiliate.db import db
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS, Money
from affiliate.people.queries import within
from affiliate.people.rules import Right
from affiliate.settlement import queries, service
from affiliate.settlement.models import PayIn
from affiliate.settlement.service.pay_ins import ReferenceTaken

LONGEST = 300


@bp.get("/pay-ins/")
def pay_ins() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [PayIn.id])
    return render_template(
        "finance/pay_ins.html",
        rows=found,
        merchants=words.merchant_names({each.merchant_id for each in found}),
        people=words.users([each.created_by for each in found]),
        choices=access.merchants(),
        next=cursor,
        may_handle=access.may(Right.HANDLE_MONEY),
    )


@bp.get("/pay-ins/new")
def new_pay_in() -> ResponseReturnValue:
    access.only(Right.HANDLE_MONEY)
    return _form(request.args, None)


@bp.post("/pay-ins/new")
def create_pay_in() -> ResponseReturnValue:
    typed = request.form
    access.only(Right.HANDLE_MONEY)
    merchant_id = access.asked_merchant(typed.get("merchant"))
    refusal = access.refused(lambda: _record(typed, merchant_id))
    if isinstance(refusal, ReferenceTaken) and _is_booked(typed, merchant_id):
        refusal = None  # the same form, sent twice
    if refusal:
        return _form(typed, refusal)
    flash(_("The pay-in is booked."), "done")
    return redirect(url_for("finance.pay_ins"), 303)


@bp.get("/pay-ins/<pay_in_id>/return")
def ask_to_return_pay_in(pay_in_id: str) -> ResponseReturnValue:
    return _return_form(_find(pay_in_id), None)


@bp.post("/pay-ins/<pay_in_id>/return")
def return_pay_in(pay_in_id: str) -> ResponseReturnValue:
    found = _find(pay_in_id)
    reason = request.form.get("reason", "").strip()[:LONGEST]
    if not reason:
        return _return_form(found, _("Say why, as the bank does.")), 422
    service.return_pay_in(found, by=current_person().user.id, reason=reason)
    flash(_("The return is booked. The merchant owes it again."), "done")
    return redirect(url_for("finance.pay_ins"), 303)


def _find(pay_in_id: str) -> PayIn:
    key = access.key_of("pin", pay_in_id)
    access.require([Right.HANDLE_MONEY], key[0])
    return queries.pay_in(*key, lock=True)


def _return_form(found: PayIn, fault: Any) -> str:
    return render_template(
        "finance/return_pay_in.html",
        pay_in=found,
        typed=request.form.get("reason", ""),
        fault=fault,
    )


def _record(typed: Any, merchant_id: int | None) -> None:
    if merchant_id is None:
        raise invalid("/merchant", "missing", _("Choose a merchant."))
    note = typed.get("note", "").strip()[:LONGEST] or None
    reference = _reference(typed)
    if not reference:
        raise invalid(
            "/reference", "missing", _("The bank's reference keeps it from being booked twice.")
        )
    service.record_pay_in(
        merchant_id, _money(typed), reference=reference, by=current_person().user.id, note=note
    )


def _money(typed: Any) -> Money:
    currency = typed.get("currency", "").strip().upper()
    if currency not in EXPONENTS:
        raise invalid("/currency", "unknown_currency", _("There is no such currency."))
    try:
        amount = formats.typed_minor(typed.get("amount", ""), currency)
    except formats.NotANumber as error:
        raise invalid("/amount", "not_a_number", error.message) from error
    if amount <= 0:
        raise invalid("/amount", "not_positive", _("An amount above zero, please."))
    return Money(amount, currency)


def _reference(typed: Any) -> str:
    return str(typed.get("reference", "")).strip()[:LONGEST]


def _is_booked(typed: Any, merchant_id: int | None) -> bool:
    known = db.session.scalar(
        sa.select(PayIn).filter_by(merchant_id=merchant_id, reference=_reference(typed))
    )
    return known is not None and Money(known.amount, known.currency) == _money(typed)


def _form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    choices = access.merchants(Right.HANDLE_MONEY)
    shown = render_template(
        "finance/pay_in_form.html",
        typed=typed,
        merchants=[
            (ids.encode("mer", each.id), f"{each.name} · {each.currency}") for each in choices
        ],
        currency=typed.get("currency") or (choices[0].currency if len(choices) == 1 else None),
        refusal=refusal if refusal and not refusal.errors else None,
        faults={each.pointer.strip("/"): each.message for each in refusal.errors}
        if refusal
        else {},
    )
    return shown, refusal.status if refusal else 200


def _chosen() -> sa.Select[Any]:
    found = sa.select(PayIn).where(within(PayIn.merchant_id, current_scope(Right.READ_MONEY)))
    if merchant_id := access.asked_merchant():
        found = found.where(PayIn.merchant_id == merchant_id)
    if wanted := request.args.get("q", "").strip():
        found = found.where(PayIn.reference == wanted)
    return found
