"""Where a payee asks a merchant that pays on request for its money; for every kind of payee."""

from dataclasses import dataclass
from datetime import timedelta
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

LATEST = 20  # withdrawals that were paid, to say how long one takes


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and where the pages about it are."""

    kind: str
    id: int
    layout: str
    here: str  # endpoint of the form
    back: str  # endpoint of the page with the money
    back_words: Any
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
    """Asked again with `amount` while one types: what of that much would arrive."""
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
    merchant_key = ids.encode("mer", merchant.id)
    there = Money(max(0, purse.available), currency)
    gross = _gross(there)
    fault: Any = refusal.errors[0].message if refusal and refusal.errors else None
    shown = render_template(
        "withdraw.html",
        layout=asker.layout,
        here=url_for(asker.here, merchant_id=merchant_key, currency=currency),
        back=asker.back,
        back_words=asker.back_words,
        merchant=merchant,
        purse=purse,
        there=there,
        least=Money(merchant.minimum_payout, currency),
        account=account,
        tax=asker.tax,
        needs_profile=taxing.needs_profile(merchant, asker.kind, asker.id),
        needs_invoice=merchant.invoice_required,
        under_way=by_purse(asker.kind, asker.id).get((merchant_key, currency)),
        gross=gross,
        kept=_kept_back(asker, merchant, gross),
        days=_usual_days(merchant.id, currency),
        pays_by_itself=merchant.payout_mode != PayoutMode.ON_REQUEST,
        typed=request.values.get("amount", ""),
        refusal=None if fault else refusal,
        fault=fault,
    )
    return shown, refusal.status if refusal else 200


def _gross(there: Money) -> Money:
    """What is typed, as far as it is there; all of it otherwise."""
    try:
        typed = formats.typed_minor(request.values.get("amount", "").strip(), there.currency)
    except formats.NotANumber:
        return there
    return Money(typed, there.currency) if 0 < typed <= there.minor else there


def _kept_back(asker: Asker, merchant: Merchant, gross: Money) -> Money | None:
    """As it would be reckoned now; None where that cannot be said."""
    if merchant.withholding is None or gross.minor <= 0:
        return Money(0, gross.currency)
    payer = service.payer(merchant.id, merchant.withholding, merchant.timezone)
    kept = service.estimate(payer, (asker.kind, asker.id), gross.currency, gross.minor)
    return None if kept is None else Money(kept, gross.currency)


_USUAL = sa.text("""
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY paid_at - asked_at)
      FROM (SELECT p.paid_at, w.created_at AS asked_at
              FROM payouts p JOIN withdrawals w ON w.merchant_id = p.merchant_id
                                               AND w.id = p.withdrawal_id
             WHERE p.merchant_id = :merchant AND p.currency = :currency
               AND p.paid_at IS NOT NULL
             ORDER BY p.paid_at DESC LIMIT :most) AS latest
""")


def _usual_days(merchant_id: int, currency: str) -> int | None:
    """From asking to being paid, of the latest; begun days count."""
    given = {"merchant": merchant_id, "currency": currency, "most": LATEST}
    took: timedelta | None = db.session.scalar(_USUAL, given)
    return None if took is None else max(1, -(-took // timedelta(days=1)))
