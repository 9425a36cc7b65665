"""Where a payee wants to be paid: asked for field by field, shown masked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, formats, i18n
from affiliate.consoles import purses
from affiliate.consoles import session as door
from affiliate.consoles.currencies import currency_of
from affiliate.consoles.session import current_person
from affiliate.db import db
from affiliate.errors import AffiliateError, FieldError
from affiliate.i18n import _
from affiliate.payouts import rails, service
from affiliate.payouts.models import PayoutAccount
from affiliate.people import rules


@dataclass(frozen=True, slots=True)
class Way:
    """One way to be paid, as payees know it; which rail carries it is the instance's business."""

    kind: str
    words: Any
    rails: tuple[str, ...]  # the first of them that is set up for the currency
    fields: tuple[str, ...]
    currency: str = ""  # of this one only
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # fields of some rails alone
    renamed: Mapping[str, str] = field(default_factory=dict)  # "rail.ours" as the rail calls it

    def rail(self, currency: str) -> str | None:
        if self.currency not in {"", currency}:
            return None
        there = rails.offered()
        usable = (each for each in self.rails if each in there)
        return next((each for each in usable if rails.RAILS[each].takes(currency)), None)

    def asked(self, rail: str) -> list[str]:
        return [each for each in self.fields if rail in self.only.get(each, (rail,))]


HOLDER = ("account_holder",)
WAYS = (
    Way("pix", "Pix", ("mercadopago", "pix_qr"), (*HOLDER, "key_type", "key", "tax_id"), "BRL",
        only={"tax_id": ("mercadopago",)}),
    Way("clabe", "CLABE", ("mercadopago", "file"), (*HOLDER, "account_number", "tax_id"), "MXN",
        only={"tax_id": ("file",)}, renamed={"mercadopago.account_number": "clabe"}),
    Way("cbu", "CBU, CVU", ("file",), (*HOLDER, "account_number", "tax_id"), "ARS"),
    Way("wechat", _("WeChat"), ("wechat",), (*HOLDER, "openid"), "CNY"),
    Way("number", _("Account number"), ("file",),
        (*HOLDER, "bank_name", "bank_code", "branch", "account_number", "account_type", "tax_id")),
    Way("iban", "IBAN", ("sepa", "file"), (*HOLDER, "iban", "bic")),
    Way("paypal", "PayPal", ("paypal",), (*HOLDER, "email")),
)  # fmt: skip
KEY_TYPES = (
    ("cpf", "CPF"), ("cnpj", "CNPJ"), ("email", _("E-mail")), ("phone", _("Mobile phone")),
    ("random", _("Random key")),
)  # fmt: skip
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
        "bad_number": _("This number is too long, too short or has other signs in it."),
        "bad_email": _("This is not an e-mail address."),
        "bad_phone": _("This is no telephone number of Brazil."),
        "bad_key": _("This is not a random key: your bank's app shows it, 36 signs long."),
        "bad_openid": _("This is not an openid of WeChat."),
        "no_sepa": _("Banks of this country take no euros by SEPA."),
        "not_latin": _("Please write the name in Latin letters, as your bank does."),
        "no_rail": _("This way does not send this currency."),
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
    """The account before it is kept as replaced: payouts on their way still go there, and for two
    days new ones as well.
    """
    account = None
    faults = _wrong(owner)
    if not faults:
        try:
            if _needs_code():
                door.prove_second_factor(request.form.get("otp", "").strip())
            account = service.add_account(owner.kind, owner.id, **_typed())
        except AffiliateError as refusal:
            faults = _faults(refusal)
    if faults or account is None:
        return _form(owner, faults), 422
    if account.used_from > clock.now():
        when = formats.instant(account.used_from)
        flash(_("Saved. Payouts go there from %(when)s on.", when=when), "done")
    else:
        flash(_("Saved. Payouts go there from now on."), "done")
    return redirect(url_for(owner.back), 303)


def live(kind: str, payee_id: int) -> Sequence[PayoutAccount]:
    """The last account of each currency; one that took another's place may still cool off."""
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
    currency = typed.get("currency", "")
    way, rail = _way(currency)
    return {
        "rail": rail,
        "country": typed.get("country", ""),
        "currency": currency,
        "fields": {_renamed(way, rail, name): typed.get(name, "") for name in way.asked(rail)},
    }


def _renamed(way: Way, rail: str, name: str) -> str:
    return way.renamed.get(f"{rail}.{name}", name)


def _ways(currency: str) -> list[tuple[Way, str]]:
    """Each with the rail that carries it."""
    found = ((way, way.rail(currency)) for way in WAYS)
    return [(way, rail) for way, rail in found if rail is not None]


def _way(currency: str) -> tuple[Way, str]:
    """The one that was chosen, or the first there is for this currency."""
    ways = _ways(currency)
    asked = request.values.get("kind", "")
    return next((each for each in ways if each[0].kind == asked), ways[0])


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
    way, rail = _way(request.form.get("currency", ""))
    ours = {_renamed(way, rail, name): name for name in way.fields}
    return {_name(each, ours): FAULTS.get(each.code, each.message) for each in refusal.errors}


def _name(error: FieldError, ours: Mapping[str, str]) -> str:
    name = error.pointer.rpartition("/")[2]
    return ours.get(name, name)


def _form(owner: Owner, faults: Mapping[str, Any]) -> str:
    options = _currencies(owner)
    asked = request.values.get("currency", "")
    chosen = asked if asked in options else options[0]
    way, rail = _way(chosen)
    present = next((a for a in live(owner.kind, owner.id) if a.currency == chosen), None)
    return render_template(
        "payout_account.html",
        owner=owner,
        typed=request.form,
        faults=faults,
        way=way,
        asked=way.asked(rail),
        ways=[_tab(owner, chosen, each, way) for each, _rail in _ways(chosen)],
        key_types=KEY_TYPES,
        currency=chosen,
        options=[(each, each) for each in options],
        country=request.form.get("country") or owner.country,
        countries=_countries(),
        present=present,
        needs_code=_needs_code(),
    )


def _tab(owner: Owner, currency: str, each: Way, chosen: Way) -> tuple[str, Any, None, bool]:
    here = url_for(owner.here, currency=currency, kind=each.kind)
    return here, each.words, None, each is chosen


def _countries() -> list[tuple[str, str]]:
    """By name, in the reader's language."""
    names = i18n.locale().territories
    return sorted(((code, names[code]) for code in rules.COUNTRIES), key=lambda each: each[1])
