"""What looks odd is held, a case is opened, and a person decides: on orders and promoters."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.commissions import service as commissions
from affiliate.commissions.models import Entry
from affiliate.db import db, unit_of_work
from affiliate.payouts.models import Payout
from affiliate.people.models import Role
from affiliate.risk import queries, service
from affiliate.risk.models import Case
from affiliate.settlement import service as settlement
from tests.commissions.town import Town, clean, earned
from tests.factories.orders import a_line, an_order, deliver
from tests.factories.people import a_user
from tests.factories.settlement import (
    a_settlement,
    an_account,
    approved,
    executed,
    payouts_of,
    with_totp,
)


@pytest.fixture
def town(app):
    return Town(tiers_ppm=[30_000])


def holds():
    return db.session.execute(
        sa.select(Entry.amount, Entry.state, Entry.on_hold).order_by(Entry.id)
    ).all()


def cases():
    rows = db.session.scalars(
        sa.select(Case).order_by(Case.id).execution_options(populate_existing=True)
    )
    return [(row.state, [each["code"] for each in row.signals]) for row in rows]


def a_case():
    return db.session.scalars(sa.select(Case).with_for_update()).one()


def a_bulk(town, **facts):
    return an_order(town.tk(), lines=[a_line(quantity=50, price="10.00", tax="0.00")], **facts)


def release(town):
    with unit_of_work():
        commissions.release(town.merchant.id, time.now() + timedelta(days=60))


def test_a_bulk_purchase_is_held_and_stays_held_through_edits(client, town):
    order = a_bulk(town)
    deliver(client, town.shop, order)
    assert cases() == [("open", ["bulk_purchase"])]

    more = [a_line(quantity=60, price="10.00", tax="0.00")]
    deliver(client, town.shop, order | {"version": 2, "lines": more})
    release(town)

    assert len(cases()) == 1
    assert {(state, why) for _, state, why in holds()} == {("pending", "risk")}
    clean()


def test_a_cleared_case_lets_the_money_go_and_is_not_opened_again(client, town):
    order = a_bulk(town)
    deliver(client, town.shop, order)
    with unit_of_work():
        service.clear(a_case(), by=a_user().id, note="a company")

    deliver(client, town.shop, order | {"version": 2, "number": "changed"})
    release(town)

    assert cases() == [("cleared", ["bulk_purchase"])]
    assert {(state, why) for _, state, why in holds()} == {("available", None)}
    clean()


def test_a_confirmed_case_pays_nobody_whatever_is_reported_later(client, town):
    order = a_bulk(town)
    deliver(client, town.shop, order)
    with unit_of_work():
        service.confirm(a_case(), by=a_user().id, note=None)
    assert set(earned().values()) == {0}

    deliver(client, town.shop, order | {"version": 2, "coupons": ["LATE"]})

    assert set(earned().values()) == {0}
    with pytest.raises(service.CaseDecided):
        service.clear(a_case(), by=a_user().id, note=None)
    clean()


def test_five_orders_of_one_buyer_in_a_day_are_odd(client, town, clock):
    clock.move(minutes=1)
    for number in range(5):
        clock.move(hours=1)
        customer = {"id": "c1", "email": "eva@example.com"}
        deliver(client, town.shop, an_order(town.tk(), id=f"o{number}", customer=customer))

    assert cases() == [("open", ["velocity"])]


def test_five_orders_of_one_buyer_in_a_week_are_not(client, town, clock):
    clock.move(minutes=1)
    for number in range(5):
        clock.move(hours=25)
        customer = {"id": "c1", "email": "eva@example.com"}
        deliver(client, town.shop, an_order(town.tk(), id=f"o{number}", customer=customer))

    assert cases() == []


def test_a_promoters_own_purchase_is_a_case_although_nothing_is_paid(client, town):
    deliver(client, town.shop, an_order(town.tk(), customer={"id": "c", "email": town.ana.email}))

    assert cases() == [("open", ["self_purchase"])]
    assert earned() == {}


def test_a_sponsor_who_buys_through_the_team_is_held(client, town):
    deliver(client, town.shop, an_order(town.tk(), customer={"id": "c", "email": town.bia.email}))

    assert cases() == [("open", ["upline_purchase"])]
    assert {why for *_, why in holds()} == {"risk"}


def test_a_program_may_be_more_patient(client):
    town = Town(risk_threshold=150)

    deliver(client, town.shop, a_bulk(town))

    assert cases() == []
    assert {why for *_, why in holds()} == {None}


def test_two_promoters_on_one_account_wait_for_a_decision(client, town):
    deliver(client, town.shop, an_order(town.tk()))
    with unit_of_work():
        an_account(town.ana)
        an_account(town.bia)

    assert cases() == [("open", ["shared_payout_account"])] * 2
    assert {why for *_, why in holds()} == {"risk"}

    deliver(client, town.shop, an_order(town.tk(), id="new"))
    assert {why for *_, why in holds()} == {"risk"}

    for case in db.session.scalars(sa.select(Case)).all():
        with unit_of_work():
            found = queries.case(case.merchant_id, case.id, lock=True)
            service.clear(found, by=a_user().id, note=None)
    assert {why for *_, why in holds()} == {None}
    clean()


# --- disputes ----------------------------------------------------------------------------------


def a_dispute(status, **facts):
    return [{"id": "d1", "status": status, **facts}]


def test_an_open_dispute_holds_and_a_won_one_lets_go(client, town):
    order = an_order(town.tk(), disputes=a_dispute("open"))
    deliver(client, town.shop, order)
    release(town)
    assert {(state, why) for _, state, why in holds()} == {("pending", "dispute")}

    deliver(client, town.shop, order | {"version": 2, "disputes": a_dispute("won")})
    release(town)

    assert {(state, why) for _, state, why in holds()} == {("available", None)}
    assert earned()["direct", "Ana"] == 1200
    clean()


def test_a_lost_dispute_takes_back_what_was_released(client, town):
    order = an_order(town.tk())
    deliver(client, town.shop, order)
    release(town)

    deliver(client, town.shop, order | {"version": 2, "disputes": a_dispute("open")})
    assert {(state, why) for _, state, why in holds()} == {("available", "dispute")}

    deliver(client, town.shop, order | {"version": 3, "disputes": a_dispute("lost")})
    assert set(earned().values()) == {0}
    clean()


def test_reports_of_a_dispute_in_any_order_end_alike(client, town):
    order = an_order(town.tk())
    late = order | {"version": 3, "disputes": a_dispute("lost", amount="40.00")}
    early = order | {"version": 2, "disputes": a_dispute("open", amount="40.00")}

    deliver(client, town.shop, late, early, order)

    assert earned()["direct", "Ana"] == 720
    assert {why for *_, why in holds()} == {None}
    clean()


# --- payouts that own held money ---------------------------------------------------------------


@pytest.fixture
def due(client, town):
    """An order of Ana's that is released; she has an account."""
    order = an_order(town.tk(), id="due")
    deliver(client, town.shop, order)
    with unit_of_work():
        an_account(town.ana)
    return order


def test_held_money_is_not_settled(client, town, due):
    deliver(client, town.shop, due | {"version": 2, "disputes": a_dispute("open")})

    made = a_settlement(town.merchant, a_user(), through=time.now() + timedelta(days=60))

    assert payouts_of(made) == []


def test_a_hold_cancels_a_payout_that_is_not_handed_over(client, town, due, rung):
    made = a_settlement(town.merchant, a_user(), through=time.now() + timedelta(days=60))
    assert [each.state for each in payouts_of(made)] == ["awaiting_approval"]

    deliver(client, town.shop, due | {"version": 2, "disputes": a_dispute("open")})
    assert ("workers.settlement.cancel_held", town.merchant.id) in rung
    with unit_of_work():
        settlement.cancel_held(town.merchant.id)

    assert [each.state for each in payouts_of(made)] == ["cancelled"]
    assert ("available", "dispute") in {(state, why) for _, state, why in holds()}
    clean()


def test_a_hold_that_comes_after_the_approval_is_seen_when_it_is_executed(client, town, due):
    maker, checker = a_user(), with_totp(a_user(Role.FINANCE_CHECKER))
    made = approved(
        a_settlement(town.merchant, maker, through=time.now() + timedelta(days=60)), checker
    )
    deliver(client, town.shop, due | {"version": 2, "disputes": a_dispute("open")})

    executed(made, maker)

    found = db.session.scalars(sa.select(Payout)).one()
    assert (found.state, found.reason) == ("cancelled", "on_hold")
    assert made.state == "closed"
    clean()


def test_a_dispute_after_the_payout_holds_nothing_and_a_loss_is_owed(client, town, due):
    maker, checker = a_user(), with_totp(a_user(Role.FINANCE_CHECKER))
    made = approved(
        a_settlement(town.merchant, maker, through=time.now() + timedelta(days=60)), checker
    )
    executed(made, maker)

    deliver(client, town.shop, due | {"version": 2, "disputes": a_dispute("open")})
    deliver(client, town.shop, due | {"version": 3, "disputes": a_dispute("lost")})

    assert [each.state for each in payouts_of(made)] == ["accepted"]
    assert earned()["direct", "Ana"] == 0
    clean()
