"""Where a payee asks a merchant that pays on request for its money; for every kind of payee."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.consoles import payout_accounts, purses, taxing
from affiliate.consoles.session import current_person
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound, invalid
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.payouts import service
from affiliate.payouts.models import Asked, Withdrawal
from affiliate.payouts.service import withdrawals
from affiliate.people import queries as people
from affiliate.people.models import Merchant, PayoutMode


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and where the pages about it are."""

    kind: str
    id: int
    layout: str
    here: str  # endpoint of the form
    back: str  # endpoint of the page with the money
    tax: str  # endpoint of the page with the tax data


def by_purse(kind: str, payee_id: int) -> dict[tuple[str, str], Withdrawal]:
    """What is under way, by the merchant's public id and currency."""
    found = db.session.scalars(
        sa.select(Withdrawal).where(
            Withdrawal.payee_kind == kind,
            Withdrawal.payee_id == payee_id,
            Withdrawal.state.in_([Asked.REQUESTED, Asked.IN_SETTLEMENT]),
        )
    )
    return {(ids.encode("mer", each.merchant_id), each.currency): each for each in found}


def form(asker: Asker, merchant_key: str, currency: str) -> ResponseReturnValue:
    return _form(asker, _merchant(merchant_key), currency, None)


def ask(asker: Asker, merchant_key: str, currency: str) -> ResponseReturnValue:
    merchant = _merchant(merchant_key)
    if taxing.needs_profile(merchant, asker.kind, asker.id):
        return redirect(url_for(asker.tax), 303)
    try:
        with db.session.begin_nested():
            made = service.withdraw(
                merchant.id,
                (asker.kind, asker.id),
                currency,
                by=current_person().user.id,
                amount=_amount(currency),
            )
    except withdrawals.OpenAlready as refusal:  # the same form, sent twice
        flash(refusal.message, "wait")
        return redirect(url_for(asker.back), 303)
    except AffiliateError as refusal:
        return _form(asker, merchant, currency, refusal)
    told = _("%(amount)s are set aside for you.", amount=formats.money(made.amount, currency))
    flash(told, "done")
    return redirect(url_for(asker.back), 303)


def take_back(asker: Asker, withdrawal_key: str) -> ResponseReturnValue:
    """Until a settlement takes it."""
    try:
        key = ids.decode_pair("wdr", withdrawal_key)
        asked = withdrawals.find(*key)
    except NotFound:
        abort(404)
    if (asked.payee_kind, asked.payee_id) != (asker.kind, asker.id):
        abort(404)
    service.refuse(*key, by=current_person().user.id, reason="taken_back")
    flash(_("Taken back. The money can be withdrawn again."), "done")
    return redirect(url_for(asker.back), 303)


def _merchant(key: str) -> Merchant:
    try:
        return people.merchant(ids.decode_one("mer", key))
    except NotFound:
        abort(404)


def _amount(currency: str) -> int | None:
    if not (text := request.form.get("amount", "").strip()):
        return None
    try:
        return formats.typed_minor(text, currency)
    except formats.NotANumber as error:
        raise invalid("/amount", "not_a_number", error.message) from error


def _form(
    asker: Asker, merchant: Merchant, currency: str, refusal: AffiliateError | None
) -> ResponseReturnValue:
    purse = purses.by_merchant(asker.kind, asker.id).get((merchant.id, currency))
    if purse is None:
        abort(404)
    account = next(
        (each for each in payout_accounts.live(asker.kind, asker.id) if each.currency == currency),
        None,
    )
    there = Money(max(0, purse.available), currency)
    fault: Any = refusal.errors[0].message if refusal and refusal.errors else None
    shown = render_template(
        "withdraw.html",
        layout=asker.layout,
        back=asker.back,
        merchant=merchant,
        purse=purse,
        there=there,
        least=Money(merchant.minimum_payout, currency),
        account=account,
        tax=asker.tax,
        needs_profile=taxing.needs_profile(merchant, asker.kind, asker.id),
        needs_invoice=merchant.invoice_required,
        kept=_kept_back(asker, merchant, there),
        pays_by_itself=merchant.payout_mode != PayoutMode.ON_REQUEST,
        typed=request.form.get("amount", ""),
        refusal=None if fault else refusal,
        fault=fault,
    )
    return shown, refusal.status if refusal else 200


def _kept_back(asker: Asker, merchant: Merchant, there: Money) -> Money | None:
    """Of all there is, as it would be reckoned now; None where nothing is or it cannot be said."""
    if merchant.withholding is None or there.minor <= 0:
        return None
    payer = service.payer(merchant.id, merchant.withholding, merchant.timezone)
    kept = service.estimate(payer, (asker.kind, asker.id), there.currency, there.minor)
    return Money(kept, there.currency) if kept else None
