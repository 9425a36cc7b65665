"""Where a payee wants to be paid: asked for field by field, shown masked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import i18n
from affiliate.consoles import purses
from affiliate.consoles import session as door
from affiliate.consoles.currencies import currency_of
from affiliate.consoles.session import current_person
from affiliate.db import db
from affiliate.errors import AffiliateError, FieldError
from affiliate.i18n import _
from affiliate.payouts import service
from affiliate.payouts.models import PayoutAccount
from affiliate.payouts.rails.file import BY_IBAN, BY_NUMBER
from affiliate.people import rules

RAIL = "file"
KINDS: Mapping[str, Any] = MappingProxyType({"number": BY_NUMBER, "iban": BY_IBAN})
# What the rail says to developers, as people are told.
FAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "missing": _("This is needed."),
        "too_long": _("This is too long."),
        "control_characters": _("No line breaks or invisible characters, please."),
        "bad_characters": _("Only letters, digits, dots, slashes and hyphens."),
        "bad_checksum": _("The check digits do not fit: something is mistyped."),
        "bad_length": _("An IBAN of this country has another length."),
        "unknown_country": _("No country with IBANs begins like this."),
        "bad_iban": _("This is not an IBAN."),
        "other_country": _("This IBAN is of another country than the one above."),
        "bad_bic": _("This is not a BIC."),
        "unknown_value": _("Choose one of the list."),
        "bad_country": _("Choose the bank's country."),
        "bad_currency": _("Choose the currency."),
    }
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose account it is, and where the pages about it are."""

    kind: str
    id: int
    country: str | None
    layout: str  # the template it stands in
    here: str  # endpoint of the form
    back: str  # endpoint of the page with the money
    back_words: Any


def form(owner: Owner) -> str:
    return _form(owner, {})


def save(owner: Owner) -> ResponseReturnValue:
    """The account before it is kept as replaced: payouts on their way still go there."""
    faults = _wrong(owner)
    if not faults:
        try:
            if _needs_code():
                door.prove_second_factor(request.form.get("otp", "").strip())
            service.add_account(owner.kind, owner.id, **_typed())
        except AffiliateError as refusal:
            faults = _faults(refusal)
    if faults:
        return _form(owner, faults), 422
    flash(_("Saved. Payouts go there from now on."), "done")
    return redirect(url_for(owner.back), 303)


def live(kind: str, payee_id: int) -> Sequence[PayoutAccount]:
    """The accounts that new payouts go to, one for each currency."""
    return db.session.scalars(
        sa.select(PayoutAccount)
        .where(
            PayoutAccount.payee_kind == kind,
            PayoutAccount.payee_id == payee_id,
            PayoutAccount.replaced_at.is_(None),
        )
        .order_by(PayoutAccount.currency)
    ).all()


def _currencies(owner: Owner) -> list[str]:
    """What this payee earns in, or would at home."""
    earned = {currency for _, currency in purses.by_merchant(owner.kind, owner.id)}
    known = {each.currency for each in live(owner.kind, owner.id)}
    return sorted(earned | known | {currency_of(owner.country or "")})


def _typed() -> dict[str, Any]:
    typed = request.form
    names = KINDS[_kind()]
    return {
        "rail": RAIL,
        "country": typed.get("country", ""),
        "currency": typed.get("currency", ""),
        "fields": {name: typed.get(name, "") for name in names},
    }


def _kind() -> str:
    asked = request.values.get("kind", "")
    return asked if asked in KINDS else "number"


def _needs_code() -> bool:
    """Who has a second factor shows it: this is where the money goes."""
    has_one = current_person().user.totp_secret is not None
    return has_one and not door.second_factor_is_fresh()


def _wrong(owner: Owner) -> dict[str, Any]:
    wrong = {}
    if request.form.get("country") not in rules.COUNTRIES:
        wrong["country"] = FAULTS["bad_country"]
    if request.form.get("currency") not in _currencies(owner):
        wrong["currency"] = FAULTS["bad_currency"]
    return wrong


def _faults(refusal: AffiliateError) -> dict[str, Any]:
    """By the name of the field; "" is the whole form."""
    if not refusal.errors:
        return {"": refusal.message}
    return {_name(each): FAULTS.get(each.code, each.message) for each in refusal.errors}


def _name(error: FieldError) -> str:
    return error.pointer.rpartition("/")[2]


def _form(owner: Owner, faults: Mapping[str, Any]) -> str:
    options = _currencies(owner)
    asked = request.values.get("currency", "")
    chosen = asked if asked in options else options[0]
    present = next((a for a in live(owner.kind, owner.id) if a.currency == chosen), None)
    return render_template(
        "payout_account.html",
        owner=owner,
        typed=request.form,
        faults=faults,
        kind=_kind(),
        currency=chosen,
        options=[(each, each) for each in options],
        country=request.form.get("country") or owner.country,
        countries=_countries(),
        present=present,
        needs_code=_needs_code(),
    )


def _countries() -> list[tuple[str, str]]:
    """By name, in the reader's language."""
    names = i18n.locale().territories
    return sorted(((code, names[code]) for code in rules.COUNTRIES), key=lambda each: each[1])
