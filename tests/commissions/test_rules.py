"""Beyond the worked examples: what shops do to lines, taxes and refunds."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate.commissions.rules import moves, worths
from affiliate.orders.facts import Refund, RefundLine
from tests.commissions.engine import NOON, a_book, a_line, an_order, pay
from tests.commissions.test_golden import remaining


def codes(order):
    return [code for code, _ in worths(order)[1]]


def test_quantities_one_by_one_are_quantities_at_once():
    line = a_line(1000, quantity=3)
    one_by_one = tuple(Refund(f"r{i}", lines=(RefundLine("l1", quantity=1),)) for i in range(2))
    at_once = (Refund("r", lines=(RefundLine("l1", quantity=2),)),)

    assert remaining(an_order(line, refunds=one_by_one)) == [333]
    assert remaining(an_order(line, refunds=at_once)) == [333]


def test_the_whole_quantity_back_within_a_minor_unit_a_piece_leaves_nothing():
    line = a_line(1000, quantity=3)
    back = RefundLine("l1", quantity=3, amount=999)
    short = RefundLine("l1", quantity=3, amount=996)

    assert remaining(an_order(line, refunds=(Refund("r", lines=(back,)),))) == [0]
    assert remaining(an_order(line, refunds=(Refund("r", lines=(short,)),))) == [4]


@pytest.mark.parametrize("facts", [{"cancelled_at": NOON}, {"refunded_fully": True}], ids=str)
def test_an_order_cancelled_or_fully_refunded_leaves_nothing(facts):
    assert remaining(an_order(a_line(1000), **facts)) == [0]


@pytest.mark.parametrize("status", ["failed", "pending"])
def test_a_refund_that_did_not_succeed_takes_nothing(status):
    refund = Refund("r1", status=status, amount=500)

    assert remaining(an_order(a_line(1000), refunds=(refund,))) == [1000]


def test_a_refund_of_shipping_takes_nothing():
    refund = Refund("r1", amount=500, shipping=500)

    assert remaining(an_order(a_line(1000), shipping=500, refunds=(refund,))) == [1000]


def test_a_refund_above_its_line_is_clamped_and_told():
    refund = Refund("r1", lines=(RefundLine("l1", amount=1500),))
    order = an_order(a_line(1000, "l1"), a_line(1000, "l2"), refunds=(refund,))

    assert remaining(order) == [0, 1000]
    assert codes(order) == ["refund_above_line"]


def test_a_refund_of_an_unknown_line_is_spread_over_the_order():
    refund = Refund("r1", lines=(RefundLine("gone", amount=100),))

    assert remaining(an_order(a_line(100, "l1"), a_line(300, "l2"), refunds=(refund,))) == [75, 225]


def test_more_cash_than_the_order_was_worth_leaves_nothing_and_is_told():
    order = an_order(a_line(1000), refunds=(Refund("r1", amount=5000),))

    assert remaining(order) == [0]
    assert codes(order) == ["refund_above_order"]


def test_line_refunds_with_their_tax_leave_no_rest():
    """As in a shop with tax on top: lines 195.66 + 3.98 tax, cash 199.64."""
    line = a_line(19566, tax=398)
    refund = Refund("r", amount=19964, lines=(RefundLine("l1", 1, 19566, 398),))
    order = an_order(line, a_line(19566, "l2", tax=398), refunds=(refund,))

    assert remaining(order) == [0, 19566]


@pytest.mark.parametrize("taxes", [(0, 2000), (2000, 0), (100, 1900)], ids=str)
def test_everything_back_in_two_ways_leaves_nothing_also_at_different_tax_rates(taxes):
    lines = a_line(10000, "l1", tax=taxes[0]), a_line(10000, "l2", tax=taxes[1])
    by_line = Refund("r1", amount=10000 + taxes[1], lines=(RefundLine("l2", amount=10000),))
    by_amount = Refund("r2", amount=10000 + taxes[0])

    assert remaining(an_order(*lines, refunds=(by_line, by_amount))) == [0, 0]


def test_a_discount_above_the_sum_leaves_nothing():
    assert remaining(an_order(a_line(1000), discount=5000)) == [0]


def test_the_shops_own_allocation_is_taken():
    lines = a_line(1000, "l1", order_discount=100), a_line(1000, "l2", order_discount=0)

    assert remaining(an_order(*lines, discount=100)) == [900, 1000]


def test_gift_cards_tips_and_fees_earn_nothing():
    lines = [a_line(1000, kind, kind=kind) for kind in ("gift_card", "tip", "fee", "product")]

    assert remaining(an_order(*lines)) == [0, 0, 0, 1000]


def test_tax_that_was_not_reported_is_told():
    order = an_order(a_line(1000), tax_included=True)

    assert remaining(order) == [1000]
    assert codes(order) == ["tax_not_reported"]


def test_tax_known_only_for_the_order_is_spread():
    order = an_order(a_line(1000, "l1"), a_line(3000, "l2"), tax_included=True, order_tax=400)

    assert remaining(order) == [900, 2700]


def test_a_gross_program_takes_what_was_paid():
    assert remaining(an_order(a_line(1000, tax=100), tax_included=True), base="gross") == [1000]


def test_a_line_edited_away_is_worth_nothing():
    assert remaining(an_order(a_line(1000, removed=True), a_line(500, "l2"))) == [0, 500]


def test_the_platforms_fee_stands_beside_the_cap():
    paid = pay(an_order(a_line(1000)), a_book(900_000, ceiling=500_000), fee=50_000)

    assert list(paid.values()) == [500, 50]


cash = st.integers(0, 400)
refunds = st.lists(
    st.one_of(
        st.builds(lambda amount: {"amount": amount}, cash),
        st.builds(
            lambda line, amount: {"amount": amount, "lines": (RefundLine(line, amount=amount),)},
            st.sampled_from(["l1", "l2", "gone"]),
            cash,
        ),
        st.builds(
            lambda line, pieces: {"lines": (RefundLine(line, quantity=pieces),)},
            st.sampled_from(["l1", "l2"]),
            st.integers(1, 3),
        ),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(refunds, st.booleans(), st.integers(0, 50))
def test_refunds_end_alike_in_any_order_and_never_below_nothing(parts, tax_included, tax):
    told = [Refund(f"r{i}", **part) for i, part in enumerate(parts)]
    ends = {
        tuple(
            remaining(
                an_order(
                    a_line(301, "l1", quantity=3, tax=tax),
                    a_line(200, "l2", tax=tax),
                    tax_included=tax_included,
                    refunds=turn,
                )
            )
        )
        for turn in permutations(told)
    }

    assert len(ends) == 1
    assert all(0 <= left <= whole for left, whole in zip(ends.pop(), (301, 200), strict=True))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-(10**6), 10**6))
def test_new_entries_always_reach_the_target(target, pending, settled):
    made = moves(target, pending=pending, settled=settled)

    assert sum(move.amount for move in made) == target - pending - settled
    assert pending + sum(m.amount for m in made if m.state == "pending") >= 0
    assert moves(target, pending=target - settled, settled=settled) == []
