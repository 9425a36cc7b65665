"""Stating rules: each change is a version that holds from an instant on, never before now."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import queries as catalog
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, Invalid, invalid
from affiliate.i18n import _
from affiliate.money import EXPONENTS, LARGEST, PPM
from affiliate.people import queries as people
from affiliate.programs import queries
from affiliate.programs.book import Kind, Scope, normal_code, normal_word
from affiliate.programs.grades import PERIODS
from affiliate.programs.models import Program, Rule, RuleVersion
from affiliate.programs.service.cuts import tell_of_cut
from affiliate.programs.service.grades import measure_faults


class OverlappingVersions(Conflict):
    """A rule has a version from this instant on, or from a later one, already."""

    code = "overlapping_versions"


class RuleEnded(Conflict):
    code = "rule_ended"


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule is for: its scope, and whom or what the scope names."""

    scope: str
    promoter_id: int | None = None
    group_id: int | None = None
    product_id: int | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Stated:
    """What a version says."""

    kind: str = Kind.PERCENT
    rate_ppm: int = 0
    amount: int = 0
    currency: str | None = None
    priority: int = 0
    # As stored: new_customer, min_order_amount, currency, since, until, contents, coupon, grades,
    # volume.
    conditions: Mapping[str, Any] | None = None


STATED_FIELDS = tuple(each.name for each in fields(Stated))
_NAMES: Mapping[str, frozenset[str]] = {
    Scope.PROMOTER_PRODUCT: frozenset({"promoter_id", "product_id"}),
    Scope.PROMOTER: frozenset({"promoter_id"}),
    Scope.GROUP_PRODUCT: frozenset({"group_id", "product_id"}),
    Scope.PRODUCT: frozenset({"product_id"}),
    Scope.CATEGORY: frozenset({"category"}),
    Scope.GROUP: frozenset({"group_id"}),
    Scope.PROGRAM: frozenset(),
}


def add_rule(
    program: Program,
    target: Target,
    stated: Stated,
    *,
    effective_from: datetime | None = None,
    by: int | None = None,
    inline: bool = False,
) -> Rule:
    """A new rule of this program, from now or from a later instant on."""
    target = replace(target, category=normal_word(target.category))
    _check_target(program, target)
    _check_stated(program, stated, _ceiling(program))
    rule = Rule(
        merchant_id=program.merchant_id,
        program_id=program.id,
        scope=target.scope,
        promoter_id=target.promoter_id,
        group_id=target.group_id,
        product_id=target.product_id,
        category=target.category,
        inline=inline,
    )
    db.session.add(rule)
    db.session.flush()
    since = _since(effective_from)
    _write(rule, stated, since, by=by)
    terms = queries.latest_terms(program.merchant_id, program.id)
    if stated.kind == Kind.PERCENT and stated.rate_ppm < terms.default_rate_ppm:
        tell_of_cut(program, since=since, notice_days=terms.notice_days)
    return rule


def would_rule(program: Program, target: Target, stated: Stated, *, ceiling: int) -> dict[str, Any]:
    """A rule that is not stated yet, as plain JSON; refused as `add_rule` would."""
    target = replace(target, category=normal_word(target.category))
    _check_target(program, target)
    _check_stated(program, stated, ceiling)
    found = asdict(target) | asdict(stated)
    product_id = found.pop("product_id")
    if product_id is not None:
        product = catalog.product(program.merchant_id, product_id)
        found["product"] = [product.shop_id, product.external_id]
    return found


def change_rule(
    program: Program,
    rule: Rule,
    changes: Mapping[str, Any],
    *,
    effective_from: datetime | None = None,
    by: int | None = None,
) -> Rule:
    """State the rule anew. The caller holds its row locked; what was paid before stays."""
    before = latest_version(rule)
    if before.ended:
        raise RuleEnded(_("This rule has ended; state a new one."))
    stated = _stated(before)
    if changes.get("kind", before.kind) != before.kind:
        stated = Stated(priority=stated.priority, conditions=stated.conditions)
    after = replace(stated, **{k: changes[k] for k in STATED_FIELDS if k in changes})
    _check_stated(program, after, _ceiling(program))
    since = _since(effective_from, after=before)
    _write(rule, after, since, by=by)
    if _pays_less(after, before):
        _tell(program, since)
    return rule


def end_rule(program: Program, rule: Rule, *, by: int | None = None) -> Rule:
    """From now on it does not count; asking again changes nothing. A version that was to come
    later is over before it began.
    """
    before = latest_version(rule)
    if before.ended:
        return rule
    now = clock.now()
    # One that is to begin later is over before it began (`book.standing`).
    since = now if before.effective_from > now else max(now, before.effective_from + clock.TICK)
    _write(rule, _stated(before), since, by=by, ended=True)
    _tell(program, since)
    return rule


def set_product_rate(
    program: Program, product_id: int, rate_ppm: int | None, *, by: int | None = None
) -> None:
    """Pay the seller another rate for one product from now on; None is the program's rate again."""
    rule = db.session.scalar(
        sa.select(Rule)
        .filter_by(
            merchant_id=program.merchant_id,
            program_id=program.id,
            product_id=product_id,
            inline=True,
        )
        .with_for_update()
    )
    if rule is None:
        if rate_ppm is not None:
            target = Target(Scope.PRODUCT, product_id=product_id)
            add_rule(program, target, Stated(rate_ppm=rate_ppm), by=by, inline=True)
        return
    if rate_ppm is None:
        end_rule(program, rule, by=by)
        return
    before = latest_version(rule)
    _check_stated(program, Stated(rate_ppm=rate_ppm), _ceiling(program))
    since = _since(None, after=before)
    _write(rule, Stated(rate_ppm=rate_ppm), since, by=by)  # begins again where it had ended
    if not before.ended and rate_ppm < before.rate_ppm:
        _tell(program, since)


def latest_version(rule: Rule) -> RuleVersion:
    """The version stated last, which may begin later than now."""
    return db.session.scalars(
        sa.select(RuleVersion)
        .filter_by(merchant_id=rule.merchant_id, rule_id=rule.id)
        .order_by(RuleVersion.id.desc())
        .limit(1)
    ).one()


def _since(wanted: datetime | None, *, after: RuleVersion | None = None) -> datetime:
    """When a version begins: not in the past, which is booked, and behind the one before it."""
    now = clock.now()
    if wanted is None:
        if after is not None and after.effective_from > now:
            raise OverlappingVersions(_("A version that begins later is stated already."))
        return max(now, after.effective_from + clock.TICK) if after else now
    if wanted < now:
        message = _("A rule begins now or later: what was paid stays as it is.")
        raise invalid("/effective_from", "in_the_past", message)
    if after is not None and wanted <= after.effective_from:
        message = _("A version that begins then, or later, is stated already.")
        wrong = FieldError("/effective_from", "overlapping_versions", message)
        raise OverlappingVersions(message, errors=(wrong,))
    return wanted


def _stated(version: RuleVersion) -> Stated:
    return Stated(**{name: getattr(version, name) for name in STATED_FIELDS})


def _write(
    rule: Rule, stated: Stated, since: datetime, *, by: int | None, ended: bool = False
) -> None:
    db.session.add(
        RuleVersion(
            merchant_id=rule.merchant_id,
            rule_id=rule.id,
            effective_from=since,
            ended=ended,
            kind=stated.kind,
            rate_ppm=stated.rate_ppm,
            amount=stated.amount,
            currency=stated.currency,
            priority=stated.priority,
            conditions=_normal(stated.conditions or {}),
            user_id=by,
        )
    )
    rule.version += 1
    db.session.flush()


def _normal(conditions: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in conditions.items() if value not in (None, [], ())}
    if "coupon" in kept:
        kept["coupon"] = normal_code(kept["coupon"])
    if "contents" in kept:
        kept["contents"] = [normal_word(each) for each in kept["contents"]]
    return kept


def _tell(program: Program, since: datetime) -> None:
    terms = queries.latest_terms(program.merchant_id, program.id)
    tell_of_cut(program, since=since, notice_days=terms.notice_days)


def _pays_less(after: Stated, before: RuleVersion) -> bool:
    if after.kind != before.kind or after.currency != before.currency:
        return True  # nobody can tell without an order; the seller gets the better one
    return (after.rate_ppm, after.amount) < (before.rate_ppm, before.amount) or (
        dict(after.conditions or {}) != before.conditions or after.priority < before.priority
    )


def _check_target(program: Program, target: Target) -> None:
    if target.scope not in _NAMES:
        message = _("One of %(allowed)s.", allowed=", ".join(Scope))
        raise invalid("/scope", "unknown_value", message)
    for name in ("promoter_id", "group_id", "product_id", "category"):
        given, wanted = getattr(target, name) is not None, name in _NAMES[target.scope]
        pointer = f"/{name.removesuffix('_id')}"
        if wanted and not given:
            raise invalid(pointer, "missing", _("This scope needs it."))
        if given and not wanted:
            raise invalid(pointer, "not_for_scope", _("This scope does not name one."))
    merchant_id = program.merchant_id
    who = target.promoter_id
    if who is not None and who not in people.promoters([who]):
        raise invalid("/promoter", "unknown_promoter", _("There is no such promoter here."))
    if target.group_id is not None:
        queries.group(merchant_id, target.group_id)
    if target.product_id is not None:
        catalog.product(merchant_id, target.product_id)


def _ceiling(program: Program) -> int:
    return queries.latest_terms(program.merchant_id, program.id).max_total_ppm


def _check_stated(program: Program, stated: Stated, ceiling: int) -> None:
    faults = [*_value_faults(stated), *_condition_faults(stated.conditions or {})]
    for grade_id in (stated.conditions or {}).get("grades", ()):
        if queries.grade(program.merchant_id, grade_id).ended_at is not None:
            message = _("This grade is not used any more.")
            faults.append(FieldError("/conditions/grades", "grade_ended", message))
    if not faults and stated.rate_ppm > ceiling:
        message = _("The rate is above the program's ceiling.")
        faults.append(FieldError("/rate_ppm", "above_cap", message))
    if faults:
        raise Invalid(_("This rule cannot be stated."), errors=tuple(faults))


def _value_faults(stated: Stated) -> list[FieldError]:
    if stated.kind not in set(Kind):
        message = _("One of %(allowed)s.", allowed=", ".join(Kind))
        return [FieldError("/kind", "unknown_value", message)]
    if stated.kind == Kind.PERCENT:
        found = [
            FieldError(f"/{name}", "not_for_kind", _("A percentage takes a rate only."))
            for name, value in (("amount", stated.amount), ("currency", stated.currency))
            if value
        ]
        if not 0 <= stated.rate_ppm <= PPM:
            message = _("From %(least)s to %(most)s.", least=0, most=PPM)
            found.append(FieldError("/rate_ppm", "out_of_range", message))
        return found
    found = []
    if stated.rate_ppm:
        message = _("An amount takes no rate.")
        found.append(FieldError("/rate_ppm", "not_for_kind", message))
    if stated.currency not in EXPONENTS:
        found.append(FieldError("/currency", "unknown_currency", _("An amount has a currency.")))
    if not 0 < stated.amount <= LARGEST:
        message = _("From %(least)s to %(most)s.", least=1, most=LARGEST)
        found.append(FieldError("/amount", "out_of_range", message))
    return found


def _condition_faults(conditions: Mapping[str, Any]) -> list[FieldError]:
    found = []
    if (conditions.get("min_order_amount") is None) != (conditions.get("currency") is None):
        message = _("A least amount has a currency.")
        found.append(FieldError("/conditions/min_order_amount", "missing", message))
    since, until = conditions.get("since"), conditions.get("until")
    if since and until and datetime.fromisoformat(until) <= datetime.fromisoformat(since):
        message = _("The end is not after the beginning.")
        found.append(FieldError("/conditions/until", "ends_before_it_begins", message))
    return found + (_band_faults(conditions["volume"]) if conditions.get("volume") else [])


def _band_faults(band: Mapping[str, Any]) -> list[FieldError]:
    pointer = "/conditions/volume"
    found = measure_faults(pointer, band["measure"], band.get("currency"))
    if band["period"] not in PERIODS:
        message = _("One of %(allowed)s.", allowed=", ".join(PERIODS))
        found.append(FieldError(f"{pointer}/period", "unknown_value", message))
    at_least, below = band.get("at_least", 0), band.get("below")
    if not 0 <= at_least <= LARGEST:
        message = _("From %(least)s to %(most)s.", least=0, most=LARGEST)
        found.append(FieldError(f"{pointer}/at_least", "out_of_range", message))
    if below is not None and below <= at_least:
        message = _("The end is not after the beginning.")
        found.append(FieldError(f"{pointer}/below", "ends_before_it_begins", message))
    return found
