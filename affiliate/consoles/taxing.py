"""Tax as payees see it: who they are to the authority, what was withheld, what they billed."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, exports, formats, i18n, ids
from affiliate.consoles import purses
from affiliate.consoles.session import current_person
from affiliate.db import db
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS, Money
from affiliate.payouts import tax_year
from affiliate.payouts.models import Invoice
from affiliate.payouts.service import invoices
from affiliate.people import queries as people
from affiliate.people.models import Merchant
from affiliate.people.rules import COUNTRIES
from affiliate.tax import profiles, tables
from affiliate.tax.models import TinStatus

SHOWN = 200
LONGEST = 60
SCHEMES: Mapping[str, Any] = MappingProxyType(
    {
        "cn_platform": _("China: internet platform, the year adds up"),
        "cn_labour": _("China: labour income, month by month"),
        "br_irrf": _("Brazil: IRRF"),
        "mx_fees": _("Mexico: professional fees"),
        "mx_platform": _("Mexico: digital platform"),
        "us_backup": _("United States: backup withholding"),
    }
)
REGIMES: Mapping[str, Any] = MappingProxyType(
    {
        "general": _("Ordinary"),
        "simples": _("Simples Nacional or MEI (Brazil)"),
        "resico": _("RESICO (Mexico)"),
    }
)
STATUS: Mapping[str, Any] = MappingProxyType(
    {
        TinStatus.MISSING: _("no tax number"),
        TinStatus.GIVEN: _("as you gave it"),
        TinStatus.VERIFIED: _("verified"),
        TinStatus.REFUSED: _("refused by the authority"),
    }
)
INVOICES: Mapping[str, tuple[Any, str]] = MappingProxyType(
    {
        "given": (_("Waits for finance"), "wait"),
        "confirmed": (_("Confirmed"), "done"),
        "refused": (_("Refused"), "bad"),
    }
)


@dataclass(frozen=True, slots=True)
class Payee:
    """Whose tax it is, and where the pages about it are."""

    kind: str
    id: int
    country: str | None
    layout: str
    here: str  # endpoint of the page
    bill: str  # endpoint that takes an invoice
    file: str
    back: str
    back_words: Any


def show(payee: Payee) -> ResponseReturnValue:
    return _page(payee, {}, {})


def save(payee: Payee) -> ResponseReturnValue:
    """A new version; what was paid before stays as it was reckoned."""
    typed = request.form
    try:
        with db.session.begin_nested():
            profiles.say(
                payee.kind,
                payee.id,
                country=typed.get("country", ""),
                person=typed.get("person", ""),
                regime=typed.get("regime") or "general",
                tax_id=typed.get("tax_id", "").strip() or None,
                keep_id=True,
                by=current_person().user.id,
            )
    except AffiliateError as refusal:
        return _page(payee, _faults(refusal), {}), refusal.status
    flash(_("Saved. It counts from the next payout on."), "done")
    return redirect(url_for(payee.here), 303)


def bill(payee: Payee) -> ResponseReturnValue:
    try:
        with db.session.begin_nested():
            merchant, money = _billed(payee)
            number = request.form.get("number", "").strip()[:LONGEST]
            if not number:
                raise invalid("/number", "missing", _("The number of the invoice, please."))
            invoices.give(
                merchant.id, (payee.kind, payee.id), money, number=number,
                by=current_person().user.id,
            )  # fmt: skip
    except AffiliateError as refusal:
        return _page(payee, {}, _faults(refusal)), refusal.status
    flash(_("Sent. Finance looks at it before the next settlement."), "done")
    return redirect(url_for(payee.here), 303)


def download(payee: Payee) -> Response:
    year = asked_year(clock.now().year)
    key = (payee.kind, payee.id)
    return exports.table(
        f"tax-{year}",
        tax_year.HEAD,
        lambda: tax_year.cells(year, tax_year.rows(year, payee=key)),
    )


def asked_year(default: int) -> int:
    text = request.args.get("year", "")
    if not text:
        return default
    if not text.isdecimal() or not 2000 <= int(text[:5]) <= 2200:
        abort(404)
    return int(text)


def billing(kind: str, payee_id: int) -> dict[str, Merchant]:
    """By key: merchants that owe this payee and pay against invoices only."""
    owing = {merchant_id for merchant_id, _currency in purses.by_merchant(kind, payee_id)}
    found = people.merchants(owing).values()
    return {ids.encode("mer", each.id): each for each in found if each.invoice_required}


def _billed(payee: Payee) -> tuple[Merchant, Money]:
    merchant = billing(payee.kind, payee.id).get(request.form.get("merchant", ""))
    if merchant is None:
        raise invalid("/merchant", "missing", _("Choose a merchant."))
    currency = request.form.get("currency", "").strip().upper()
    if currency not in EXPONENTS:
        raise invalid("/currency", "unknown_currency", _("There is no such currency."))
    try:
        amount = formats.typed_minor(request.form.get("amount", ""), currency)
    except formats.NotANumber as error:
        raise invalid("/amount", "not_a_number", error.message) from error
    return merchant, Money(amount, currency)


def _faults(refusal: AffiliateError) -> dict[str, Any]:
    if not refusal.errors:
        return {"": refusal.message}
    return {each.pointer.strip("/"): each.message for each in refusal.errors}


def _page(payee: Payee, faults: Mapping[str, Any], wrong_bill: Mapping[str, Any]) -> str:
    key = (payee.kind, payee.id)
    profile = profiles.live(*key)
    years = tax_year.years(key)
    year = asked_year(years[0] if years else 2000)
    bills = db.session.scalars(
        sa.select(Invoice)
        .filter_by(payee_kind=payee.kind, payee_id=payee.id)
        .order_by(Invoice.id.desc())
        .limit(SHOWN)
    ).all()
    country = request.form.get("country") or (profile.country if profile else payee.country)
    names = i18n.locale().territories
    billed = billing(*key)
    return render_template(
        "tax.html",
        owner=payee,
        profile=profile,
        typed=request.form,
        faults=faults,
        country=country,
        kind=request.form.get("person") or (profile.person if profile else "individual"),
        regime=request.form.get("regime") or (profile.regime if profile else "general"),
        countries=sorted(((code, names[code]) for code in COUNTRIES), key=lambda each: each[1]),
        regimes=list(REGIMES.items()),
        status=STATUS,
        years=years,
        year=year,
        rows=list(tax_year.rows(year, payee=key, limit=SHOWN)) if years else [],
        billing=[(code, each.name) for code, each in billed.items()],
        currencies=sorted({currency for merchant_id, currency in purses.by_merchant(*key)
                           if ids.encode("mer", merchant_id) in billed}),
        wrong_bill=wrong_bill,
        bills=bills,
        bill_words=INVOICES,
    )  # fmt: skip


def needs_profile(merchant: Merchant, kind: str, payee_id: int) -> bool:
    """Before the first withdrawal from a merchant that withholds: who are you to the authority?"""
    if merchant.withholding is None:
        return False
    scheme = tables.SCHEMES[merchant.withholding]
    profile = profiles.live(kind, payee_id)
    if profile is None:
        return True
    here = profile.country == scheme.country
    no_id = profile.tin_status in (TinStatus.MISSING, TinStatus.REFUSED)
    return here and scheme.needs_id and no_id
