"""The merchant's ladder on the desk."""

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.people.models import Role
from affiliate.programs import service as programs
from affiliate.programs.book import Scope
from affiliate.programs.models import Grade, Rule
from affiliate.programs.service import Stated, Target
from tests.consoles.promoter_town import Town
from tests.consoles.signed_in import sign_in
from tests.factories.people import a_merchant, a_user
from tests.factories.programs import a_program


@pytest.fixture
def desk(client):
    with unit_of_work():
        merchant = a_merchant()
        client.merchant = merchant
        sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=merchant))
    return client


def typed(**fields):
    return {
        "name": "Gold", "rank": "3",
        "measure-0-0": "sales", "at_least-0-0": "1,000.50",
        "measure-0-1": "orders", "at_least-0-1": "5",
        "measure-1-0": "team_orders", "at_least-1-0": "50",
    } | fields  # fmt: skip


def one():
    return db.session.scalars(sa.select(Grade)).one()


def test_two_ways_to_earn_a_grade_are_kept_and_shown_again(desk):
    answer = desk.post("/merchant/grades/new?lang=en", data=typed())

    assert answer.location == "/merchant/grades/"
    assert one().needs == [
        [{"measure": "sales", "at_least": 100_050, "currency": "BRL"},
         {"measure": "orders", "at_least": 5}],
        [{"measure": "team_orders", "at_least": 50}],
    ]  # fmt: skip
    page = desk.get("/merchant/grades/?lang=en").text
    assert "Orders with team from 50" in page
    assert "1,000.50" in desk.get(f"/merchant/grades/{one().id}?lang=en").text
    desk.post(f"/merchant/grades/{one().id}?lang=en", data=typed(name="Ouro"))
    assert one().name == "Ouro"


@pytest.mark.parametrize(
    "wrong",
    [{"name": " "}, {"rank": "0"}, {"rank": "high"}, {"at_least-0-1": "few"},
     {"at_least-0-0": "lots"}],
)  # fmt: skip
def test_what_makes_no_sense_is_said_and_what_was_typed_stays(desk, wrong):
    answer = desk.post("/merchant/grades/new?lang=en", data=typed(**wrong))

    assert answer.status_code == 422
    assert 'value="50"' in answer.text
    assert 'role="alert"' in answer.text or "aria-invalid" in answer.text
    assert db.session.scalars(sa.select(Grade)).all() == []


def test_a_second_grade_of_one_rank_is_refused(desk):
    desk.post("/merchant/grades/new", data=typed())

    assert desk.post("/merchant/grades/new", data=typed(name="Other")).status_code == 409


def test_when_grades_are_looked_at_and_how_far_they_fall(desk):
    desk.post("/merchant/grades/", data={"period": "quarter", "demotion": "full"})
    desk.post("/merchant/grades/", data={"period": "year", "demotion": "full"})

    db.session.refresh(desk.merchant)
    assert (desk.merchant.grade_period, desk.merchant.grade_demotion) == ("quarter", "full")


def test_a_grade_in_use_does_not_end_and_everybody_can_be_graded(desk):
    desk.post("/merchant/grades/new", data=typed())
    assert desk.post("/merchant/grades/now").location == "/merchant/grades/"
    with unit_of_work():
        rule = Stated(rate_ppm=1, conditions={"grades": [one().id]})
        programs.add_rule(a_program(desk.merchant), Target(Scope.PROGRAM), rule)

    assert desk.post(f"/merchant/grades/{one().id}/end").status_code == 409
    assert one().ended_at is None


def test_a_new_name_leaves_needs_that_the_form_cannot_show(desk):
    needs = [[{"measure": "sales", "at_least": 100_000, "currency": "USD"}]]
    with unit_of_work():
        programs.create_grade(desk.merchant.id, name="Gold", rank=1, needs=needs)
    page = desk.get(f"/merchant/grades/{one().id}?lang=en").text
    assert "1,000.00" in page
    assert "at_least-0-0" not in page

    desk.post(f"/merchant/grades/{one().id}", data={"name": "Ouro", "rank": "2"})

    assert (one().name, one().rank, one().needs) == ("Ouro", 2, needs)


def test_the_market_promises_what_the_grade_earns(client):
    with unit_of_work():
        town = Town("Sol")
        gold = programs.create_grade(town.merchant.id, name="Gold", rank=1)
        rule = Stated(rate_ppm=190_000, conditions={"grades": [gold.id]})
        programs.add_rule(town.program, Target(Scope.PROGRAM), rule)
        band = {"measure": "orders", "period": "month", "at_least": 0, "below": 1}
        rule = Stated(rate_ppm=130_000, conditions={"volume": band})
        programs.add_rule(town.program, Target(Scope.PROGRAM), rule)
    sign_in(client, town.user)
    assert "25.98" in client.get("/promoter/market/?lang=en").text

    with unit_of_work():
        programs.give_grade(gold, town.ana.id)
        programs.end_rule(town.program, db.session.scalars(
            sa.select(Rule).order_by(Rule.id.desc()).limit(1)).one())  # fmt: skip

    page = client.get("/promoter/market/?lang=en").text
    assert "37.98" in page
    assert "Gold" in page
