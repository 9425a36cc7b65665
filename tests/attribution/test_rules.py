"""The choice among touches: sharp edges, dates, and programs side by side."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from affiliate.attribution.rules import TOLERANCE, Offer, Span, Touch, choose

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ALWAYS = Span(None, None)


def never(_):
    return False


OFFER = Offer(
    program_id=1,
    priority=0,
    exclusive=False,
    window=30 * DAY,
    sources=("coupon", "click", "sharer", "binding"),
    model="last",
    credit="order",
    shop_ids=(),
    running=ALWAYS,
)
ANA, BEN = 1, 2


def a_touch(promoter=ANA, *, before=DAY, offer=OFFER, **facts):
    link = promoter * 10
    base = Touch(
        f"link:{link}",
        "click",
        NOON - before,
        promoter,
        link,
        offer,
        usable=ALWAYS.covers,
        member=ALWAYS.covers,
        invited=ALWAYS.covers,
        suspended=never,
    )
    return replace(base, **facts)


def chosen(*touches, shop_id=7, renewal=False):
    return choose(touches, placed_at=NOON, shop_id=shop_id, renewal=renewal)


def winner(*touches, **kwargs):
    found = chosen(*touches, **kwargs).first
    return found and found.promoter_id


def reasons(*touches, **kwargs):
    return [code for code, _ in chosen(*touches, **kwargs).trace]


def test_the_later_click_wins_and_the_trace_says_so():
    early, late = a_touch(ANA, before=2 * DAY), a_touch(BEN, before=DAY)

    assert winner(early, late) == winner(late, early) == BEN
    assert reasons(early, late) == ["earlier_touch", "won"]


@pytest.mark.parametrize(
    ("before", "counts"),
    [
        pytest.param(timedelta(0), True, id="at the very moment"),
        pytest.param(30 * DAY, True, id="on the last second of the window"),
        pytest.param(30 * DAY + SECOND, False, id="a second too early"),
        pytest.param(-TOLERANCE, True, id="a shop's clock that is ten minutes behind"),
        pytest.param(-TOLERANCE - SECOND, False, id="after the order"),
    ],
)
def test_the_window_has_sharp_edges(before, counts):
    assert (winner(a_touch(before=before)) == ANA) is counts


@pytest.mark.parametrize(
    ("touch", "reason"),
    [
        (a_touch(usable=Span(None, NOON).covers), "link_not_usable"),
        (a_touch(member=never), "not_a_member"),
        (a_touch(member=Span(NOON + SECOND, None).covers), "not_a_member"),
        (a_touch(member=Span(None, NOON).covers), "not_a_member"),
        (a_touch(suspended=Span(NOON - DAY, None).covers), "suspended"),
        (a_touch(offer=replace(OFFER, running=Span(None, NOON))), "program_not_running"),
        (a_touch(offer=replace(OFFER, shop_ids=(8,))), "shop_not_in_program"),
        (a_touch(offer=replace(OFFER, sources=("coupon",))), "source_not_allowed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_over_when_the_order_was_placed_does_not_count(touch, reason):
    assert reasons(touch) == [reason, "no_winner"]


@pytest.mark.parametrize(
    "touch",
    [
        a_touch(usable=Span(None, NOON + SECOND).covers),
        a_touch(member=Span(NOON, NOON + SECOND).covers),
        a_touch(suspended=Span(NOON + SECOND, None).covers),
    ],
    ids=["paused later", "left later", "suspended later"],
)
def test_what_ended_only_after_the_order_still_counts(touch):
    assert winner(touch) == ANA


def test_a_shop_that_counts_whole_seconds_does_not_lose_who_joined_in_that_second():
    half_past = NOON + timedelta(milliseconds=500)

    assert winner(a_touch(before=timedelta(0), member=Span(half_past, None).covers)) == ANA


def test_the_program_of_higher_priority_is_taken_before_the_newer_touch():
    important = replace(OFFER, program_id=2, priority=5)

    touches = a_touch(ANA, before=9 * DAY, offer=important), a_touch(BEN, before=DAY)

    assert winner(*touches) == ANA
    assert reasons(*touches) == ["other_program", "won"]


def test_a_renewal_is_not_won_by_a_click():
    assert reasons(a_touch(), renewal=True) == ["renewal_needs_binding", "no_winner"]


def test_an_order_without_touches_has_no_winner():
    assert reasons() == ["no_winner"]
