"""Rules, terms and drafts in the merchant's words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from affiliate import formats
from affiliate.attribution import trace
from affiliate.catalog import queries as catalog
from affiliate.db import db
from affiliate.i18n import _
from affiliate.people import queries as people
from affiliate.programs import queries as programs
from affiliate.programs.book import Conditions, Rule
from affiliate.programs.models import Grade, Group, Program


@dataclass(frozen=True, slots=True)
class Worded:
    """A rule as people read it."""

    rule: Rule
    what: Any  # what it is for
    pays: str
    conditions: Sequence[Any]

    def __str__(self) -> str:
        return " · ".join(map(str, (self.what, self.pays, *self.conditions)))


def standing(program: Program, at: Any) -> list[Worded]:
    """The rules that hold at an instant."""
    key = (program.merchant_id, program.id)
    return in_words(program.merchant_id, programs.books([key])[key].as_of(at).rules)


def latest(program: Program, rule_ids: Sequence[int]) -> list[Worded]:
    """What these rules said last, ended ones too."""
    key = (program.merchant_id, program.id)
    versions = {each.rule_id: each for each in programs.books([key])[key].rules}
    return in_words(program.merchant_id, [versions[each] for each in rule_ids if each in versions])


def in_words(merchant_id: int, rules: Sequence[Rule]) -> list[Worded]:
    products = catalog.by_external_ids(
        merchant_id, [each.product for each in rules if each.product]
    )
    promoters = people.promoters(each.promoter_id for each in rules if each.promoter_id)
    groups = _groups(merchant_id, {each.group_id for each in rules if each.group_id})

    def what(rule: Rule) -> Any:
        product = products.get(rule.product) if rule.product else None
        promoter = promoters.get(rule.promoter_id or 0)
        told = {
            "product": product.title if product else rule.product and rule.product[1],
            "promoter": promoter.name if promoter else "",
            "group": groups.get(rule.group_id or 0, ""),
            "category": rule.category,
        }
        return SCOPES[rule.scope](told)

    grades = programs.grades_by_id(
        merchant_id, {grade for each in rules for grade in each.conditions.grades}
    )
    return [
        Worded(
            each, what(each), _pays(each), [*_conditions(each.conditions), *_standing(each, grades)]
        )
        for each in rules
    ]


Told = Mapping[str, Any]
SCOPES: Mapping[str, Callable[[Told], Any]] = MappingProxyType(
    {
        "promoter_product": lambda told: _("%(promoter)s with %(product)s", **told),
        "promoter": lambda told: told["promoter"],
        "group_product": lambda told: _("Group %(group)s with %(product)s", **told),
        "product": lambda told: told["product"],
        "category": lambda told: _("Category %(category)s", **told),
        "group": lambda told: _("Group %(group)s", **told),
        "program": lambda _told: _("The whole program"),
    }
)


def _pays(rule: Rule) -> str:
    return trace.pays(
        {"kind": rule.kind, "rate_ppm": rule.rate_ppm, "each": rule.amount, "in": rule.currency}
    )


def _conditions(wanted: Conditions) -> list[Any]:
    found: list[Any] = []
    if wanted.new_customer is not None:
        found.append(_("new customers only") if wanted.new_customer else _("known customers only"))
    if wanted.min_order_amount is not None and wanted.currency:
        least = formats.money(wanted.min_order_amount, wanted.currency)
        found.append(_("orders of %(money)s or more", money=least))
    if wanted.since:
        found.append(_("from %(day)s", day=formats.day(wanted.since)))
    if wanted.until:
        found.append(_("until %(day)s", day=formats.day(wanted.until)))
    if wanted.contents:
        found.append(_("content: %(kinds)s", kinds=", ".join(wanted.contents)))
    if wanted.coupon:
        any_ = wanted.coupon == "*"
        found.append(_("with any coupon") if any_ else _("coupon %(code)s", code=wanted.coupon))
    return found


def _standing(rule: Rule, grades: Mapping[int, Grade]) -> list[Any]:
    """What a rule asks of the promoter's grade and last closed period."""
    found: list[Any] = []
    wanted, band = rule.conditions.grades, rule.conditions.volume
    if wanted:
        names = ", ".join(grades[each].name for each in wanted if each in grades)
        found.append(_("grade %(grades)s", grades=names))
    if band is not None:
        told = {"measure": trace.MEASURES[band.measure], "period": trace.PERIODS[band.period]}
        low, high = (
            formats.money(each, band.currency) if each is not None and band.currency else each
            for each in (band.at_least, band.below)
        )
        found.append(
            _("%(measure)s of the last %(period)s from %(low)s", low=low, **told)
            if high is None
            else _("%(measure)s of the last %(period)s from %(low)s to below %(high)s",
                   low=low, high=high, **told)
        )  # fmt: skip
    return found


def _groups(merchant_id: int, group_ids: set[int]) -> dict[int, str]:
    if not group_ids:
        return {}
    rows = db.session.execute(
        sa.select(Group.id, Group.name).where(
            Group.merchant_id == merchant_id, Group.id.in_(group_ids)
        )
    )
    return {row_id: name for row_id, name in rows}  # noqa: C416
