"""Merging reports: whatever comes in whatever sequence, the same order comes out."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affiliate.orders.facts import Line, Order, Refund, merged
from affiliate.orders.models import Status

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def a_report(version=1, **facts):
    lines = facts.pop("lines", (Line("l1", "Shirt", 1, 1000),))
    base = {"status": Status.PAID, "currency": "BRL", "placed_at": NOON, "paid_at": NOON}
    return Order(external_id="1", version=version, lines=lines, **(base | facts))


def a_notice(refund):
    """What a refund on its own is to the order: a stub that carries it."""
    stub = Order("1", 0, Status.STUB, "BRL", placed_at=None)
    return replace(stub, refunds=(refund,))


def ends(*reports):
    return {reduce(merged, turn, None) for turn in permutations(reports)}


def test_the_higher_version_wins_in_any_sequence():
    (end,) = ends(a_report(1), a_report(3, number="#3"), a_report(2))

    assert end.number == "#3"


def test_a_refund_that_came_before_its_order_waits_on_a_stub():
    (end,) = ends(a_notice(Refund("r1", amount=5)), a_report(1))

    assert end.refunds == (Refund("r1", amount=5),)
    assert end.status is Status.PAID


def test_an_older_report_does_not_lose_a_refund_told_on_its_own():
    (end,) = ends(a_notice(Refund("r1", amount=5)), a_report(1), a_report(2))

    assert end.refunds == (Refund("r1", amount=5),)


def test_a_whole_list_of_refunds_replaces_what_was_known():
    two = (Refund("r1", amount=5), Refund("r2", amount=7))
    (end,) = ends(
        a_report(1, refunds=two, refunds_complete=True),
        a_report(2, refunds=two[1:], refunds_complete=True),
    )

    assert end.refunds == two[1:]


@pytest.mark.parametrize(
    ("one", "other", "believed"),
    [
        (Refund("r", "pending", 5), Refund("r", "succeeded", 5), "succeeded"),
        (Refund("r", "failed", 5), Refund("r", "succeeded", 5), "succeeded"),
    ],
)
def test_of_two_reports_of_a_refund_the_later_state_is_believed(one, other, believed):
    (end,) = ends(a_report(1, refunds=(one,)), a_notice(other))

    assert [refund.status for refund in end.refunds] == [believed]


def test_of_equal_versions_the_larger_refunded_sum_then_the_later_status_wins():
    refunded = a_report(1, refunds=(Refund("r", amount=9),), refunds_complete=True)
    delivered = a_report(1, status=Status.DELIVERED, refunds_complete=True)
    plain = a_report(1, refunds_complete=True)

    assert {end.refunds for end in ends(plain, refunded, delivered)} == {refunded.refunds}
    assert {end.status for end in ends(plain, delivered)} == {Status.DELIVERED}


def test_of_equal_versions_what_is_paid_wins_whichever_comes_last():
    (end,) = ends(a_report(1, paid_at=None), a_report(1))

    assert end.paid_at == NOON


def test_a_token_that_was_told_once_goes_on_counting():
    (end,) = ends(a_report(1, tokens=("a",)), a_report(2, tokens=("b",)), a_report(3))

    assert end.tokens == ("a", "b")


def test_a_line_that_is_gone_stays_as_removed_and_may_come_back():
    two = (Line("l1", "Shirt", 1, 1000), Line("l2", "Belt", 1, 300))
    (end,) = ends(a_report(1, lines=two), a_report(2, lines=two[:1]))
    assert [(line.external_id, line.removed) for line in end.lines] == [("l1", False), ("l2", True)]

    (end,) = ends(a_report(1, lines=two), a_report(2, lines=two[:1]), a_report(3, lines=two))
    assert not any(line.removed for line in end.lines)


reports = st.lists(
    st.one_of(
        st.builds(
            lambda version, status, amounts, complete: a_report(
                version,
                status=status,
                lines=tuple(Line(f"l{i}", "x", 1, amount) for i, amount in enumerate(amounts)),
                refunds_complete=complete,
            ),
            st.integers(1, 3),
            st.sampled_from([Status.PAID, Status.FULFILLED]),
            st.lists(st.sampled_from([100, 200]), min_size=1, max_size=2),
            st.just(False),
        ),
        st.builds(
            lambda key, status, amount: a_notice(Refund(key, status, amount)),
            st.sampled_from(["r1", "r2"]),
            st.sampled_from(["pending", "succeeded", "failed"]),
            st.sampled_from([None, 1, 2]),
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(reports)
def test_any_reports_in_any_sequence_and_repeated_end_alike(told):
    def worth(order):
        live = tuple(line for line in order.lines if not line.removed)
        return (order.version, order.status, live, order.refunds)

    assert len({worth(end) for end in ends(*told)}) == 1
    assert worth(reduce(merged, [*told, *told], None)) == worth(reduce(merged, told, None))
