"""Merchants: who sells here, and on which terms."""

from typing import Any
from zoneinfo import available_timezones

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.consoles import lists, taxing
from affiliate.consoles.operator import bp
from affiliate.consoles.session import current_caller
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound, Stale, invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS
from affiliate.people import queries, service
from affiliate.people.models import Merchant, PayoutMode
from affiliate.people.rules import COUNTRIES, Right
from affiliate.tax import tables


@bp.get("/merchants/")
def merchants() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [Merchant.id])
    return render_template("operator/merchants.html", rows=found, next=cursor)


@bp.get("/merchants/new")
def new_merchant() -> ResponseReturnValue:
    return _form({"timezone": "UTC", "payout_mode": PayoutMode.AUTOMATIC}, None, None)


@bp.post("/merchants/new")
def create_merchant() -> ResponseReturnValue:
    typed = request.form
    try:
        facts = _facts(typed)
        home = _home(typed)
        _check_scheme(facts["withholding"], home["country"])
    except AffiliateError as refusal:
        return _form(typed, refusal, None)
    if _is_there(facts["name"], home):
        flash(_("There is a merchant of this name already."), "wait")
        return redirect(url_for("operator.merchants", q=facts["name"]), 303)
    service.create_merchant(country=home["country"], currency=home["currency"], **facts)
    flash(_("The merchant is there. Now give its owner a way in."), "done")
    return redirect(url_for("operator.new_user", role="merchant_owner"), 303)


@bp.get("/merchants/<merchant_id>")
def merchant(merchant_id: str) -> ResponseReturnValue:
    row = _find(merchant_id)
    return _form(_typed(row), None, row)


@bp.post("/merchants/<merchant_id>")
def change_merchant(merchant_id: str) -> ResponseReturnValue:
    row = _find(merchant_id, lock=True)
    typed = request.form
    try:
        if typed.get("version") != str(row.version):
            raise Stale(_("Somebody changed this merchant meanwhile. Load the page again."))
        facts = _facts({**typed, "currency": row.currency})
        _check_scheme(facts["withholding"], row.country)
    except AffiliateError as refusal:
        return _form(typed, refusal, row)
    service.change_merchant(row, facts)
    flash(_("The merchant is changed."), "done")
    return redirect(url_for("operator.merchants"), 303)


def _find(merchant_id: str, *, lock: bool = False) -> Merchant:
    try:
        row = queries.merchant(ids.decode_one("mer", merchant_id), lock=lock)
    except NotFound:
        abort(404)
    current_caller().require(Right.ADMINISTER, row.id)
    return row


def _chosen() -> sa.Select[Any]:
    found = sa.select(Merchant)
    if wanted := request.args.get("q", "").strip():
        like = f"%{wanted.replace('%', '').replace('_', '')}%"
        found = found.where(Merchant.name.ilike(like))
    return found


def _home(typed: Any) -> dict[str, str]:
    """What a merchant keeps for ever: its country and the currency of its limits."""
    country, currency = (typed.get(name, "").strip().upper() for name in ("country", "currency"))
    if country not in COUNTRIES:
        raise invalid("/country", "unknown_country", _("There is no such country."))
    if currency not in EXPONENTS:
        raise invalid("/currency", "unknown_currency", _("There is no such currency."))
    return {"country": country, "currency": currency}


def _facts(typed: Any) -> dict[str, Any]:
    name, zone = typed.get("name", "").strip()[:200], typed.get("timezone", "").strip()
    if not name:
        raise invalid("/name", "missing", _("A name, please."))
    if zone not in available_timezones():
        raise invalid("/timezone", "unknown_timezone", _("There is no such time zone."))
    mode = typed.get("payout_mode")
    if mode not in list(PayoutMode):
        raise invalid("/payout_mode", "unknown", _("Choose when it pays."))
    return {
        "name": name,
        "timezone": zone,
        "payout_mode": PayoutMode(mode),
        "minimum_payout": _amount(typed, "minimum_payout") or 0,
        "credit_limit": _amount(typed, "credit_limit"),
        "platform_fee_ppm": _fee(typed),
        "withholding": typed.get("withholding", "").strip() or None,
        "invoice_required": typed.get("invoice_required") == "yes",
    }


def _check_scheme(scheme: str | None, country: str) -> None:
    if scheme is not None and (
        scheme not in tables.SCHEMES or tables.SCHEMES[scheme].country != country
    ):
        raise invalid("/withholding", "other_country", _("This is of another country."))


def _amount(typed: Any, name: str) -> int | None:
    text, currency = typed.get(name, "").strip(), typed.get("currency", "").strip().upper()
    if not text:
        return None
    if currency not in EXPONENTS:
        raise invalid("/currency", "unknown_currency", _("There is no such currency."))
    try:
        amount = formats.typed_minor(text, currency)
    except formats.NotANumber as error:
        raise invalid(f"/{name}", error.code, error.message) from error
    if amount < 0:
        raise invalid(f"/{name}", "negative", _("Not below zero, please."))
    return amount


def _fee(typed: Any) -> int:
    try:
        return formats.typed_ppm(typed.get("platform_fee", "").strip() or "0")
    except formats.NotANumber as error:
        raise invalid("/platform_fee", error.code, error.message) from error


def _is_there(name: str, home: dict[str, str]) -> bool:
    """Two shops of one name in one country are one, or a form that was sent twice."""
    lock = sa.func.hashtextextended(f"merchant form:{name}", 0)
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
    known = sa.select(Merchant.id).where(
        sa.func.lower(Merchant.name) == name.lower(), Merchant.country == home["country"]
    )
    return db.session.scalar(known.limit(1)) is not None


def _typed(row: Merchant) -> dict[str, Any]:
    return {
        "name": row.name,
        "timezone": row.timezone,
        "payout_mode": row.payout_mode,
        "minimum_payout": formats.amount(row.minimum_payout, row.currency),
        "credit_limit": None
        if row.credit_limit is None
        else formats.amount(row.credit_limit, row.currency),
        "withholding": row.withholding,
        "invoice_required": "yes" if row.invoice_required else "no",
        "platform_fee": formats.ppm(row.platform_fee_ppm).replace("%", "").strip(),
    }


def _form(typed: Any, refusal: AffiliateError | None, row: Merchant | None) -> ResponseReturnValue:
    faults = {each.pointer.strip("/"): each.message for each in refusal.errors} if refusal else {}
    page = render_template(
        "operator/merchant_form.html",
        typed=typed,
        row=row,
        refusal=refusal if refusal and not faults else None,
        faults=faults,
        zones=sorted(available_timezones()),
        schemes=[
            (code, words)
            for code, words in taxing.SCHEMES.items()
            if row is None or tables.SCHEMES[code].country == row.country
        ],
    )
    return page, refusal.status if refusal else 200
