"""Payees ask for money: it is set aside at once, and goes where the payout goes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from affiliate import clock
from affiliate.commissions.models import Commission, Entry
from affiliate.commissions.service import holding
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.ledger import queries as books
from affiliate.ledger import service as ledger
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Withdrawal, WithdrawalLine
from affiliate.payouts.service import withdrawals
from affiliate.payouts.service.withdrawals import NotRequested, OpenAlready, PaidByItself
from affiliate.people.models import User
from affiliate.settlement import runs, service
from affiliate.settlement.models import CarryOver
from tests.factories.people import a_merchant, a_promoter
from tests.factories.settlement import (
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    states_of,
)


@pytest.fixture
def merchant(clean_books):
    with unit_of_work():
        return a_merchant(payout_mode="on_request")


def ask(merchant, promoter, amount=None, currency="BRL"):
    by = db.session.scalars(sa.select(User.id).order_by(User.id)).first()
    with unit_of_work():
        return payouts.withdraw(
            merchant.id, ("promoter", promoter.id), currency, by=by, amount=amount
        )


def balances(merchant, promoter):
    owner = (merchant.id, "promoter", promoter.id, "BRL")
    return books.balance(ledger.available(*owner)), books.balance(ledger.reserved(*owner))


def now(asked):
    return db.session.get(Withdrawal, (asked.merchant_id, asked.id), populate_existing=True)


def test_all_there_is_is_set_aside_at_once(merchant, promoter, maker):
    entries = [an_entry(merchant, promoter, 700), an_entry(merchant, promoter, -200)]

    asked = ask(merchant, promoter)

    assert (asked.amount, asked.state) == (500, "requested")
    assert balances(merchant, promoter) == (0, 500)
    assert states_of(*entries) == ["reserved", "reserved"]


def test_an_exact_amount_splits_the_last_entry_and_leaves_the_commission_as_it_was(
    merchant, promoter, maker, checker
):
    first, second = an_entry(merchant, promoter, 300), an_entry(merchant, promoter, 500)

    asked = ask(merchant, promoter, 420)

    assert balances(merchant, promoter) == (380, 420)
    assert states_of(first, second) == ["reserved", "reserved"]
    parts = db.session.scalars(
        sa.select(Entry).filter_by(split_of=second.id).order_by(Entry.amount)
    ).all()
    assert [(each.amount, each.state) for each in parts] == [
        (-380, "reserved"),
        (380, "available"),
    ]
    commission = db.session.scalars(
        sa.select(Commission)
        .filter_by(id=second.commission_id)
        .options(sa.orm.undefer(Commission.amount), sa.orm.undefer(Commission.reversed))
    ).one()
    assert (commission.amount, commission.reversed) == (500, 0)

    paid = executed(approved(a_settlement(merchant, maker), checker), maker)
    (payout,) = payouts_of(paid)
    with unit_of_work():
        payouts.mark_paid(merchant.id, payout.id, by=maker.id)
    assert (payout.gross, now(asked).state) == (420, "paid")
    again = ask(merchant, promoter)
    assert again.amount == 380


@pytest.mark.parametrize("amount", [1, 9 * 10**12])
def test_the_smallest_and_the_largest_amount(merchant, promoter, maker, amount):
    an_entry(merchant, promoter, amount)

    asked = ask(merchant, promoter, amount)

    assert (asked.amount, balances(merchant, promoter)) == (amount, (0, amount))


@pytest.mark.parametrize(
    ("amount", "code"),
    [(0, "not_positive"), (501, "not_available"), (99, "below_minimum")],
)
def test_what_cannot_be_asked_for(merchant, promoter, maker, amount, code):
    with unit_of_work():
        db.session.merge(merchant).minimum_payout = 100
        an_entry(merchant, promoter, 500)
        an_entry(merchant, promoter, 400, on_hold="risk")

    with pytest.raises(Invalid) as refused:
        ask(merchant, promoter, amount)

    assert refused.value.errors[0].code == code
    assert balances(merchant, promoter) == (900, 0)


def test_nothing_without_an_account_or_without_money(merchant, promoter, maker):
    poor = a_promoter()
    an_entry(merchant, poor, 500)

    with pytest.raises(Invalid) as no_account:
        ask(merchant, poor)
    with pytest.raises(Invalid) as no_money:
        ask(merchant, promoter)

    assert no_account.value.errors[0].code == "no_account"
    assert no_money.value.errors[0].code == "not_available"


def test_a_merchant_that_pays_by_itself_is_not_asked(promoter, maker):
    with unit_of_work():
        merchant = a_merchant()
        an_entry(merchant, promoter, 500)

    with pytest.raises(PaidByItself):
        ask(merchant, promoter)


def test_one_at_a_time_for_each_currency(merchant, promoter, maker):
    an_account(promoter, currency="EUR", iban="DE89370400440532013000", account_holder="Ana")
    an_entry(merchant, promoter, 500)
    an_entry(merchant, promoter, 500, currency="EUR")
    ask(merchant, promoter, 100)

    with pytest.raises(OpenAlready):
        ask(merchant, promoter, 100)

    assert ask(merchant, promoter, 100, "EUR").state == "requested"


def test_a_settlement_takes_what_was_asked_for_and_nothing_else(merchant, promoter, maker):
    other = a_promoter()
    an_account(other)
    an_entry(merchant, promoter, 500)
    an_entry(merchant, other, 900)
    asked = ask(merchant, promoter, 300)

    settlement = a_settlement(merchant, maker)

    (payout,) = payouts_of(settlement)
    assert (payout.payee_id, payout.gross, payout.withdrawal_id) == (promoter.id, 300, asked.id)
    assert (now(asked).state, now(asked).payout_id) == ("in_settlement", payout.id)
    left = db.session.execute(
        sa.select(CarryOver.payee_id, CarryOver.amount, CarryOver.reason).order_by(CarryOver.amount)
    ).all()
    assert [tuple(each) for each in left] == [
        (promoter.id, 200, "not_requested"),
        (other.id, 900, "not_requested"),
    ]
    with pytest.raises(NotRequested):
        payouts.refuse(merchant.id, asked.id, by=maker.id, reason="too late")


def test_discarded_it_waits_for_the_next_one_still_set_aside(merchant, promoter, maker):
    an_entry(merchant, promoter, 500)
    asked = ask(merchant, promoter)
    settlement = a_settlement(merchant, maker)

    with unit_of_work():
        service.discard(merchant.id, settlement.id, by=maker.id)

    assert (now(asked).state, balances(merchant, promoter)) == ("requested", (0, 500))
    (payout,) = payouts_of(a_settlement(merchant, maker))
    assert (payout.gross, now(asked).payout_id) == (500, payout.id)


def test_when_its_payout_fails_or_comes_back_it_is_refused_and_the_money_is_there_again(
    merchant, promoter, maker, checker
):
    an_entry(merchant, promoter, 500)
    for verb in ("failed", "returned"):
        asked = ask(merchant, promoter, 420)
        (payout,) = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))
        with unit_of_work():
            if verb == "failed":
                payouts.mark_failed(merchant.id, payout.id, by=maker.id, reason="closed")
            else:
                payouts.mark_paid(merchant.id, payout.id, by=maker.id)
                payouts.mark_returned(merchant.id, payout.id, by=maker.id, reason="closed")
        assert (now(asked).state, now(asked).reason) == ("refused", "closed")
        assert balances(merchant, promoter) == (500, 0)
        live = sa.select(WithdrawalLine).filter_by(withdrawal_id=asked.id, live=True)
        assert db.session.scalars(live).all() == []


def test_refused_by_finance_the_money_is_there_again(merchant, promoter, maker):
    entry = an_entry(merchant, promoter, 500)
    asked = ask(merchant, promoter, 200)

    with unit_of_work():
        withdrawals.refuse(merchant.id, asked.id, by=maker.id, reason="strange")
        withdrawals.refuse(merchant.id, asked.id, by=maker.id, reason="again")

    assert now(asked).reason == "strange"
    assert (balances(merchant, promoter), states_of(entry)) == ((500, 0), ["available"])


def test_a_hold_or_a_refund_refuses_it_before_a_settlement_pays_it(merchant, promoter, maker):
    """Who asked reads why, and asks again for what is left."""
    other = a_promoter()
    an_account(other)
    held, sold = an_entry(merchant, promoter, 500), an_entry(merchant, other, 800)
    asked = [ask(merchant, promoter), ask(merchant, other)]
    with unit_of_work():
        holding.place(merchant.id, [held.order_id], "risk")
        holding.refresh(merchant.id, [held.order_id])
        commission = db.session.get_one(Commission, (merchant.id, sold.commission_id))
        an_entry(merchant, other, -300, commission=commission)

    settlement = a_settlement(merchant, maker)

    assert payouts_of(settlement) == []
    assert [now(each).reason for each in asked] == ["on_hold", "refunded"]
    assert ask(merchant, other).amount == 500


def test_many_asks_at_once_set_the_money_aside_once(merchant, promoter, maker, app, committed):
    with unit_of_work():
        an_entry(merchant, promoter, 500)
        by = maker.id
    begin = threading.Barrier(6)

    def one(_number):
        with app.app_context():
            begin.wait()
            try:
                with unit_of_work():
                    return payouts.withdraw(
                        merchant.id, ("promoter", promoter.id), "BRL", by=by, amount=200
                    ).amount
            except (OpenAlready, Invalid) as refused:
                return type(refused)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(one, range(6)))

    assert [each for each in results if each == 200] == [200]
    assert balances(merchant, promoter) == (300, 200)


def test_withdrawing_against_a_settlement_pays_once(merchant, promoter, maker, app, committed):
    with unit_of_work():
        for _number in range(10):
            an_entry(merchant, promoter, 100)
        settlement = service.create(
            merchant.id, through=clock.now(), by=maker.id, in_background=False
        )
        by, key = maker.id, settlement.id
    begin = threading.Barrier(2)

    def asking():
        with app.app_context():
            begin.wait()
            with unit_of_work():
                payouts.withdraw(merchant.id, ("promoter", promoter.id), "BRL", by=by)

    def building():
        with app.app_context():
            begin.wait()
            for _ in runs.build(merchant.id, key):
                pass

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(asking), pool.submit(building)]:
            each.result(timeout=30)

    db.session.expire_all()
    asked = db.session.scalars(sa.select(Withdrawal)).one()
    assert sum(each.gross for each in payouts_of(db.session.merge(settlement))) in (0, 1000)
    assert (asked.amount, balances(merchant, promoter)) == (1000, (0, 1000))
