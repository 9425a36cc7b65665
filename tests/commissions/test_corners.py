"""Corners where an engine like this goes wrong: one test each, through the real intake."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.attribution import queries, service
from affiliate.attribution.service import OrderNotFound
from affiliate.commissions import service as commissions
from affiliate.commissions.models import Entry
from affiliate.commissions.service import holding
from affiliate.db import db, unit_of_work
from affiliate.intake import service as intake
from affiliate.payouts import service as payouts
from affiliate.people.models import Merchant, Role
from affiliate.programs import service as programs
from affiliate.programs.book import Scope
from affiliate.programs.service import Stated, Target
from affiliate.risk import service as risk
from affiliate.risk.models import Case
from affiliate.settlement import runs
from affiliate.settlement import service as settlement
from tests.attribution.test_sources import a_claim, buyer, seller_of, story
from tests.commissions.town import Town, balance, clean, earned
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.orders import a_line, a_refund, an_order, deliver, send
from tests.factories.people import a_user
from tests.factories.settlement import (
    a_settlement,
    an_account,
    approved,
    executed,
    payouts_of,
    with_totp,
)

PROGRAM = Target(Scope.PROGRAM)
OPEN = [{"id": "d", "status": "open"}]
WON = [{"id": "d", "status": "won"}]


@pytest.fixture
def town(app, clock):
    clock.move(minutes=0)
    found = Town(tiers_ppm=[])
    clock.move(minutes=1)
    return found


def holds():
    return set(db.session.scalars(sa.select(Entry.on_hold)))


def cases():
    found = sa.select(Case).order_by(Case.id).execution_options(populate_existing=True)
    return db.session.scalars(found).all()


def net(key):
    return db.session.scalar(
        sa.text(
            "SELECT coalesce(sum(e.amount), 0)::bigint FROM entries e JOIN orders o"
            " ON (o.merchant_id, o.id) = (e.merchant_id, e.order_id) WHERE o.external_id = :key"
        ),
        {"key": key},
    )


def a_bulk(town, key="x", **facts):
    line = a_line(quantity=50, price="10.00", tax="0.00")
    return an_order(facts.pop("tk", town.tk()), id=key, lines=[line], **facts)


# --- rules and notices -------------------------------------------------------------------------


def test_a_rule_that_is_ended_does_not_go_on_until_its_next_version(client, town, clock):
    with unit_of_work():
        rule = programs.add_rule(town.program, PROGRAM, Stated(rate_ppm=200_000))
    clock.move(days=60)
    with unit_of_work():
        later = time.now() + timedelta(days=40)
        programs.change_rule(town.program, rule, {"rate_ppm": 500_000}, effective_from=later)
    clock.move(minutes=1)
    with unit_of_work():
        programs.end_rule(town.program, rule)
    clock.move(days=35)
    deliver(client, town.shop, an_order(town.tk(), id="x"))
    clock.move(days=10)
    deliver(client, town.shop, an_order(town.tk(), id="y"))

    assert [net("x"), net("y")] == [1200, 1200]


def test_a_rule_that_never_began_is_paid_to_nobody_also_not_as_a_notice(client, town, clock):
    with unit_of_work():
        later = time.now() + timedelta(days=10)
        rule = programs.add_rule(
            town.program, PROGRAM, Stated(rate_ppm=500_000), effective_from=later
        )
    clock.move(minutes=1)
    with unit_of_work():
        programs.end_rule(town.program, rule)
    clock.move(days=11)

    deliver(client, town.shop, an_order(town.tk(), id="x"))

    assert net("x") == 1200


def test_a_notice_that_was_promised_cannot_be_taken_back(client, town, clock):
    with unit_of_work():
        programs.change_program(town.program, {"default_rate_ppm": 50_000})
    clock.move(days=1)
    with unit_of_work():
        programs.change_program(town.program, {"notice_days": 0})
    clock.move(days=1)

    deliver(client, town.shop, an_order(town.tk(), id="x"))

    assert net("x") == 1200


def test_a_rule_may_change_its_kind(client, town, clock):
    with unit_of_work():
        rule = programs.add_rule(town.program, PROGRAM, Stated(rate_ppm=100_000, priority=3))
    clock.move(minutes=1)
    with unit_of_work():
        changes = {"kind": "per_unit", "amount": 1500, "currency": "BRL"}
        programs.change_rule(town.program, rule, changes)
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(town.tk(), id="x"))

    assert net("x") == 1500
    assert programs.latest_version(rule).priority == 3


@pytest.mark.parametrize("step_by_step", [True, False])
def test_categories_of_lines_that_come_later_count(client, town, clock, step_by_step):
    with unit_of_work():
        for key in ("p1", "p2"):
            a_product(town.shop, external_id=key, category="Shirts")
        programs.add_rule(
            town.program, Target(Scope.CATEGORY, category="shirts"), Stated(rate_ppm=500_000)
        )
    clock.move(minutes=1)
    first = an_order(town.tk(), id="x", lines=[a_line("l1", product_id="p1", tax="0.00")])
    more = [*first["lines"], a_line("l2", product_id="p2", tax="0.00")]
    second = first | {"version": 2, "lines": more}

    deliver(client, town.shop, *([first, second] if step_by_step else [second]))

    assert net("x") == 10_000


def test_a_blank_coupon_is_none(client, town, clock):
    with unit_of_work():
        stated = Stated(rate_ppm=500_000, conditions={"coupon": "*"})
        programs.add_rule(town.program, PROGRAM, stated)
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(town.tk(), id="x", coupons=[" "]))

    assert net("x") == 1200


def test_the_platforms_fee_stays_when_another_touch_of_the_same_promoter_counts(client, town):
    with unit_of_work():
        db.session.get(Merchant, town.merchant.id).platform_fee_ppm = 10_000
        another = a_link(town.program, town.ana)
    order = an_order(town.tk(), id="x")
    deliver(client, town.shop, order)
    with unit_of_work():
        db.session.get(Merchant, town.merchant.id).platform_fee_ppm = 50_000

    deliver(client, town.shop, order | {"version": 2, "tk": town.tk(another)})

    assert earned()["platform_fee", None] == 100


# --- whose ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_by_step", [True, False])
def test_a_phone_that_is_told_later_is_bound_as_well(client, town, clock, step_by_step):
    first = an_order(town.tk(), id="x", **buyer("c1", email="eva@example.com"))
    phone = {"id": "c1", "email": "eva@example.com", "phone": "+5511987654321"}
    second = first | {"version": 2, "customer": phone}
    deliver(client, town.shop, *([first, second] if step_by_step else [second]))
    clock.move(days=1)

    deliver(client, town.shop, an_order(id="y", customer={"phone": "+5511987654321"}))

    assert seller_of("y") == "Ana"


@pytest.mark.parametrize("now", [{"email": "eva@example.com"}, None])
def test_a_customer_that_an_order_names_no_more_is_bound_no_more(client, town, clock, now):
    first = an_order(town.tk(), id="x", customer={"email": "wrong@example.com"})
    deliver(client, town.shop, first, first | {"version": 2, "customer": now})
    clock.move(days=1)

    deliver(client, town.shop, an_order(id="y", customer={"email": "wrong@example.com"}))

    assert seller_of("y") is None


def test_an_order_that_is_paid_in_this_batch_binds_for_the_next(client, town, clock):
    unpaid = {"status": "pending_payment", "paid_at": None}
    first = an_order(town.tk(), id="x", **unpaid, **buyer("c1"))
    deliver(client, town.shop, first)
    clock.move(minutes=1)
    paid = first | {"version": 2, "status": "paid", "paid_at": time.now().isoformat()}
    clock.move(minutes=1)
    for order in (paid, an_order(id="y", **buyer("c1"))):
        send(client, town.shop, order)

    intake.drain(town.merchant.id, town.shop.id)

    assert seller_of("y") == "Ana", story("y")


def test_a_link_to_another_shops_product_earns_no_line_here(client, clock):
    clock.move(minutes=0)
    town = Town(tiers_ppm=[], credit="product")
    with unit_of_work():
        other = a_shop(town.merchant)
        anas = a_link(town.program, town.ana, product=a_product(other, external_id="zz"))
    clock.move(minutes=1)

    deliver(client, town.shop, an_order(town.tk(anas), id="x"))

    assert story("x") == ["product_of_another_shop", "no_winner"]


def test_a_binding_that_stands_first_is_not_moved_down_by_its_protection(client, clock):
    clock.move(minutes=0)
    town = Town(tiers_ppm=[], sources=("binding", "coupon", "click"), protection_days=9)
    with unit_of_work():
        service.add_coupon(town.program, town.bia.id, "GO")
    clock.move(minutes=1)
    deliver(client, town.shop, an_order(town.tk(), id="x", **buyer()))
    clock.move(days=1)

    deliver(client, town.shop, an_order(id="y", coupons=["GO"], **buyer()))

    assert seller_of("y") == "Ana"


def test_junk_does_not_push_a_token_out(client, town):
    junk = ".".join(f"0{number:02}" for number in range(50))

    deliver(client, town.shop, an_order(f"{junk}.{town.tk()}", id="x"))

    assert seller_of("x") == "Ana"


def test_a_number_that_is_another_orders_id_is_not_guessed(client, town):
    deliver(client, town.shop, an_order(id="77", number="#1"), an_order(id="5001", number="#77"))
    claim = a_claim(town, town.bia, "77")
    with pytest.raises(OrderNotFound, match="Several"), unit_of_work():
        commissions.accept_claim(queries.claim(claim.merchant_id, claim.id), by=a_user().id)

    meant = queries.orders_of(claim)[-1]
    with unit_of_work():
        commissions.accept_claim(
            queries.claim(claim.merchant_id, claim.id), by=a_user().id, order=meant
        )

    assert [seller_of("77"), seller_of("5001")] == ["Bia", None]


def test_a_test_order_earns_nothing_however_late_it_says_so(client, town):
    order = an_order(town.tk(), id="x")
    deliver(client, town.shop, order)
    with unit_of_work():
        commissions.release(town.merchant.id, time.now() + timedelta(days=60))

    deliver(client, town.shop, order | {"version": 2, "test": True})

    assert net("x") == 0
    clean()


# --- holds --------------------------------------------------------------------------------------


def test_a_confirmed_case_outlives_reports_without_a_winner(client, town):
    deliver(client, town.shop, a_bulk(town))
    with unit_of_work():
        risk.confirm(cases()[0], by=a_user().id, note=None)

    again = a_bulk(town)
    deliver(
        client, town.shop, again | {"version": 2, "renewal": True, "tk": None},
        again | {"version": 3},
    )  # fmt: skip

    assert net("x") == 0
    clean()


def test_test_orders_open_no_cases(client, town):
    deliver(client, town.shop, a_bulk(town, test=True))

    assert cases() == []


def test_a_claimed_order_is_looked_at_like_any_other(client, town):
    deliver(client, town.shop, a_bulk(town, key="77", tk=None))
    claim = a_claim(town, town.bia, "77")
    with unit_of_work():
        commissions.accept_claim(
            queries.claim(claim.merchant_id, claim.id), by=a_user().id, look=risk.look
        )

    assert holds() == {"risk"}


def test_a_confirmed_promoter_stays_held_when_another_case_is_cleared(client, town):
    deliver(client, town.shop, an_order(town.tk()))
    with unit_of_work():
        an_account(town.ana)
        an_account(town.bia)
    for case in cases():
        with unit_of_work():
            risk.confirm(case, by=a_user().id, note=None)
    with unit_of_work():
        an_account(town.cida)
    for case in cases():
        if case.state == "open":
            with unit_of_work():
                risk.clear(case, by=a_user().id, note=None)

    assert holds() == {"risk"}


@pytest.fixture
def paid_out(client, town):
    """Ana's money is with the bank; the order, the payout, and who pays."""
    order = an_order(town.tk(), id="due")
    deliver(client, town.shop, order)
    with unit_of_work():
        an_account(town.ana)
    maker, checker = a_user(), with_totp(a_user(Role.FINANCE_CHECKER))
    through = time.now() + timedelta(days=60)
    made = approved(a_settlement(town.merchant, maker, through=through), checker)
    executed(made, maker)
    payout = payouts_of(made)[0]
    return order, (payout.merchant_id, payout.id), maker


def test_a_hold_that_came_while_the_money_was_away_meets_it_when_it_returns(client, town, paid_out):
    order, payout, maker = paid_out
    with unit_of_work():
        payouts.mark_paid(*payout, by=maker.id)
    deliver(client, town.shop, order | {"version": 2, "disputes": OPEN})
    with unit_of_work():
        payouts.mark_returned(*payout, by=maker.id, reason="closed")

    again = a_settlement(town.merchant, maker, through=time.now() + timedelta(days=60))

    assert payouts_of(again) == []
    clean()


def test_a_hold_that_went_while_the_money_was_away_is_gone_when_it_returns(client, town, paid_out):
    order, payout, maker = paid_out
    deliver(client, town.shop, order | {"version": 2, "disputes": OPEN})
    with unit_of_work():
        payouts.mark_paid(*payout, by=maker.id)
    deliver(client, town.shop, order | {"version": 3, "disputes": WON})
    with unit_of_work():
        payouts.mark_returned(*payout, by=maker.id, reason="closed")

    assert holds() == {None}
    clean()


# --- two at once --------------------------------------------------------------------------------


@pytest.fixture
def busy(app, committed, rung):
    return Town(tiers_ppm=[])


def beside(app, pool, work):
    """Run it in another thread with a context of its own; an error is its result."""

    def run():
        with app.app_context():
            try:
                return work()
            except Exception as error:
                return error

    return pool.submit(run)


@pytest.mark.parametrize("lifted", [False, True])
def test_a_payees_hold_waits_for_who_is_booking(app, client, busy, monkeypatch, lifted):
    merchant_id, shop_id, payee = busy.merchant.id, busy.shop.id, ("promoter", busy.ana.id)
    if lifted:
        with unit_of_work():
            commissions.hold_payees(merchant_id, [payee], "risk")
    send(client, busy.shop, an_order(busy.tk(), id="x"))
    reached, go = threading.Event(), threading.Event()
    real = holding.are_concerned

    def slow(*args):
        found = real(*args)
        reached.set()
        go.wait(1)
        return found

    monkeypatch.setattr(holding, "are_concerned", slow)
    with ThreadPoolExecutor(2) as pool:
        drained = beside(app, pool, lambda: intake.drain(merchant_id, shop_id))
        assert reached.wait(10)
        with unit_of_work():
            if lifted:
                commissions.lift_payee(merchant_id, payee)
            else:
                commissions.hold_payees(merchant_id, [payee], "risk")
        go.set()
        assert drained.result() == 1

    assert holds() == ({None} if lifted else {"risk"})


def test_a_refund_with_a_dispute_and_a_build_do_not_deadlock(app, client, busy, monkeypatch):
    merchant_id, shop_id = busy.merchant.id, busy.shop.id
    order = an_order(busy.tk(), id="x")
    deliver(client, busy.shop, order)
    maker = a_user()
    with unit_of_work():
        an_account(busy.ana)
        commissions.release(merchant_id, time.now() + timedelta(days=60))
    with unit_of_work():
        made = settlement.create(
            merchant_id, through=time.now() + timedelta(days=60), by=maker.id, in_background=False
        )
    back = [{"id": "r1", "status": "succeeded", "amount": "10.00"}]
    send(client, busy.shop, order | {"version": 2, "refunds": back, "disputes": OPEN})
    posting, reserving = threading.Event(), threading.Event()
    refresh, reserve = holding.refresh, settlement.building.payouts.reserve

    def slow_refresh(*args):
        posting.set()
        reserving.wait(1)
        return refresh(*args)

    def slow_reserve(*args):
        reserving.set()
        posting.wait(1)
        return reserve(*args)

    monkeypatch.setattr(holding, "refresh", slow_refresh)
    monkeypatch.setattr(settlement.building.payouts, "reserve", slow_reserve)
    with ThreadPoolExecutor(2) as pool:
        drained = beside(app, pool, lambda: intake.drain(merchant_id, shop_id))
        built = beside(app, pool, lambda: list(runs.build(merchant_id, made.id)))
        assert not isinstance(drained.result(), Exception), drained.result()
        assert not isinstance(built.result(), Exception), built.result()
    clean()


@pytest.mark.parametrize("seed", range(4))
def test_release_and_refund_at_once_leave_what_is_left(app, client, busy, seed):
    """Whoever comes first: the refund takes back from pending or from available, to the cent."""
    merchant_id, shop_id = busy.merchant.id, busy.shop.id
    order = an_order(busy.tk(), id=f"x{seed}")
    deliver(client, busy.shop, order)
    send(client, busy.shop, order | {"version": 2, "refunds": [a_refund("25.00")]})
    begin = threading.Barrier(2)

    def release():
        begin.wait()
        with unit_of_work():
            commissions.release(merchant_id, time.now() + timedelta(days=60))

    def refund():
        begin.wait()
        return intake.drain(merchant_id, shop_id)

    with ThreadPoolExecutor(2) as pool:
        both = [beside(app, pool, work) for work in (release, refund)]
        results = [each.result() for each in both]

    assert [each for each in results if isinstance(each, Exception)] == []
    with unit_of_work():
        commissions.release(merchant_id, time.now() + timedelta(days=60))
    assert (balance(busy.ana, "pending"), balance(busy.ana, "available")) == (0, 900)
    clean()
