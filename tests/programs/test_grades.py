"""Grades as pure rules: needs, ladders, demotion, and what period was closed when."""

from datetime import UTC, date, datetime

import pytest

from affiliate.programs import grades
from affiliate.programs.grades import Band, Figures, Need, Step

BRONZE = Step(1, 10, [[Need("orders", 1)]])
SILVER = Step(2, 20, [[Need("orders", 5)], [Need("sales", 100_00, "BRL"), Need("orders", 2)]])
GOLD = Step(3, 30, [[Need("team_sales", 1000_00, "BRL")]])
LADDER = [GOLD, BRONZE, SILVER]


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        (Figures(), None),
        (Figures(orders=1), BRONZE),
        (Figures(orders=5), SILVER),
        (Figures(orders=2, sales={"BRL": 100_00}), SILVER),
        (Figures(orders=1, sales={"BRL": 100_00}), BRONZE),  # only one of the two
        (Figures(orders=2, sales={"USD": 100_00}), BRONZE),  # another currency
        (Figures(team_sales={"BRL": 1000_00}), GOLD),  # without the lower ones
    ],
)
def test_any_list_of_needs_and_all_of_a_list(figures, best):
    assert grades.earned(LADDER, figures) == best


@pytest.mark.parametrize(
    ("held", "orders", "demotion", "then"),
    [
        (None, 5, "none", 2), (1, 5, "one", 2),  # up, over as many steps as were earned
        (2, 1, "none", 2), (2, 1, "one", 1), (2, 1, "full", 1),
        (3, 1, "one", 2), (3, 1, "full", 1), (3, 0, "one", 2), (3, 0, "full", None),
        (1, 0, "one", None), (1, 0, "none", 1),
        (99, 1, "none", 1),  # one that was ended counts as none
        (2, 5, "full", 2),
    ],
)  # fmt: skip
def test_up_at_once_and_down_as_the_ladder_says(held, orders, demotion, then):
    assert grades.after(LADDER, held, Figures(orders=orders), demotion=demotion) == then


def test_grades_without_needs_are_given_by_hand_and_lost_like_others():
    ladder = [BRONZE, Step(9, 90, [])]

    assert grades.earned(ladder, Figures(orders=100)) == BRONZE
    assert grades.after(ladder, 9, Figures(), demotion="one") == 1
    assert grades.after(ladder, 9, Figures(), demotion="none") == 9


@pytest.mark.parametrize(
    ("month", "period", "first"),
    [
        ((2027, 1), "month", (2026, 12)),
        ((2027, 1), "quarter", (2026, 10)),
        ((2027, 3), "quarter", (2026, 10)),
        ((2027, 4), "quarter", (2027, 1)),
    ],
)
def test_the_last_period_that_was_closed(month, period, first):
    assert grades.closed_before(date(*month, 1), period) == date(*first, 1)


def test_months_are_the_merchants():
    at = datetime(2027, 2, 1, 1, tzinfo=UTC)

    assert grades.month_of(at, "America/Sao_Paulo") == date(2027, 1, 1)
    assert grades.month_of(at, "Asia/Shanghai") == date(2027, 2, 1)
    assert grades.begins(date(2027, 2, 1), "America/Sao_Paulo") == datetime(
        2027, 2, 1, 3, tzinfo=UTC
    )


def test_a_band_has_its_lower_end_and_not_its_upper():
    band = Band("orders", "month", at_least=5, below=10)

    assert [band.holds(value) for value in (4, 5, 9, 10)] == [False, True, True, False]


def test_figures_add_up_by_currency_and_survive_storage():
    total = Figures(1, 2, {"BRL": 5}, {"BRL": 5}).plus(Figures(1, 1, {"USD": 7}, {"BRL": 1}))

    assert total == Figures(2, 3, {"BRL": 5, "USD": 7}, {"BRL": 6})
    assert grades.figures_of(total.as_json()) == total
