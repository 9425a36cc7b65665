"""Closed months, volume bands and grades: counted once, dated, and in the trace."""

from datetime import date, timedelta
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa

from affiliate.attribution.models import Attribution
from affiliate.commissions import service as commissions
from affiliate.commissions.models import ClosedMonth, Commission, Volume
from affiliate.commissions.service import grading
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.events import Event
from affiliate.intake import service as intake
from affiliate.orders.models import Order
from affiliate.people import service as people
from affiliate.programs import queries
from affiliate.programs import service as programs
from affiliate.programs.book import Scope
from affiliate.programs.models import GradeStanding
from affiliate.programs.service import GradeExists, GradeInUse, Stated, Target
from tests.commissions.town import Town, clean, earned
from tests.consoles.promoter_town import statements
from tests.factories.links import a_link
from tests.factories.orders import a_line, an_order, deliver, send
from tests.factories.people import a_promoter
from workers.commissions import close_months

WHOLE = Target(Scope.PROGRAM)


@pytest.fixture
def town(app, clock):
    """In January; 12% and no tiers."""
    clock.stand("2027-01-10T12:00:00-03:00")
    return Town(tiers_ppm=[])


def a_band(at_least, below=None, *, measure="orders", period="month", rate=200_000, **more):
    band = {"measure": measure, "period": period, "at_least": at_least} | more
    if below is not None:
        band["below"] = below
    return Stated(rate_ppm=rate, conditions={"volume": band})


def state(town, stated):
    with unit_of_work():
        return programs.add_rule(town.program, WHOLE, stated)


def a_ladder(town, **fields):
    with unit_of_work():
        for name, value in fields.items():
            setattr(town.merchant, name, value)
        return [
            programs.create_grade(town.merchant.id, name=name, rank=rank, needs=[[need]])
            for rank, (name, need) in enumerate(
                {
                    "Bronze": {"measure": "orders", "at_least": 1},
                    "Silver": {"measure": "orders", "at_least": 3},
                    "Gold": {"measure": "team_sales", "at_least": 1000_00, "currency": "BRL"},
                }.items(),
                start=1,
            )
        ]


def sell(client, town, count=1, link=None, **facts):
    deliver(client, town.shop, *(an_order(town.tk(link), **facts) for _ in range(count)))


def volumes(month):
    rows = db.session.execute(
        sa.select(
            Volume.promoter_id, Volume.orders, Volume.sales, Volume.team_orders, Volume.team_sales
        ).where(Volume.month == month)
    )
    return {row[0]: tuple(row[1:]) for row in rows}


def history(who):
    rows = db.session.scalars(
        sa.select(GradeStanding).filter_by(promoter_id=who.id).order_by(GradeStanding.id)
    )
    return [(row.grade_id, row.since.isoformat(), row.until and row.until.isoformat())
            for row in rows]  # fmt: skip


def notes(external_id):
    trace = db.session.scalar(
        sa.select(Attribution.trace)
        .join(Order, Order.id == Attribution.order_id)
        .where(Order.external_id == external_id)
    )
    return [tuple(each) for each in trace["lines"]]


# --- what was sold -----------------------------------------------------------------------------


def test_a_closed_month_counts_what_is_left_of_sales_for_seller_and_all_above(client, town, clock):
    order = an_order(town.tk(), id="half")
    sell(client, town)
    deliver(client, town.shop, order)
    refund = {"refunds": [{"id": "r", "status": "succeeded", "amount": "40.00"}], "version": 2}
    deliver(client, town.shop, order | refund)
    gone = an_order(town.tk(), id="gone")
    cancelled = {"version": 2, "status": "cancelled", "cancelled_at": clock.move().isoformat()}
    deliver(client, town.shop, gone, gone | cancelled)
    sell(client, town, status="pending_payment", paid_at=None)
    clock.stand("2027-02-03T12:00:00-03:00")

    with unit_of_work():
        grading.close(town.merchant, [date(2027, 1, 1)])

    assert volumes(date(2027, 1, 1)) == {
        town.ana.id: (2, 160_00, 2, 160_00),
        town.bia.id: (0, 0, 2, 160_00),
        town.cida.id: (0, 0, 2, 160_00),
    }


def test_a_refund_after_the_month_was_closed_changes_nothing_of_it(client, town, clock):
    order = an_order(town.tk(), id="late")
    deliver(client, town.shop, order)
    clock.stand("2027-02-03T12:00:00-03:00")
    with unit_of_work():
        grading.close(town.merchant, [date(2027, 1, 1)])
    cancelled = {"version": 2, "status": "cancelled", "cancelled_at": clock.move().isoformat()}
    deliver(client, town.shop, order | cancelled)
    with unit_of_work():
        grading.close(town.merchant, [date(2027, 1, 1)])

    assert volumes(date(2027, 1, 1))[town.ana.id] == (1, 100_00, 1, 100_00)
    assert db.session.scalars(sa.select(Commission.remaining)).all() == [0]


def test_a_month_that_is_not_over_is_not_closed(town):
    with unit_of_work():
        grading.close(town.merchant, [date(2027, 1, 1), date(2030, 1, 1)])

    assert db.session.scalars(sa.select(ClosedMonth)).all() == []


def test_teams_are_those_of_the_months_end_and_of_this_merchant(client, town, clock):
    with unit_of_work():
        stranger = a_promoter("Stranger")  # sponsors Cida, and is in no program here
        people.move_sponsor(town.cida, stranger.id)
    sell(client, town)
    clock.move(days=1)
    with unit_of_work():
        people.move_sponsor(town.ana, town.cida.id)
    clock.stand("2027-02-03T12:00:00-03:00")
    with unit_of_work():
        people.move_sponsor(town.ana, None)
        grading.close(town.merchant, [date(2027, 1, 1)])

    assert volumes(date(2027, 1, 1)).keys() == {town.ana.id, town.cida.id}


# --- bands -------------------------------------------------------------------------------------


def test_a_band_asks_the_month_before_the_payment(client, town, clock):
    state(town, a_band(2, 4))
    sell(client, town, 2)  # two at 12%: nothing was sold in December
    assert earned() == {("direct", "Ana"): 2400}
    clock.stand("2027-02-10T12:00:00-03:00")
    deliver(client, town.shop, an_order(town.tk(), id="february"))
    assert earned() == {("direct", "Ana"): 2400 + 2000}
    about = {"promoter": town.ana.id, "measure": "orders", "period": "month", "value": 2}
    assert ("volume_at", about | {"in": None}) in notes("february")
    clock.stand("2027-03-10T12:00:00-03:00")

    deliver(client, town.shop, an_order(town.tk(), id="march"))  # one order in February

    assert earned() == {("direct", "Ana"): 2400 + 2000 + 1200}
    assert ("rule_passed_over", "volume") in [
        (code, about.get("condition")) for code, about in notes("march")
    ]
    clean()


def test_an_order_keeps_the_band_it_was_paid_in(client, town, clock):
    state(town, a_band(1))
    sell(client, town)
    clock.stand("2027-02-10T12:00:00-03:00")
    order = an_order(town.tk(), id="kept")
    deliver(client, town.shop, order)
    clock.stand("2027-04-10T12:00:00-03:00")  # nothing was sold in March

    deliver(client, town.shop, order | {"version": 2, "lines": [a_line(price="200.00")]})

    assert earned() == {("direct", "Ana"): 1200 + 4000}


def test_a_quarter_sums_its_months_and_money_its_currency(client, town, clock):
    state(town, a_band(300_00, measure="sales", period="quarter", currency="BRL"))
    state(town, a_band(1, measure="sales", period="quarter", currency="USD", rate=900_000))
    for month in (1, 2, 3):
        clock.stand(f"2027-0{month}-10T12:00:00-03:00")
        sell(client, town)
    assert earned() == {("direct", "Ana"): 3600}
    clock.stand("2027-04-10T12:00:00-03:00")

    sell(client, town)

    assert earned() == {("direct", "Ana"): 3600 + 2000}


def test_two_who_need_the_same_month_count_it_once(committed, client, clock):
    town = Town(tiers_ppm=[])
    both = Barrier(2)

    def close():
        with client.application.app_context():
            with unit_of_work():
                merchant = db.session.get_one(type(town.merchant), town.merchant.id)
                both.wait()
                grading.close(merchant, [date(2025, 1, 1), date(2025, 2, 1)])
            db.session.remove()

    threads = [Thread(target=close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    months = db.session.scalars(sa.select(ClosedMonth.month).order_by(ClosedMonth.month)).all()
    assert months == [date(2025, 1, 1), date(2025, 2, 1)]


# --- grades ------------------------------------------------------------------------------------


def test_a_closed_month_takes_sellers_and_those_above_up(client, town, clock):
    _bronze, silver, gold = a_ladder(town)
    sell(client, town, 3)
    clock.stand("2027-02-01T00:30:00-03:00")

    close_months()
    close_months()

    since = "2027-02-01T03:00:00+00:00"
    assert history(town.ana) == [(silver.id, since, None)]
    assert history(town.bia) == []  # her team sold 300
    told = db.session.scalars(sa.select(Event).filter_by(name="grade.changed")).all()
    assert [(each.promoter_id, each.payload["grade"]) for each in told] == [(town.ana.id, "Silver")]
    sell(client, town, lines=[a_line(price="1000.00")])
    clock.stand("2027-03-01T00:30:00-03:00")
    close_months()

    assert history(town.cida) == [(gold.id, "2027-03-01T03:00:00+00:00", None)]


@pytest.mark.parametrize(
    ("demotion", "grades_then"),
    [("none", ["Silver"]), ("one", ["Silver", "Bronze"]), ("full", ["Silver"])],
)
def test_who_sells_less_goes_down_as_the_merchant_says(client, town, clock, demotion, grades_then):
    names = {grade.id: grade.name for grade in a_ladder(town, grade_demotion=demotion)}
    sell(client, town, 3)
    clock.stand("2027-03-01T12:00:00-03:00")

    close_months()

    found = history(town.ana)
    assert [names[grade_id] for grade_id, _, _ in found] == grades_then
    last = found[-1][2]
    assert last == ("2027-03-01T03:00:00+00:00" if demotion == "full" else None)


def test_a_rule_asks_for_the_grade_as_of_the_payment(client, town, clock):
    _, silver, _ = a_ladder(town)
    state(town, Stated(rate_ppm=300_000, conditions={"grades": [silver.id]}))
    sell(client, town, 3)
    before = an_order(town.tk(), id="before")
    clock.stand("2027-02-10T12:00:00-03:00")  # nobody closed the month yet: booking does

    deliver(client, town.shop, an_order(town.tk(), id="after"), before)

    assert earned() == {("direct", "Ana"): 3 * 1200 + 3000 + 1200}
    assert ("grade_at", {"promoter": town.ana.id, "grade": "Silver"}) in notes("after")
    assert ("grade_none", {"promoter": town.ana.id, "grade": None}) in notes("before")
    clean()


def test_a_quarter_waits_for_its_last_month(client, town, clock):
    _, silver, _ = a_ladder(town, grade_period="quarter")
    for month in (1, 2, 3):
        clock.stand(f"2027-0{month}-10T12:00:00-03:00")
        close_months()
        sell(client, town)
    assert history(town.ana) == []
    clock.stand("2027-04-01T12:00:00-03:00")

    close_months()

    assert history(town.ana) == [(silver.id, "2027-04-01T03:00:00+00:00", None)]


def test_a_ladder_made_within_a_quarter_looks_at_the_whole_of_it(client, town, clock):
    sell(client, town, 2)
    clock.stand("2027-02-10T12:00:00-03:00")
    _, silver, _ = a_ladder(town, grade_period="quarter")
    sell(client, town)
    clock.stand("2027-04-01T12:00:00-03:00")

    close_months()

    assert [each[0] for each in history(town.ana)] == [silver.id]


def test_a_grade_given_by_hand_holds_until_a_period_after_it(client, town, clock):
    _, _, gold = a_ladder(town)
    sell(client, town)
    clock.stand("2027-02-10T12:00:00-03:00")
    with unit_of_work():
        programs.give_grade(gold, town.ana.id)
        programs.give_grade(gold, town.ana.id)
    close_months()  # January is over, and its end is before the gift
    assert [each[0] for each in history(town.ana)] == [gold.id]
    clock.stand("2027-03-10T12:00:00-03:00")

    close_months()

    assert [each[2] for each in history(town.ana)] == ["2027-03-01T03:00:00+00:00", None]


def test_a_new_ladder_grades_by_the_last_period_when_asked(client, town, clock):
    sell(client, town, 3)
    clock.stand("2027-02-10T12:00:00-03:00")
    _, silver, _ = a_ladder(town)
    close_months()
    assert history(town.ana) == []  # the ladder is younger than the period

    with unit_of_work():
        changes = commissions.grade_now(town.merchant)

    assert [(each.promoter_id, each.grade_id) for each in changes] == [(town.ana.id, silver.id)]
    assert history(town.ana) == [(silver.id, "2027-02-10T15:00:00+00:00", None)]


def test_a_grade_that_rules_ask_for_cannot_end(town):
    bronze, silver, _ = a_ladder(town)
    rule = state(town, Stated(rate_ppm=300_000, conditions={"grades": [silver.id]}))
    with unit_of_work():
        programs.give_grade(bronze, town.ana.id)
        programs.end_grade(bronze)
    assert queries.grades_held(town.ana.id, [town.merchant.id]) == {}
    with pytest.raises(GradeInUse, match="Amigas da Ana"), unit_of_work():
        programs.end_grade(silver)

    with unit_of_work():
        programs.end_rule(town.program, rule)
        programs.end_grade(silver)

    with pytest.raises(Invalid), unit_of_work():
        programs.add_rule(
            town.program, WHOLE, Stated(rate_ppm=1, conditions={"grades": [silver.id]})
        )


@pytest.mark.parametrize(
    ("needs", "pointer"),
    [
        ([[]], "/needs"),
        ([[{"measure": "heads", "at_least": 1}]], "/needs/0/0/measure"),
        ([[{"measure": "sales", "at_least": 1}]], "/needs/0/0/currency"),
        ([[{"measure": "orders", "at_least": 1, "currency": "BRL"}]], "/needs/0/0/currency"),
        ([[{"measure": "orders", "at_least": 0}]], "/needs/0/0/at_least"),
    ],
)
def test_needs_that_make_no_sense(town, needs, pointer):
    with pytest.raises(Invalid) as refused, unit_of_work():
        programs.create_grade(town.merchant.id, name="Odd", rank=1, needs=needs)

    assert [each.pointer for each in refused.value.errors] == [pointer]


def test_names_and_ranks_are_there_once(town):
    a_ladder(town)
    for fields in ({"name": "Bronze", "rank": 9}, {"name": "New", "rank": 1}):
        with pytest.raises(GradeExists), unit_of_work():
            programs.create_grade(town.merchant.id, **fields)


@pytest.mark.parametrize(
    ("band", "pointer"),
    [
        ({"measure": "heads"}, "/conditions/volume/measure"),
        ({"measure": "sales"}, "/conditions/volume/currency"),
        ({"measure": "orders", "period": "year"}, "/conditions/volume/period"),
        ({"measure": "orders", "at_least": 5, "below": 5}, "/conditions/volume/below"),
    ],
)
def test_bands_that_make_no_sense(town, band, pointer):
    with pytest.raises(Invalid) as refused:
        state(town, Stated(rate_ppm=1, conditions={"volume": {"period": "month"} | band}))

    assert [each.pointer for each in refused.value.errors] == [pointer]


def test_a_batch_with_bands_asks_no_more_than_one_order(client, town, clock):
    state(town, a_band(1))
    sell(client, town)
    clock.stand("2027-02-10T12:00:00-03:00")
    counted = []
    for size in (1, 20):
        for _ in range(size):
            send(client, town.shop, an_order(town.tk()))
        with statements() as made:
            intake.drain(town.shop.merchant_id, town.shop.id)
        counted.append(len(made))

    assert counted[1] <= counted[0]


def test_grading_now_takes_nobody_down_however_often(client, town, clock):
    _, silver, gold = a_ladder(town)
    with unit_of_work():
        programs.give_grade(gold, town.ana.id)
    sell(client, town, 3)
    clock.stand("2027-02-10T12:00:00-03:00")

    for _ in range(3):
        with unit_of_work():
            commissions.grade_now(town.merchant)

    # The close of January took her one step down, and nothing since.
    assert [each[0] for each in history(town.ana)] == [gold.id, silver.id]


def test_an_order_of_several_sellers_is_one_order_of_the_team(client, app, clock):
    clock.stand("2027-01-10T12:00:00-03:00")
    town = Town(tiers_ppm=[], model="linear")
    with unit_of_work():
        bias = a_link(town.program, town.bia)
    both = ".".join([town.tk(bias, timedelta(hours=1)), town.tk()])
    deliver(client, town.shop, an_order(both))
    clock.stand("2027-02-03T12:00:00-03:00")

    with unit_of_work():
        grading.close(town.merchant, [date(2027, 1, 1)])

    assert volumes(date(2027, 1, 1)) == {
        town.ana.id: (1, 50_00, 1, 50_00),
        town.bia.id: (1, 50_00, 1, 100_00),
        town.cida.id: (0, 0, 1, 100_00),
    }


def test_what_is_not_paid_closes_nothing(client, town, clock):
    state(town, a_band(1))
    clock.stand("2027-02-10T12:00:00-03:00")

    sell(client, town, status="pending_payment", paid_at=None)
    assert db.session.scalars(sa.select(ClosedMonth.month)).all() == []
    sell(client, town)

    assert db.session.scalars(sa.select(ClosedMonth.month)).all() == [date(2027, 1, 1)]


def test_a_stranger_is_given_no_grade(town):
    bronze, _, _ = a_ladder(town)
    with unit_of_work():
        stranger = a_promoter("Stranger")

    with pytest.raises(Invalid), unit_of_work():
        programs.give_grade(bronze, stranger.id)
