"""Making programs and changing them: terms are dated and never edited."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from affiliate import clock
from affiliate.catalog import queries as catalog
from affiliate.catalog import rules as addresses
from affiliate.catalog.models import Shop
from affiliate.db import db
from affiliate.errors import AffiliateError, FieldError, Invalid, invalid
from affiliate.i18n import _
from affiliate.people import queries as people
from affiliate.programs import queries, rules
from affiliate.programs import utm as templates
from affiliate.programs.models import BEGINNING, Enrolment, PlanType, Program, SoldOut, Terms
from affiliate.programs.rules import OFFER_FIELDS, Offer
from affiliate.programs.service.cuts import tell_of_cut


class PolicyRefuses(AffiliateError):
    """The countries a program sells in do not allow this many paid levels."""

    status = 422
    code = "policy_levels"


@dataclass(frozen=True, slots=True)
class Waiver:
    """An operator's word that a program may pay more levels than policy allows by itself."""

    reason: str
    user_id: int


def create_program(
    merchant_id: int,
    *,
    name: str,
    offer: Offer,
    enrolment: str = Enrolment.OPEN,
    plan_type: str = PlanType.PUBLIC,
    priority: int = 0,
    shop_ids: Collection[int] = (),
    fallback_url: str | None = None,
    utm: Mapping[str, str] | None = None,
    sold_out: str = SoldOut.REDIRECT,
    risk_threshold: int = 100,
    waiver: Waiver | None = None,
) -> Program:
    program = Program(
        merchant_id=merchant_id,
        name=name,
        enrolment=enrolment,
        plan_type=plan_type,
        priority=priority,
        risk_threshold=risk_threshold,
        sold_out=sold_out,
        shop_ids=_own_shops(merchant_id, shop_ids),
    )
    program.fallback_url = _fallback(program, fallback_url)
    program.utm = templates.checked(utm)
    _check(program, offer, waiver)
    db.session.add(program)
    db.session.flush()
    _state(program, offer, waiver, from_=BEGINNING)
    return program


def change_program(
    program: Program, changes: Mapping[str, Any], *, waiver: Waiver | None = None
) -> Program:
    """Change the program; other terms become a new row that holds from now on.

    The caller holds the program's row locked.
    """
    for name in ("name", "enrolment", "plan_type", "priority", "risk_threshold", "sold_out"):
        if name in changes:
            setattr(program, name, changes[name])
    if "shop_ids" in changes:
        program.shop_ids = _own_shops(program.merchant_id, changes["shop_ids"])
    if {"shop_ids", "fallback_url"} & set(changes):
        url = changes.get("fallback_url", program.fallback_url)
        program.fallback_url = _fallback(program, url)
    if "utm" in changes:
        program.utm = templates.checked(changes["utm"])
    if "ended" in changes:
        program.ended_at = (program.ended_at or clock.now()) if changes["ended"] else None
    now = queries.latest_terms(program.merchant_id, program.id)
    before = offer_of(now)
    after = replace(
        before,
        **{k: _frozen(changes[k]) for k in OFFER_FIELDS if k in changes},
    )
    if after != before or "shop_ids" in changes:
        _check(program, after, waiver or _recorded(now))
    if after != before:
        stated = _state(program, after, waiver or _recorded(now), from_=_after(now.effective_from))
        if after.default_rate_ppm < before.default_rate_ppm:
            tell_of_cut(program, since=stated.effective_from, notice_days=after.notice_days)
    program.version += 1
    db.session.flush()
    return program


def _frozen(value: Any) -> Any:
    """As `offer_of` has it, so that the same is the same."""
    return tuple(value) if isinstance(value, list) else value


def offer_of(terms: Terms) -> Offer:
    stated: dict[str, Any] = {name: getattr(terms, name) for name in OFFER_FIELDS}
    lists = {name: tuple(value) for name, value in stated.items() if isinstance(value, list)}
    return Offer(**(stated | lists))


def would_offer(program: Program, changes: Mapping[str, Any]) -> Offer:
    """The terms as these changes would make them; refused as `change_program` would."""
    now = queries.latest_terms(program.merchant_id, program.id)
    offer = replace(offer_of(now), **{name: _frozen(value) for name, value in changes.items()})
    _check(program, offer, _recorded(now))
    return offer


def check_new_shop(merchant_id: int, country: str) -> None:
    """Refuse a shop in whose country the merchant's programs pay more levels than allowed.

    Programs that list their shops are not touched by a new one.
    """
    for program, terms in queries.programs_of_all_shops(merchant_id):
        check_country(program, terms, country)


def add_shop(program: Program, shop: Shop) -> None:
    """Let a program that lists its shops hold for one more. The caller holds its row locked."""
    check_country(program, queries.latest_terms(program.merchant_id, program.id), shop.country)
    program.shop_ids = sorted({*program.shop_ids, shop.id})
    program.version += 1
    db.session.flush()


def check_country(program: Program, terms: Terms, country: str) -> None:
    """Refuse sales of this program in a country that does not allow its levels."""
    _check_levels([country], offer_of(terms), _recorded(terms), program.name)


def _state(program: Program, offer: Offer, waiver: Waiver | None, *, from_: datetime) -> Terms:
    stated = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(offer).items()}
    terms = Terms(
        merchant_id=program.merchant_id,
        program_id=program.id,
        effective_from=from_,
        policy_reason=waiver and waiver.reason,
        policy_user_id=waiver and waiver.user_id,
        **stated,
    )
    db.session.add(terms)
    db.session.flush()
    return terms


def _after(earlier: datetime) -> datetime:
    """Now, but later than what holds already: a clock may have been set back."""
    return max(clock.now(), earlier + clock.TICK)


def _recorded(terms: Terms) -> Waiver | None:
    if terms.policy_reason is None or terms.policy_user_id is None:
        return None
    return Waiver(terms.policy_reason, terms.policy_user_id)


def _check(program: Program, offer: Offer, waiver: Waiver | None) -> None:
    faults = rules.faults(offer)
    if program.enrolment not in set(Enrolment):
        message = _("One of %(allowed)s.", allowed=", ".join(Enrolment))
        faults.append(FieldError("/enrolment", "unknown_value", message))
    if program.plan_type not in set(PlanType):
        message = _("One of %(allowed)s.", allowed=", ".join(PlanType))
        faults.append(FieldError("/plan_type", "unknown_value", message))
    if faults:
        raise Invalid(_("These terms cannot be offered."), errors=tuple(faults))
    shops = catalog.shops(program.merchant_id, program.shop_ids)
    countries = {shop.country for shop in shops}
    if not countries:
        merchant = people.merchants([program.merchant_id])[program.merchant_id]
        countries = {merchant.country}
    _check_levels(countries, offer, waiver, program.name)


def _check_levels(
    countries: Collection[str], offer: Offer, waiver: Waiver | None, name: str
) -> None:
    country, policy = rules.strictest(countries, clock.now())
    allowed = policy.levels_with_reason if waiver else policy.levels
    if offer.paid_levels <= allowed:
        return
    message = _(
        "%(name)s pays %(levels)s levels, the direct one included; for sales in %(country)s"
        " policy allows %(allowed)s (%(source)s).",
        name=name,
        levels=offer.paid_levels,
        country=country,
        allowed=allowed,
        source=policy.source,
    )
    if allowed < policy.levels_with_reason:
        more = _(
            "An operator may allow %(levels)s with a reason.", levels=policy.levels_with_reason
        )
        message = f"{message} {more}"
    raise PolicyRefuses(message, errors=(FieldError("/tiers_ppm", "policy_levels", message),))


def _own_shops(merchant_id: int, shop_ids: Collection[int]) -> list[int]:
    wanted = sorted(set(shop_ids))
    known = {shop.id for shop in catalog.shops(merchant_id, wanted)} if wanted else set()
    if set(wanted) - known:
        raise invalid("/shops", "unknown_shop", _("Not all of these are shops of this merchant."))
    return wanted


def _fallback(program: Program, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        address = addresses.web_address(url)
    except addresses.BadAddress as error:
        raise invalid("/fallback_url", "bad_url", str(error)) from None
    if catalog.shop_of_address(catalog.shops(program.merchant_id, program.shop_ids), address):
        return address
    message = _("The fallback is a page of one of the program's shops.")
    raise invalid("/fallback_url", "foreign_host", message)
