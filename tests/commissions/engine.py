"""The whole engine on plain facts: an order, who is credited, a rule book → who gets what."""

from datetime import UTC, datetime, timedelta

from affiliate.commissions.rules import Share, Upline, tier_shares
from affiliate.commissions.targets import Credited, Frozen, Seller, targets
from affiliate.orders.facts import Line, Order
from affiliate.orders.models import Status
from affiliate.programs.book import Book, Rule, Scope, Terms

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SHOP = 7
ANA, BEN, CAI = 1, 2, 3


def a_line(amount, key="l1", **facts):
    return Line(external_id=key, title="Shirt", amount=amount, **({"quantity": 1} | facts))


def an_order(*lines, **facts):
    facts = {"external_id": "1001", "version": 1, "status": Status.PAID, "currency": "BRL"} | facts
    return Order(placed_at=NOON, paid_at=NOON, lines=lines, **facts)


def a_seller(promoter=ANA, *, tiers=(), uplines=(), mode="skip", **facts):
    above = [each if isinstance(each, Upline) else Upline(each, True) for each in uplines]
    return Seller(
        promoter,
        facts.pop("role", "direct"),
        others=tuple(tier_shares(above, tiers, inactive_upline=mode)),
        **facts,
    )


def a_rule(scope=Scope.PROGRAM, *, rule_id=1, since=BEGINNING, **facts):
    version_id = facts.pop("version_id", rule_id * 100)
    return Rule(rule_id, version_id, scope, since, **facts)


def a_book(rate=100_000, *rules, ceiling=1_000_000, terms=None):
    return Book(terms or [Terms(BEGINNING, rate, ceiling)], list(rules))


def pay(order, book=None, *sellers, fee=0, at=NOON, base="net", credited=None, **frozen):
    """The targets, by (line, role, payee)."""
    return {
        (each.line, each.share.role, each.share.payee_id): each.amount
        for each in whole(
            order, book, *sellers, fee=fee, at=at, base=base, credited=credited, **frozen
        )[0]
    }


def whole(order, book=None, *sellers, fee=0, at=NOON, base="net", credited=None, **frozen):
    sellers = sellers or (a_seller(),)
    given = Frozen(
        at=at,
        terms_id=1,
        base=base,
        hold_days=15,
        hold_fallback_days=15,
        platform_fee_ppm=fee,
        sellers={each.promoter_id: each for each in sellers},
        categories=frozen.get("categories", {}),
        caps=frozen.get("caps", {}),
    )
    credited = credited or [Credited(None, tuple(each.promoter_id for each in sellers))]
    return targets(order, credited, given, book or a_book(), shop_id=SHOP)


def codes(notes):
    return [code for code, _ in notes]


__all__ = [
    "ANA", "BEGINNING", "BEN", "CAI", "DAY", "NOON", "SHOP", "Credited", "Share", "Upline",
    "a_book", "a_line", "a_rule", "a_seller", "an_order", "codes", "pay", "whole",
]  # fmt: skip
