"""The worked examples of the domain, as far as pure rules decide them. Minor units throughout."""

from datetime import timedelta

import pytest

from affiliate.commissions.rules import Move, hold_until, moves, worths
from affiliate.money import minor, share, spread
from affiliate.orders.facts import Refund, RefundLine
from tests.commissions.engine import (
    ANA,
    BEN,
    CAI,
    NOON,
    Upline,
    a_book,
    a_line,
    a_seller,
    an_order,
    pay,
)


def remaining(order, base="net"):
    return [worth.remaining_base for worth in worths(order, base=base)[0]]


def test_example_1_tax_inside_and_a_refund_by_amount():
    line = a_line(39980, quantity=2, discount=3998, tax=5489)

    (whole,), _ = worths(an_order(line, tax_included=True))
    after = remaining(an_order(line, tax_included=True, refunds=(Refund("r1", amount=10000),)))

    assert (whole.paid, whole.base) == (35982, 30493)
    assert (share(30493, 120_000), share(30493, 30_000)) == (3659, 914)
    assert after == [22018]
    assert (share(22018, 120_000) - 3659, share(22018, 30_000) - 914) == (-1017, -254)


def test_example_2_an_order_discount_is_spread_by_largest_remainder():
    assert spread(1000, [3333, 3333, 3334]) == [333, 333, 334]
    assert spread(1000, [19900] * 3) == [334, 333, 333]


def test_example_3_without_decimals_down_to_nothing():
    line = a_line(9990)
    half, whole = Refund("r1", amount=4995), Refund("r2", amount=4995)

    paths = [
        share(remaining(an_order(line, currency="CLP", refunds=refunds))[0], 80_000)
        for refunds in [(), (half,), (half, whole)]
    ]

    assert paths == [799, 399, 0]


def test_example_4_three_decimals():
    assert minor("12.345", "KWD") == 12345
    assert share(12345, 75_000) == 925


def test_example_5_the_cap_cuts_the_highest_tier_first():
    seller = a_seller(ANA, tiers=[50_000, 30_000], uplines=[BEN, CAI])

    paid = pay(an_order(a_line(10000)), a_book(200_000, ceiling=250_000), seller)

    assert list(paid.values()) == [2000, 500, 0]


@pytest.mark.parametrize(
    ("mode", "paid"), [("compress", {3: 500, 1: 200}), ("skip", {3: 500})], ids=str
)
def test_example_6_an_inactive_upline_is_compressed_or_skipped(mode, paid):
    a, b, c, d = Upline(1, True), Upline(2, False), Upline(3, True), 4
    seller = a_seller(d, tiers=[50_000, 20_000], uplines=[c, b, a], mode=mode)

    found = pay(an_order(a_line(10000)), None, seller)

    assert {who: amount for (_, role, who), amount in found.items() if role != "direct"} == paid


def test_example_9_a_raise_then_everything_back():
    assert moves(1200, pending=0, settled=1000) == [Move(200, "pending")]
    assert moves(0, pending=200, settled=1000) == [Move(-200, "pending"), Move(-1000, "available")]


def test_example_11_a_linear_share_for_each_of_three():
    sellers = [a_seller(who) for who in (ANA, BEN, CAI)]

    paid = pay(an_order(a_line(9999)), a_book(120_000), *sellers)

    assert list(paid.values()) == [399, 399, 399]


def test_example_12_tax_on_top_is_taken_out_of_the_cash():
    order = an_order(a_line(10000, tax=2000), refunds=(Refund("r1", amount=6000),))

    assert remaining(order) == [5000]
    assert share(5000, 100_000) == 500


@pytest.mark.parametrize("cash", [(1, 1, 1), (3,), (2, 1)])
def test_example_13_three_small_refunds_are_one(cash):
    refunds = tuple(Refund(f"r{i}", amount=amount) for i, amount in enumerate(cash))
    left = remaining(an_order(a_line(100, "l1"), a_line(200, "l2"), refunds=refunds))

    assert [share(left[0], 500_000), share(left[1], 100_000)] == [49, 19]


@pytest.mark.parametrize("turned", [False, True])
def test_example_14_by_amount_and_by_line_in_both_orders(turned):
    refunds = [
        Refund("r1", amount=100),
        Refund("r2", amount=100, lines=(RefundLine("l1", amount=100),)),
    ]
    refunds = tuple(reversed(refunds) if turned else refunds)

    assert remaining(an_order(a_line(100, "l1"), a_line(100, "l2"), refunds=refunds)) == [0, 0]


def test_example_16_cash_on_delivery_and_a_line_of_nothing():
    day = timedelta(days=1)

    until = hold_until(
        paid_at=NOON + 5 * day, delivered_at=NOON + 3 * day, hold_days=7, hold_fallback_days=15
    )

    assert until == NOON + 12 * day
    assert remaining(an_order(a_line(500, discount=500))) == [0]
