"""What an order's first accrual freezes: terms, groups, uplines and notices as of its payment."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from affiliate import clock
from affiliate.attribution.rules import moment
from affiliate.attribution.service import Credit
from affiliate.catalog import queries as catalog
from affiliate.commissions import rules
from affiliate.commissions.rules import Upline
from affiliate.commissions.service import grading
from affiliate.commissions.targets import Frozen, Seller, frozen_of
from affiliate.db import db
from affiliate.links import queries as links
from affiliate.orders.queries import Stored
from affiliate.people import queries as people
from affiliate.people.models import Merchant
from affiliate.programs import queries as programs
from affiliate.programs.book import Book
from affiliate.programs.grades import Figures
from affiliate.programs.models import Grade, Terms

At = tuple[int, datetime]  # a promoter as of an instant


def freeze(
    merchant_id: int,
    orders: Sequence[Stored],
    credited: dict[int, Credit],
    books: Mapping[int, Book],
    *,
    draft: Terms | None = None,
    closes: bool = True,
) -> dict[int, Frozen]:
    """What is frozen of each order with a winner, by order; new ones are kept with their credit.

    Orders that are not paid yet are estimated by what holds at their creation, and nothing of it
    is kept. With a `draft` all are judged by those terms instead of their own. Where a rule asks
    for a closed month, a paid order closes it, unless `closes` is false.
    """
    winning = [order for order in orders if credited[order.id].program_id is not None]
    fresh = [order for order in winning if credited[order.id].frozen is None]
    new = {order.id for order in fresh}
    found = {
        order.id: frozen_of(credited[order.id].frozen) for order in winning if order.id not in new
    }
    if fresh:
        found |= _Freezing(merchant_id, fresh, credited, books, draft, closes).frozen()
    new |= _add_categories(merchant_id, winning, credited, books, found)
    for order in winning:
        if order.id in new and order.facts.paid_at is not None:
            credited[order.id].frozen = found[order.id].as_json()
    return found


def _add_categories(
    merchant_id: int,
    orders: Sequence[Stored],
    credited: dict[int, Credit],
    books: Mapping[int, Book],
    found: dict[int, Frozen],
) -> set[int]:
    """Of products whose lines tell none, where a rule asks for categories; kept from then on.

    Returns the orders to which one was added.
    """
    grown: set[int] = set()
    wanted = {
        order.id: [
            (order.shop_id, line.product_external_id)
            for line in order.facts.lines
            if line.product_external_id
            and not line.category
            and line.product_external_id not in found[order.id].categories
        ]
        for order in orders
        if any(rule.category for rule in books[credited[order.id].program_id or 0].rules)
    }
    missing = {key for keys in wanted.values() for key in keys}
    if not missing:
        return grown
    known = catalog.categories(merchant_id, missing)
    for order_id, keys in wanted.items():
        more = {product: known[shop, product] for shop, product in keys if (shop, product) in known}
        if more:
            before = found[order_id]
            found[order_id] = replace(before, categories={**before.categories, **more})
            grown.add(order_id)
    return grown


class _Freezing:
    """All that a batch of orders needs, in one statement per kind of row."""

    def __init__(
        self,
        merchant_id: int,
        orders: Sequence[Stored],
        credited: dict[int, Credit],
        books: Mapping[int, Book],
        draft: Terms | None = None,
        closes: bool = True,
    ) -> None:
        self.draft, self.closes = draft, closes
        self.merchant_id, self.orders, self.credited = merchant_id, orders, credited
        self.books = books
        self.at = {order.id: _moment(order, credited[order.id]) for order in orders}
        self.merchant = db.session.get_one(Merchant, merchant_id)
        self.terms = self._terms()
        self.uplines = self._uplines()
        everybody = {who for order in orders for who in credited[order.id].promoter_ids}
        needs_groups = any(
            rule.group_id is not None
            for order in orders
            for rule in books[credited[order.id].program_id or 0].rules
        )
        self.groups = programs.group_members(merchant_id, everybody) if needs_groups else {}
        self.locked = self._locked()
        self.volumes, self.grades = self._standing()
        self.agencies = self._agencies()

    def frozen(self) -> dict[int, Frozen]:
        return {order.id: self._of(order) for order in self.orders}

    def _of(self, order: Stored) -> Frozen:
        credit, terms, at = self.credited[order.id], self.terms[order.id], self.at[order.id]
        parts = {part["promoter"]: part for each in credit.credited for part in each["by"]}
        sellers = {who: self._seller(order, part) for who, part in parts.items()}
        return Frozen(
            at=at,
            terms_id=terms.id,
            base=terms.base,
            hold_days=terms.hold_days,
            hold_fallback_days=terms.hold_fallback_days,
            platform_fee_ppm=self.merchant.platform_fee_ppm,
            sellers=sellers,
            month=at.astimezone(ZoneInfo(self.merchant.timezone)).date().replace(day=1),
            caps={
                cap["per"]: cap["amount"]
                for cap in terms.caps
                if cap["currency"] == order.facts.currency
            },
            categories={},
        )

    def _seller(self, order: Stored, part: Mapping[str, object]) -> Seller:
        terms, at = self.terms[order.id], self.at[order.id]
        who = part["promoter"]
        assert isinstance(who, int)
        above = self.uplines.get((order.id, who), [])
        content = part["content"]
        grade = self.grades.get((who, at))
        return Seller(
            promoter_id=who,
            role="rebate" if part["self"] else "direct",
            others=tuple(
                rules.tier_shares(above, terms.tiers_ppm, inactive_upline=terms.inactive_upline)
            ),
            inactive=tuple(each.promoter_id for each in above if not each.active),
            groups=tuple(sorted(programs.groups_as_of(self.groups.get(who, ()), at))),
            content=content if isinstance(content, str) else None,
            locked=tuple(self.locked.get((order.id, who), ())),
            grade=grade.id if grade else None,
            grade_name=grade.name if grade else None,
            volumes=self.volumes.get((who, at), {}),
            agency=self.agencies.get((who, at)),
        )

    def _terms(self) -> dict[int, Terms]:
        if self.draft is not None:
            return {order.id: self.draft for order in self.orders}
        wanted = {(self.merchant_id, self.credited[o.id].program_id or 0) for o in self.orders}
        versions = programs.terms_of(wanted)
        return {
            order.id: programs.as_of(
                versions[self.merchant_id, self.credited[order.id].program_id or 0],
                self.at[order.id],
            )
            for order in self.orders
        }

    def _uplines(self) -> dict[tuple[int, int], list[Upline]]:
        """By order and seller: the upline as of the payment, and who of them is active.

        Compressing needs to look past inactive people, so the whole way up is read.
        """
        if not any(terms.tiers_ppm for terms in self.terms.values()):
            return {}
        asked: dict[tuple[int, int], At] = {
            (order.id, who): (who, self.at[order.id])
            for order in self.orders
            for who in self.credited[order.id].promoter_ids
        }
        paths = people.uplines(set(asked.values()), levels=64)
        above = {(person, at) for (_, at), path in paths.items() for person in path}
        stopped = people.suspended(above)
        program_ids = {self.credited[order.id].program_id or 0 for order in self.orders}
        members = programs.memberships(
            {(self.merchant_id, program_id, who) for program_id in program_ids for who, _ in above}
        )

        def active(person: int, program_id: int, at: datetime) -> bool:
            member = members.get((self.merchant_id, program_id, person))
            return member is not None and member.was_active(at) and (person, at) not in stopped

        return {
            (order_id, who): [
                Upline(each, active(each, self.credited[order_id].program_id or 0, at[1]))
                for each in paths.get(at, [])
            ]
            for (order_id, who), at in asked.items()
        }

    def _locked(self) -> dict[tuple[int, int], list[datetime]]:
        """The instants before changes whose notice still ran, for who had a live link then.

        A raise is among them too: looking back before it finds the lower rate, which loses.
        """
        changed = {
            order.id: moments
            for order in self.orders
            if (moments := self._book(order).locked(self.at[order.id]))
        }
        if not changed:
            return {}
        everybody = {who for order_id in changed for who in self.credited[order_id].promoter_ids}
        shared = links.of_promoters(self.merchant_id, everybody)
        found: dict[tuple[int, int], list[datetime]] = {}
        for order_id, moments in changed.items():
            credit = self.credited[order_id]
            for who in credit.promoter_ids:
                mine = shared.get((credit.program_id or 0, who), [])
                found[order_id, who] = [
                    moment
                    for moment in moments
                    if any(link.created_at <= moment and link.was_open(moment) for link in mine)
                ]
        return found

    def _standing(self) -> tuple[Mapping[At, Mapping[str, Figures]], Mapping[At, Grade]]:
        """What sellers sold in the last closed period, and their grades, where rules ask for it."""
        paid: set[At] = set()
        banded: set[At] = set()
        graded: set[At] = set()
        periods: set[str] = set()
        for order in self.orders:
            book, at = self._book(order), self.at[order.id]
            sellers = {(who, at) for who in self.credited[order.id].promoter_ids}
            paid |= sellers if self.closes and order.facts.paid_at is not None else set()
            banded |= sellers if book.periods else set()
            periods |= book.periods
            graded |= sellers if book.asks_grades else set()
        return (
            grading.volumes_of(self.merchant, banded, periods, paid=paid & banded)
            if banded
            else {},
            grading.grades_of(self.merchant, graded, paid=paid & graded) if graded else {},
        )

    def _agencies(self) -> dict[At, int]:
        """Which agency each seller was with, where agencies get anything at all."""
        wanted = {
            (who, self.at[order.id])
            for order in self.orders
            if self._book(order).agency_rates
            for who in self.credited[order.id].promoter_ids
        }
        return people.agencies_as_of(wanted) if wanted else {}

    def _book(self, order: Stored) -> Book:
        return self.books[self.credited[order.id].program_id or 0]


def _moment(order: Stored, credit: Credit) -> datetime:
    """As of its payment; never later than now, so that what is stated later changes nothing."""
    at = order.facts.paid_at or order.facts.placed_at
    assert at, "a stub has no winner"
    return min(moment(at, credit.touched_at), max(clock.now(), order.facts.placed_at or at))
