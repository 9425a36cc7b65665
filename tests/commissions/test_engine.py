"""Rules, models and locks through the whole engine, on plain facts: each with its own edge."""

from datetime import timedelta

import pytest

from affiliate.orders.facts import Customer, Dispute, Refund, RefundLine
from affiliate.programs.book import Conditions, Kind, Scope, Terms
from tests.commissions.engine import (
    ANA,
    BEGINNING,
    BEN,
    DAY,
    NOON,
    SHOP,
    Credited,
    a_book,
    a_line,
    a_rule,
    a_seller,
    an_order,
    codes,
    pay,
    whole,
)


def direct(order, *given, **more):
    return sum(amount for (_, role, _), amount in pay(order, *given, **more).items()
               if role in ("direct", "rebate"))  # fmt: skip


LINE = a_line(10_000, product_external_id="p1", category="Shirts")
RULES = {
    Scope.PROMOTER_PRODUCT: {"promoter_id": ANA, "product": (SHOP, "p1")},
    Scope.PROMOTER: {"promoter_id": ANA},
    Scope.GROUP_PRODUCT: {"group_id": 5, "product": (SHOP, "p1")},
    Scope.PRODUCT: {"product": (SHOP, "p1")},
    Scope.CATEGORY: {"category": "shirts"},
    Scope.GROUP: {"group_id": 5},
    Scope.PROGRAM: {},
}


def test_the_more_particular_rule_counts_whatever_the_priorities():
    rules = [
        a_rule(scope, rule_id=number, rate_ppm=number * 10_000, priority=number, **target)
        for number, (scope, target) in enumerate(RULES.items(), start=1)
    ]
    seller = a_seller(ANA, groups=(5,))

    for number in range(len(rules)):
        assert direct(an_order(LINE), a_book(1, *rules[number:]), seller) == (number + 1) * 100


def test_on_one_scope_priority_then_the_later_one_then_the_lower_id():
    first = a_rule(rule_id=1, rate_ppm=10_000)
    later = a_rule(rule_id=2, rate_ppm=20_000, since=NOON - DAY)
    above = a_rule(rule_id=3, rate_ppm=30_000, priority=1)
    twin = a_rule(rule_id=4, rate_ppm=40_000, since=NOON - DAY)

    assert direct(an_order(LINE), a_book(1, first, later, above)) == 300
    assert direct(an_order(LINE), a_book(1, first, later)) == 200
    assert direct(an_order(LINE), a_book(1, later, twin)) == 200


def test_a_version_counts_from_its_instant_until_the_next():
    versions = [
        a_rule(version_id=1, rate_ppm=200_000),
        a_rule(version_id=2, rate_ppm=300_000, since=NOON),
        a_rule(version_id=3, rate_ppm=300_000, since=NOON + DAY, ended=True),
    ]

    def at(moment):
        return direct(an_order(LINE), a_book(100_000, *versions), at=moment)

    assert [at(NOON - DAY), at(NOON), at(NOON + DAY)] == [2000, 3000, 1000]


@pytest.mark.parametrize(
    ("conditions", "facts", "counts"),
    [
        ({"new_customer": True}, {"customer": Customer(new=True)}, True),
        ({"new_customer": True}, {"customer": Customer(new=False)}, False),
        ({"new_customer": True}, {}, False),
        ({"new_customer": False}, {}, False),
        ({"min_order_amount": 10_000, "currency": "BRL"}, {}, True),
        ({"min_order_amount": 10_001, "currency": "BRL"}, {}, False),
        ({"min_order_amount": 1, "currency": "USD"}, {}, False),
        ({"since": NOON, "until": NOON + DAY}, {}, True),
        ({"since": NOON - DAY, "until": NOON}, {}, False),
        ({"since": NOON + timedelta(seconds=1)}, {}, False),
        ({"coupon": "ana10"}, {"coupons": (" ANA10 ",)}, True),
        ({"coupon": "ana10"}, {"coupons": ("BEN10",)}, False),
        ({"coupon": "*"}, {"coupons": ("BEN10",)}, True),
        ({"coupon": "*"}, {}, False),
        ({"contents": ("live",)}, {}, True),
        ({"contents": ("note",)}, {}, False),
    ],
)
def test_a_condition_that_fails_passes_the_rule_over(conditions, facts, counts):
    rule = a_rule(rate_ppm=500_000, conditions=Conditions(**conditions))
    seller = a_seller(ANA, content="Live ")

    targets, notes = whole(an_order(LINE, **facts), a_book(100_000, rule), seller)

    assert targets[0].amount == (5000 if counts else 1000)
    assert ("rule_chosen" in codes(notes)) is counts
    assert ("rule_passed_over" in codes(notes)) is not counts


def test_refunds_do_not_make_an_order_too_small():
    rule = a_rule(rate_ppm=500_000, conditions=Conditions(min_order_amount=10_000, currency="BRL"))

    after = direct(an_order(LINE, refunds=(Refund("r1", amount=4000),)), a_book(1, rule))

    assert after == 3000


def test_an_amount_for_each_piece_that_stays():
    line = a_line(9000, quantity=3)
    rule = a_rule(kind=Kind.PER_UNIT, amount=500, currency="BRL")
    back = Refund("r1", lines=(RefundLine("l1", quantity=1),))
    amount_only = Refund("r1", amount=8000)

    assert direct(an_order(line), a_book(1, rule)) == 1500
    assert direct(an_order(line, refunds=(back,)), a_book(1, rule)) == 1000
    assert direct(an_order(line, refunds=(amount_only,)), a_book(1, rule)) == 1000  # the base left
    assert direct(an_order(line, refunds=(Refund("r", amount=9000),)), a_book(1, rule)) == 0


def test_an_amount_in_another_currency_is_for_other_orders():
    rule = a_rule(kind=Kind.PER_UNIT, amount=500, currency="USD")

    assert direct(an_order(LINE), a_book(100_000, rule)) == 1000


def test_an_amount_for_the_order_stands_on_its_first_line_while_any_is_left():
    lines = [a_line(5000, "l1"), a_line(5000, "l2")]
    rule = a_rule(kind=Kind.PER_ORDER, amount=700, currency="BRL")

    def left(*lines_back):
        refunds = tuple(
            Refund(f"r{key}", lines=(RefundLine(key, quantity=1, amount=5000),))
            for key in lines_back
        )
        paid = pay(an_order(*lines, refunds=refunds), a_book(1, rule))
        return [paid["l1", "direct", ANA], paid["l2", "direct", ANA]]

    assert left() == [700, 0]
    assert left("l1") == left("l2") == [700, 0]
    assert left("l1", "l2") == [0, 0]


def test_an_amount_is_never_more_than_the_ceiling_of_its_line():
    rule = a_rule(kind=Kind.PER_ORDER, amount=700, currency="BRL")

    assert direct(an_order(a_line(1000)), a_book(1, rule, ceiling=500_000)) == 500


def test_a_category_of_the_catalogue_counts_where_the_line_tells_none():
    rule = a_rule(Scope.CATEGORY, rate_ppm=500_000, category="shirts")
    line = a_line(10_000, product_external_id="p1")

    assert direct(an_order(line), a_book(1, rule), categories={"p1": "SHIRTS"}) == 5000
    assert direct(an_order(line), a_book(100_000, rule)) == 1000


def test_within_the_notice_of_a_cut_each_line_gets_the_better():
    cut = NOON - 5 * DAY
    before = cut - timedelta(microseconds=1)
    terms = [Terms(BEGINNING, 100_000, 1_000_000), Terms(cut, 60_000, 1_000_000)]
    raised = a_rule(Scope.PRODUCT, product=(SHOP, "p2"), rate_ppm=300_000, since=cut)
    lines = [a_line(10_000, "l1"), a_line(10_000, "l2", product_external_id="p2")]
    book = a_book(0, raised, terms=terms)

    held = pay(an_order(*lines), book, a_seller(ANA, locked=(before,)))
    stranger = pay(an_order(*lines), book, a_seller(ANA))

    assert list(held.values()) == [1000, 3000]  # the raise of l2 counts at once
    assert list(stranger.values()) == [600, 3000]


def test_the_better_rate_comes_with_its_ceiling():
    cut = NOON - DAY
    terms = [Terms(BEGINNING, 200_000, 300_000), Terms(cut, 50_000, 50_000)]

    locked = a_seller(ANA, locked=(cut - timedelta(microseconds=1),))

    assert direct(an_order(LINE), a_book(terms=terms), locked) == 2000


def test_a_rule_that_came_below_the_default_is_a_cut_as_well():
    cut = NOON - DAY
    rule = a_rule(Scope.PRODUCT, product=(SHOP, "p1"), rate_ppm=10_000, since=cut)
    locked = a_seller(ANA, locked=(cut - timedelta(microseconds=1),))

    targets, notes = whole(an_order(LINE), a_book(100_000, rule), locked)

    assert targets[0].amount == 1000
    assert "rate_locked" in codes(notes)


def test_equal_parts_have_their_own_uplines_and_rules():
    sellers = [
        a_seller(ANA, tiers=[50_000], uplines=[11]),
        a_seller(BEN, tiers=[50_000], uplines=[12]),
    ]
    rule = a_rule(Scope.PROMOTER, promoter_id=BEN, rate_ppm=200_000)

    paid = pay(an_order(a_line(10_001)), a_book(100_000, rule), *sellers)

    assert paid == {
        ("l1", "direct", ANA): 500,  # of 5001
        ("l1", "tier_2", 11): 250,
        ("l1", "direct", BEN): 1000,  # of 5000
        ("l1", "tier_2", 12): 250,
    }


def test_with_credit_by_product_a_line_without_a_link_earns_nothing():
    lines = [a_line(10_000, "l1", product_external_id="p1"), a_line(10_000, "l2")]
    credited = [Credited(frozenset({"p1"}), (ANA,))]

    targets, notes = whole(an_order(*lines), None, a_seller(ANA), credited=credited)

    assert [(each.line, each.amount) for each in targets] == [("l1", 1000)]
    assert ("line_not_credited", {"line": "l2"}) in notes


def test_a_rebate_is_the_sellers_amount_under_its_own_name():
    seller = a_seller(ANA, role="rebate", tiers=[50_000], uplines=[11])

    paid = pay(an_order(LINE), None, seller)

    assert paid == {("l1", "rebate", ANA): 1000, ("l1", "tier_2", 11): 500}


def test_a_lost_dispute_is_a_refund_and_a_won_one_is_nothing():
    def left(status, amount=None):
        return direct(an_order(LINE, disputes=(Dispute("d1", status, amount),)))

    assert [left("open"), left("won"), left("lost", 4000), left("lost")] == [1000, 1000, 600, 0]


def test_five_hundred_lines_are_all_paid():
    lines = [a_line(100 + number, f"l{number}") for number in range(500)]

    paid = pay(an_order(*lines, discount=777))

    assert len(paid) == 500
    assert sum(paid.values()) <= (sum(line.amount for line in lines) - 777) // 10


def test_odd_quantities_and_discounts_have_a_defined_outcome():
    nothing = a_line(0, quantity=0)
    rule = a_rule(kind=Kind.PER_UNIT, amount=500, currency="BRL")

    assert direct(an_order(nothing), a_book(1, rule)) == 0
    assert direct(an_order(a_line(1000, discount=5000))) == 0
    assert direct(an_order(a_line(1000), discount=5000)) == 0


def test_a_refund_of_an_unknown_line_takes_nothing_from_the_others():
    order = an_order(LINE, refunds=(Refund("r1", lines=(RefundLine("zzz", quantity=1),)),))

    assert direct(order) == 1000


def test_a_refund_above_its_line_is_clamped_and_told():
    order = an_order(LINE, refunds=(Refund("r1", lines=(RefundLine("l1", amount=10_500),)),))

    targets, notes = whole(order)

    assert targets[0].amount == 0
    assert ("refund_above_line", {"line": "l1", "over": 500}) in notes
