"""The rule book of a program: which rate a line earns its seller, and what it beat (DOMAIN 4).

Pure: versions of rules and terms as plain facts, asked as of an instant. A version is never edited,
so the same question always has the same answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from affiliate import clock
from affiliate.money import share
from affiliate.programs import agencies
from affiliate.programs.agencies import AgencyRate
from affiliate.programs.grades import Band, Figures

Product = tuple[int, str]  # shop, and the product's id there


class Scope(StrEnum):
    """What a rule is for, the most particular first."""

    PROMOTER_PRODUCT = "promoter_product"
    PROMOTER = "promoter"
    GROUP_PRODUCT = "group_product"
    PRODUCT = "product"
    CATEGORY = "category"
    GROUP = "group"
    PROGRAM = "program"


RANK: Mapping[str, int] = {scope: rank for rank, scope in enumerate(Scope)}


class Kind(StrEnum):
    PERCENT = "percent"  # of the base
    PER_UNIT = "per_unit"  # an amount for each piece that was not refunded
    PER_ORDER = "per_order"  # an amount once, on the first line that chose the rule


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be so for a rule to count; all that are given."""

    new_customer: bool | None = None
    min_order_amount: int | None = None  # what was paid for the lines, in the currency
    currency: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    contents: tuple[str, ...] = ()  # the channel or kind of content that carried the link
    coupon: str | None = None  # one of this code was used; "*": any
    grades: tuple[int, ...] = ()  # the promoter's, as of the payment
    volume: Band | None = None  # the promoter's last closed period


@dataclass(frozen=True, slots=True)
class Rule:
    """One version of one rule."""

    rule_id: int
    version_id: int
    scope: str
    effective_from: datetime
    kind: str = Kind.PERCENT
    rate_ppm: int = 0
    amount: int = 0
    currency: str | None = None  # of the amount: other orders pass the rule over
    priority: int = 0
    ended: bool = False
    promoter_id: int | None = None
    group_id: int | None = None
    product: Product | None = None
    category: str | None = None
    conditions: Conditions = Conditions()


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a program's terms concerns the seller's rate."""

    effective_from: datetime
    default_rate_ppm: int
    max_total_ppm: int
    has_caps: bool = False
    notice_days: int = 30


@dataclass(frozen=True, slots=True)
class Page:
    """A book as it stood at an instant."""

    terms: Terms
    rules: Sequence[Rule]
    agency_rates: Sequence[AgencyRate] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """All versions of a program's terms, rules and agencies' rates, each earliest first."""

    terms: Sequence[Terms]
    rules: Sequence[Rule] = ()
    agency_rates: Sequence[AgencyRate] = ()

    def as_of(self, at: datetime) -> Page:
        terms = [each for each in self.terms if each.effective_from <= at][-1]
        latest: dict[int, Rule] = {}
        for rule in self.rules:
            if rule.effective_from <= at:
                latest[rule.rule_id] = rule
        rules = [rule for rule in latest.values() if not rule.ended]
        return Page(terms, rules, agencies.as_of(self.agency_rates, at))

    @property
    def has_caps(self) -> bool:
        """Whether the program ever had a cap per month: then all of its earnings are counted."""
        return any(each.has_caps for each in self.terms)

    @property
    def asks_grades(self) -> bool:
        return any(each.conditions.grades for each in self.rules)

    @property
    def periods(self) -> frozenset[str]:
        """Of which closed periods its rules ask the volume."""
        return frozenset(
            each.conditions.volume.period for each in self.rules if each.conditions.volume
        )

    def locked(self, at: datetime) -> list[datetime]:
        """The instants just before each change whose notice still runs at `at`: it is as long as
        was promised before the change.
        """
        moments = {each.effective_from for each in self.terms}
        moments |= {each.effective_from for each in self.rules}
        first = min(each.effective_from for each in self.terms)
        before = [moment - clock.TICK for moment in sorted(moments) if first < moment <= at]
        return [
            each
            for each in before
            if at < each + clock.TICK + timedelta(days=self.as_of(each).terms.notice_days)
        ]


def standing(versions: Sequence[Rule]) -> list[Rule]:
    """Versions without those that were stated over before they began: a rule that is ended today
    does not begin next week. In the order of their instants.
    """
    kept = []
    for version in versions:
        later = (
            other
            for other in versions
            if other.rule_id == version.rule_id and other.version_id > version.version_id
        )
        if not any(other.effective_from <= version.effective_from for other in later):
            kept.append(version)
    return sorted(kept, key=lambda each: (each.effective_from, each.version_id))


@dataclass(frozen=True, slots=True)
class Question:
    """A line of an order with its seller, as far as rules ask about it."""

    at: datetime
    promoter_id: int
    groups: frozenset[int]
    product: Product | None
    category: str | None
    currency: str
    order_amount: int
    new_customer: bool | None
    coupons: frozenset[str]  # normalised
    content: str | None
    grade: int | None = None
    volumes: Mapping[str, Figures] = field(default_factory=dict)  # by period


@dataclass(frozen=True, slots=True)
class Answer:
    """The rule that counts (None: the program's default), and what became of the others."""

    rule: Rule | None
    beaten: Sequence[Rule] = ()
    passed_over: Sequence[tuple[Rule, str]] = ()  # with the condition that failed


def choose(page: Page, asked: Question) -> Answer:
    """The rule for a line: the most particular scope, then priority, then the later one."""
    passed_over, standing = [], []
    for rule in page.rules:
        if not _is_about(rule, asked):
            continue
        reason = _fails(rule, asked)
        if reason:
            passed_over.append((rule, reason))
        else:
            standing.append(rule)
    standing.sort(key=_precedence)
    return Answer(standing[0] if standing else None, standing[1:], passed_over)


@dataclass(frozen=True, slots=True)
class Earning:
    """What one piece sold earns its seller: a rate of the price, or an amount."""

    ppm: int
    amount: int | None  # None: nobody can tell without a price
    is_amount: bool = False

    @property
    def worth(self) -> tuple[int, int]:
        return (self.amount or 0, self.ppm)


def offered(
    page: Page,
    *,
    at: datetime,
    promoter_id: int,
    groups: frozenset[int],
    product: Product,
    category: str | None,
    currency: str,
    price: int | None,
    grade: int | None = None,
    volumes: Mapping[str, Figures] | None = None,
) -> Earning:
    """What sharing one product promises, as far as that can be said before there is an order."""
    asked = Question(
        at=at,
        promoter_id=promoter_id,
        groups=groups,
        product=product,
        category=normal_word(category),
        currency=currency,
        order_amount=price or 0,
        new_customer=None,
        coupons=frozenset(),
        content=None,
        grade=grade,
        volumes=volumes or {},
    )
    rule = choose(page, asked).rule
    if rule is not None and rule.kind != Kind.PERCENT:
        return Earning(0, rule.amount, is_amount=True)
    ppm = rule.rate_ppm if rule else page.terms.default_rate_ppm
    return Earning(ppm, None if price is None else share(price, ppm))


def _precedence(rule: Rule) -> tuple[int, int, float, int]:
    return (
        RANK[rule.scope],
        -rule.priority,
        -rule.effective_from.timestamp(),
        rule.rule_id,
    )


def _is_about(rule: Rule, asked: Question) -> bool:
    return (
        rule.promoter_id in (None, asked.promoter_id)
        and (rule.group_id is None or rule.group_id in asked.groups)
        and rule.product in (None, asked.product)
        and rule.category in (None, asked.category)
    )


def _fails(rule: Rule, asked: Question) -> str | None:
    """The first condition that is not met, by its name."""
    wanted = rule.conditions
    checks = (
        (rule.kind != Kind.PERCENT and rule.currency != asked.currency, "currency"),
        # Unknown is not new: a merchant who pays more for new customers wants to know.
        (
            wanted.new_customer is not None and asked.new_customer is not wanted.new_customer,
            "new_customer",
        ),
        (
            wanted.min_order_amount is not None
            and (wanted.currency != asked.currency or asked.order_amount < wanted.min_order_amount),
            "min_order_amount",
        ),
        (wanted.since is not None and asked.at < wanted.since, "not_yet"),
        (wanted.until is not None and asked.at >= wanted.until, "no_longer"),
        (bool(wanted.contents) and asked.content not in wanted.contents, "content"),
        (wanted.coupon is not None and not _used(wanted.coupon, asked.coupons), "coupon"),
        (bool(wanted.grades) and asked.grade not in wanted.grades, "grade"),
        (wanted.volume is not None and not _in_band(wanted.volume, asked.volumes), "volume"),
    )
    return next((name for failed, name in checks if failed), None)


def _used(coupon: str, coupons: frozenset[str]) -> bool:
    return bool(coupons) if coupon == "*" else coupon in coupons


def _in_band(band: Band, volumes: Mapping[str, Figures]) -> bool:
    sold = volumes.get(band.period)
    return sold is not None and band.holds(sold.of(band.measure, band.currency))


def normal_code(text: str) -> str:
    """A coupon code as it is compared: shops and buyers write it as they like."""
    return text.strip().casefold()


def normal_word(text: str | None) -> str | None:
    """A category or a kind of content as it is compared."""
    return text.strip().casefold() or None if text else None
