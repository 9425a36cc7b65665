"""What a program's terms may be: its defaults, and the policy of the countries it sells in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from affiliate.errors import FieldError
from affiliate.i18n import _
from affiliate.money import EXPONENTS, LARGEST, PPM

SOURCES = ("coupon", "click", "sharer", "binding")
MODELS = ("last", "first", "linear")
CAPS = ("order", "promoter_month", "program_month")
LEVELS_MAX = 10  # whatever a country's policy says


@dataclass(frozen=True, slots=True)
class Offer:
    """The terms of a program as a merchant states them."""

    default_rate_ppm: int
    tiers_ppm: Sequence[int] = ()  # tier_2 first
    max_total_ppm: int = PPM
    window_days: int = 30
    model: str = "last"
    sources: Sequence[str] = SOURCES
    credit: str = "order"
    hold_days: int = 15
    hold_fallback_days: int = 15
    self_purchase: str = "none"
    inactive_upline: str = "skip"
    base: str = "net"
    binding_days: int = 30
    protection_days: int = 0
    notice_days: int = 30
    caps: Sequence[Mapping[str, Any]] = ()  # per, amount, currency: at most that much is earned

    @property
    def paid_levels(self) -> int:
        """`direct` is the first level; a tier of nothing at the end is none."""
        paid = [number for number, ppm in enumerate(self.tiers_ppm, start=2) if ppm]
        return max(paid, default=1)


OFFER_FIELDS = tuple(each.name for each in fields(Offer))

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "model": MODELS,
    "credit": ("order", "product"),
    "self_purchase": ("none", "rebate"),
    "inactive_upline": ("skip", "compress"),
    "base": ("net", "gross"),
}
_RANGES: Mapping[str, tuple[int, int]] = {
    "default_rate_ppm": (0, PPM),
    "max_total_ppm": (0, PPM),
    "window_days": (0, 3650),
    "hold_days": (0, 365),
    "hold_fallback_days": (0, 365),
    "binding_days": (0, 3650),
    "protection_days": (0, 3650),
    "notice_days": (0, 365),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """How many levels may be paid for sales in a country, from an instant on."""

    since: datetime
    levels: int
    levels_with_reason: int  # when an operator has recorded why
    source: str  # what it rests on, told with a refusal


_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
ELSEWHERE = "*"
# Dated, so that what was saved under an older policy can be told from a mistake.
POLICIES: Mapping[str, tuple[Policy, ...]] = {
    "CN": (
        Policy(
            _ALWAYS,
            levels=1,
            levels_with_reason=2,
            source="禁止传销条例 (国务院令第444号, 2005), art. 7",
        ),
    ),
    ELSEWHERE: (
        Policy(_ALWAYS, levels=3, levels_with_reason=3, source="the platform's own limit"),
    ),
}


def policy_of(country: str, at: datetime) -> Policy:
    dated = POLICIES.get(country, POLICIES[ELSEWHERE])
    return [policy for policy in dated if policy.since <= at][-1]


def strictest(countries: Collection[str], at: datetime) -> tuple[str, Policy]:
    """The country that allows least, and what it allows."""
    found = [(country, policy_of(country, at)) for country in sorted(countries)]
    return min(found, key=lambda each: (each[1].levels, each[1].levels_with_reason))


def faults(offer: Offer) -> list[FieldError]:
    """What cannot be offered anywhere, whatever the policy."""
    found = [
        _unknown(f"/{name}", allowed)
        for name, allowed in _CHOICES.items()
        if getattr(offer, name) not in allowed
    ]
    found += [
        _out_of_range(f"/{name}", least, most)
        for name, (least, most) in _RANGES.items()
        if not least <= getattr(offer, name) <= most
    ]
    found += _tier_faults(offer) + _source_faults(offer) + _cap_faults(offer)
    if not found and offer.default_rate_ppm > offer.max_total_ppm:
        message = _("The rate is above the ceiling.")
        found.append(FieldError("/default_rate_ppm", "above_cap", message))
    if not found and offer.protection_days > offer.binding_days:
        message = _("A customer cannot be protected for longer than bound.")
        found.append(FieldError("/protection_days", "above_binding", message))
    return found


def _out_of_range(pointer: str, least: int, most: int) -> FieldError:
    message = _("From %(least)s to %(most)s.", least=least, most=most)
    return FieldError(pointer, "out_of_range", message)


def _unknown(pointer: str, allowed: Collection[str]) -> FieldError:
    return FieldError(
        pointer, "unknown_value", _("One of %(allowed)s.", allowed=", ".join(allowed))
    )


def _tier_faults(offer: Offer) -> list[FieldError]:
    found = [
        _out_of_range(f"/tiers_ppm/{number}", 0, PPM)
        for number, ppm in enumerate(offer.tiers_ppm)
        if not 0 <= ppm <= PPM
    ]
    if len(offer.tiers_ppm) >= LEVELS_MAX:
        message = _(
            "Never more than %(most)s paid levels, the direct one included.",
            most=LEVELS_MAX,
        )
        found.append(FieldError("/tiers_ppm", "policy_levels", message))
    return found


def _cap_faults(offer: Offer) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for number, cap in enumerate(offer.caps):
        pointer = f"/caps/{number}"
        if cap["per"] not in CAPS:
            found.append(_unknown(f"{pointer}/per", CAPS))
        if cap["currency"] not in EXPONENTS:
            message = _("An amount has a currency.")
            found.append(FieldError(f"{pointer}/currency", "unknown_currency", message))
        if not 0 <= cap["amount"] <= LARGEST:
            found.append(_out_of_range(f"{pointer}/amount", 0, LARGEST))
        if (cap["per"], cap["currency"]) in seen:
            message = _("There is one cap of a kind in a currency.")
            found.append(FieldError(pointer, "repeated", message))
        seen.add((cap["per"], cap["currency"]))
    return found


def _source_faults(offer: Offer) -> list[FieldError]:
    found = [
        _unknown(f"/sources/{number}", SOURCES)
        for number, source in enumerate(offer.sources)
        if source not in SOURCES
    ]
    if not offer.sources:
        found.append(FieldError("/sources", "missing", _("At least one source is needed.")))
    if len(set(offer.sources)) != len(offer.sources):
        found.append(FieldError("/sources", "repeated", _("Each source stands here once.")))
    return found
