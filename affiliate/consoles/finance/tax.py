"""Tax: what was withheld and waits for its authority, invoices of payees, rates of exchange."""

from datetime import date
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, exports, formats, i18n, ids
from affiliate.consoles import lists, taxing
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_person, current_scope
from affiliate.db import db
from affiliate.errors import AffiliateError, invalid
from affiliate.fx import service as fx
from affiliate.fx.models import FxRate
from affiliate.i18n import _
from affiliate.money import EXPONENTS
from affiliate.payouts import service, tax_year
from affiliate.payouts.models import Invoice, Remittance
from affiliate.payouts.service import invoices, remitting
from affiliate.people.queries import within
from affiliate.people.rules import Right, Scope
from affiliate.tax import tables

LONGEST = 300
SHOWN = 100
LARGEST_FILE = 4_000_000


@bp.get("/tax/")
def tax() -> ResponseReturnValue:
    return _page(None)


@bp.post("/tax/remittances")
def remit() -> ResponseReturnValue:
    access.only(Right.HANDLE_MONEY)
    merchant_id = access.asked_merchant(request.form.get("merchant"))
    if refusal := access.refused(lambda: _remit(merchant_id)):
        return _page(refusal), refusal.status
    flash(_("The remittance is booked."), "done")
    return redirect(url_for("finance.tax"), 303)


@bp.post("/tax/invoices/<invoice_id>/<any(confirm, refuse):verb>")
def decide_invoice(invoice_id: str, verb: str) -> ResponseReturnValue:
    key = access.key_of("inv", invoice_id)
    access.require([Right.HANDLE_MONEY], key[0])
    reason = request.form.get("reason", "").strip()[:LONGEST] or None
    refusal = access.refused(
        lambda: invoices.decide(
            *key, by=current_person().user.id, confirmed=verb == "confirm", reason=reason
        )
    )
    if refusal:
        return _page(refusal), refusal.status
    flash(_("The invoice is decided."), "done")
    return redirect(url_for("finance.tax"), 303)


@bp.get("/tax.csv")
def tax_file() -> ResponseReturnValue:
    year = taxing.asked_year(clock.now().year)
    scope = current_scope(Right.READ_MONEY)
    mine = None if scope is None else sorted(scope)
    return exports.table(
        f"tax-{year}",
        tax_year.HEAD,
        lambda: tax_year.cells(year, tax_year.rows(year, merchants=mine)),
    )


@bp.get("/rates/")
def rates() -> ResponseReturnValue:
    return _rates(None)


@bp.post("/rates/")
def import_rates() -> ResponseReturnValue:
    """Rates are everybody's, so only who works for every merchant brings them."""
    access.only(Right.HANDLE_MONEY)
    if not _may_import():
        message = _("Rates are the same for all merchants: ask somebody who works for all of them.")
        return _rates(AffiliateError(message)), 403
    sent = request.files.get("file")
    content = sent.read(LARGEST_FILE) if sent else b""
    if refusal := access.refused(lambda: fx.import_csv(content, by=current_person().user.id)):
        return _rates(refusal), refusal.status
    flash(_("The rates are imported."), "done")
    return redirect(url_for("finance.rates"), 303)


def shown_total(amounts: list[tuple[int, str]]) -> fx.Shown | None:
    """`?in=`: amounts of several currencies as one sum, for display."""
    currency = request.args.get("in", "").strip().upper()
    if currency not in EXPONENTS:
        return None
    return fx.total(amounts, currency, clock.now().astimezone(i18n.zone()).date())


def _remit(merchant_id: int | None) -> None:
    typed = request.form
    if merchant_id is None:
        raise invalid("/merchant", "missing", _("Choose a merchant."))
    currency = typed.get("currency", "")
    if currency not in EXPONENTS:
        raise invalid("/currency", "unknown_currency", _("There is no such currency."))
    reference = typed.get("reference", "").strip()[:LONGEST]
    if not reference:
        message = _("The authority's or the bank's reference, please.")
        raise invalid("/reference", "missing", message)
    try:
        month = date.fromisoformat(f"{typed.get('month', '')}-01")
    except ValueError as error:
        raise invalid("/month", "bad_month", _("Choose a month.")) from error
    service.remit(
        merchant_id, currency, month, amount=_amount(typed, currency), reference=reference,
        by=current_person().user.id,
    )  # fmt: skip


def _amount(typed: Any, currency: str) -> int:
    try:
        amount = formats.typed_minor(typed.get("amount", ""), currency)
    except formats.NotANumber as error:
        raise invalid("/amount", error.code, error.message) from error
    if amount <= 0:
        raise invalid("/amount", "not_positive", _("An amount above zero, please."))
    return amount


def _page(refusal: AffiliateError | None) -> str:
    scope = current_scope(Right.READ_MONEY)
    due = remitting.due(None if scope is None else sorted(scope))
    mine = within(Remittance.merchant_id, scope)
    done, cursor = lists.page(sa.select(Remittance).where(mine), [Remittance.id])
    waiting = _waiting(scope)
    now = clock.now().astimezone(i18n.zone())
    return render_template(
        "finance/tax.html",
        refusal=refusal,
        due=[(each, _until(each, due)) for each in due],
        this_month=now.date().replace(day=1),
        done=done,
        next=cursor,
        waiting=[(ids.encode("inv", each.merchant_id, each.id), each) for each in waiting],
        payees=words.payees([(each.payee_kind, each.payee_id) for each in waiting]),
        merchants=words.merchant_names(
            each.merchant_id for some in (due, done, waiting) for each in some
        ),
        people=words.users([each.created_by for each in done]),
        schemes=[(each, taxing.SCHEMES[each.withholding]) for each in access.merchants()
                 if each.withholding],
        tables=tables.TABLES,
        typed=request.form,
        years=range(now.year, now.year - 5, -1),
        may_handle=access.may(Right.HANDLE_MONEY),
    )  # fmt: skip


def _until(each: remitting.Due, due: list[remitting.Due]) -> int:
    """With what is left of the months before, which goes along."""
    key = (each.merchant_id, each.currency)
    return sum(
        one.amount
        for one in due
        if (one.merchant_id, one.currency) == key and one.month <= each.month
    )


def _waiting(scope: Scope) -> list[Invoice]:
    return list(
        db.session.scalars(
            sa.select(Invoice)
            .where(within(Invoice.merchant_id, scope), Invoice.state == "given")
            .order_by(Invoice.id)
            .limit(SHOWN)
        )
    )


def _may_import() -> bool:
    return access.may(Right.HANDLE_MONEY) and current_scope(Right.HANDLE_MONEY) is None


def _rates(refusal: AffiliateError | None) -> str:
    found, cursor = lists.page(sa.select(FxRate), [FxRate.id])
    return render_template(
        "finance/rates.html", rows=found, next=cursor, refusal=refusal, may_import=_may_import()
    )
