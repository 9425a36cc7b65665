"""A draft as a person types it: a period, other terms, rules that would end, and one rule more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from werkzeug.datastructures import MultiDict

from affiliate import clock, formats
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Shop
from affiliate.commissions.models import Simulation
from affiliate.commissions.service import Draft
from affiliate.consoles.merchant import rule_words
from affiliate.db import db
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.programs import service
from affiliate.programs.models import Group, Program, Terms
from affiliate.programs.rules import Offer
from affiliate.programs.service import Stated, Target

LONGEST = timedelta(days=3 * 366)
TIERS = 2  # asked for at least; more where the program pays more
FIELDS = {"/default_rate_ppm": "rate", "/max_total_ppm": "ceiling", "/tiers_ppm": "tier_2"}
RULE_FIELDS = {"/rate_ppm": "rule_rate"}
SCOPES = ("product", "category", "group")
Typed = MultiDict[str, str]


@dataclass(slots=True)
class TypedDraft:
    """What was typed for a program; reading it fills `faults`, by field."""

    program: Program
    terms: Terms
    shops: Sequence[Shop]
    zone: ZoneInfo
    typed: Typed
    faults: dict[str, Any] = field(default_factory=dict)

    def period(self) -> tuple[datetime, datetime] | None:
        """From the beginning of the first day to the end of the last, in the merchant's zone."""
        first, last = self._day("from"), self._day("to")
        if first is None or last is None:
            return None
        if last < first:
            self.faults["to"] = _("The last day is before the first.")
        elif last - first >= LONGEST:
            self.faults["to"] = _("Three years at most.")
        return begins(first, self.zone), begins(last + timedelta(days=1), self.zone)

    def draft(self) -> Draft:
        """Only what would be different is in it."""
        changes, rules = self._changes(), []
        ceiling = changes.get("max_total_ppm", self.terms.max_total_ppm)
        with self._faults(FIELDS, "rate"):
            ceiling = service.would_offer(self.program, changes).max_total_ppm
        scope = self.typed.get("scope", "")
        if scope in SCOPES:
            rate = self._rate("rule_rate")
            for target in self._targets(scope):
                with self._faults(RULE_FIELDS, "which"):
                    stated = Stated(rate_ppm=rate or 0)
                    rules.append(service.would_rule(self.program, target, stated, ceiling=ceiling))
        return Draft(changes, rules, self._ended())

    def _changes(self) -> dict[str, Any]:
        asked = {
            "default_rate_ppm": self._rate("rate"),
            "tiers_ppm": self._tiers(),
            "max_total_ppm": self._rate("ceiling"),
        }
        return {
            name: value
            for name, value in asked.items()
            if value is not None and value != getattr(self.terms, name)
        }

    def _tiers(self) -> list[int]:
        found = []
        for level in levels(self.terms):
            name = f"tier_{level}"
            found.append((self._rate(name) or 0) if self.typed.get(name, "").strip() else 0)
        while found and not found[-1]:
            found.pop()
        return found

    def _ended(self) -> list[int]:
        standing = {each.rule.rule_id for each in rule_words.standing(self.program, clock.now())}
        return [
            int(each)
            for each in self.typed.getlist("ended")
            if each.isdecimal() and int(each) in standing
        ]

    def _targets(self, scope: str) -> list[Target]:
        """What the rule more is for. A title that several shops have names each of its products."""
        text = self.typed.get("which", "").strip()[:200]
        if not text:
            self.faults["which"] = _("Say which one.")
        elif scope == "category":
            return [Target(scope, category=text)]
        elif scope == "group":
            if (group_id := _group(self.program.merchant_id, text)) is not None:
                return [Target(scope, group_id=group_id)]
            self.faults["which"] = _("There is no such group.")
        else:
            shops = [each.id for each in self.shops]
            if found := catalog.named(self.program.merchant_id, shops, text):
                return [Target(scope, product_id=each.id) for each in found]
            self.faults["which"] = _("There is no such product.")
        return []

    def _day(self, name: str) -> date | None:
        try:
            found = date.fromisoformat(self.typed.get(name, "").strip())
        except ValueError:
            found = date.min
        if not 1970 <= found.year <= 2200:
            self.faults[name] = _("Choose a day.")
            return None
        return found

    def _rate(self, name: str) -> int | None:
        try:
            return formats.typed_ppm(self.typed.get(name, ""))
        except AffiliateError as refusal:
            self.faults[name] = refusal.message
            return None

    @contextmanager
    def _faults(self, fields: Mapping[str, str], otherwise: str) -> Iterator[None]:
        """Refusals of the programs stand at the fields they are about."""
        try:
            yield
        except AffiliateError as refusal:
            for each in refusal.errors:
                name = next(
                    (name for start, name in fields.items() if each.pointer.startswith(start)),
                    otherwise,
                )
                self.faults.setdefault(name, each.message)
            if not refusal.errors:
                self.faults.setdefault(otherwise, refusal.message)


def begins(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def levels(terms: Terms) -> range:
    """The levels above the seller that the form asks for."""
    return range(2, 2 + max(TIERS, len(terms.tiers_ppm)))


def as_it_is(terms: Terms, zone: ZoneInfo) -> Typed:
    """The form before anybody typed: last month, and the terms that hold now."""
    last = clock.now().astimezone(zone).date().replace(day=1) - timedelta(days=1)
    typed = _terms(service.offer_of(terms), terms)
    typed["from"], typed["to"] = last.replace(day=1).isoformat(), last.isoformat()
    return typed


def like(program: Program, row: Simulation, terms: Terms, zone: ZoneInfo) -> Typed:
    """The form as it must have been for this replay, to be changed and asked again."""
    draft = row.draft
    names = ("default_rate_ppm", "tiers_ppm", "max_total_ppm")
    wanted = {name: draft["terms"].get(name, getattr(terms, name)) for name in names}
    typed = _terms(Offer(**wanted), terms)
    typed["from"] = row.since.astimezone(zone).date().isoformat()
    typed["to"] = (row.until.astimezone(zone) - timedelta(microseconds=1)).date().isoformat()
    typed.setlist("ended", [str(each) for each in draft["ended"]])
    for rule in draft["rules"][:1]:
        typed["scope"] = rule["scope"]
        typed["which"] = rule["category"] or (rule.get("product") or [0, ""])[1]
        if rule["group_id"]:
            typed["which"] = db.session.get_one(Group, (program.merchant_id, rule["group_id"])).name
        typed["rule_rate"] = percent(rule["rate_ppm"])
    return typed


def percent(ppm: int) -> str:
    """A rate as it is typed."""
    return formats.ppm(ppm).replace("%", "").strip()


def _terms(offer: Offer, terms: Terms) -> Typed:
    typed: Typed = MultiDict()
    typed["rate"], typed["ceiling"] = percent(offer.default_rate_ppm), percent(offer.max_total_ppm)
    for level in levels(terms):
        if level - 2 < len(offer.tiers_ppm):
            typed[f"tier_{level}"] = percent(offer.tiers_ppm[level - 2])
    return typed


def groups(merchant_id: int) -> list[str]:
    found = sa.select(Group.name).where(Group.merchant_id == merchant_id).order_by(Group.name)
    return list(db.session.scalars(found.limit(200)))


def _group(merchant_id: int, name: str) -> int | None:
    return db.session.scalar(
        sa.select(Group.id)
        .where(Group.merchant_id == merchant_id, sa.func.lower(Group.name) == sa.func.lower(name))
        .order_by(Group.id)
        .limit(1)
    )
