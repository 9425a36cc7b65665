"""A debt that is not expected back: written off by two people, recovered by later earnings."""

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.ledger import queries as books
from affiliate.ledger import service as ledger
from affiliate.payouts import service as payouts
from affiliate.payouts.models import WriteOff
from affiliate.payouts.service.writing_off import AlreadyDecided, NothingOwed, OwnRequest
from affiliate.people.models import Role
from affiliate.people.service import PeopleOnly
from affiliate.settlement import service
from tests.factories.people import a_user
from tests.factories.settlement import a_settlement, an_entry, payouts_of


def request(merchant, promoter, maker, amount=300):
    with unit_of_work():
        return payouts.request_write_off(
            merchant.id, ("promoter", promoter.id), "BRL", amount=amount, reason="Gone", by=maker.id
        )


def balances(merchant, promoter):
    available = ledger.available(merchant.id, "promoter", promoter.id, "BRL")
    return books.balance(available), books.balance(ledger.bad_debt(merchant.id, "BRL"))


def test_written_off_by_two_people_and_recovered_when_they_earn_again(
    merchant, promoter, maker, checker
):
    an_entry(merchant, promoter, -300)
    asked = request(merchant, promoter, maker)
    assert balances(merchant, promoter) == (-300, 0)

    with unit_of_work():
        payouts.approve_write_off(merchant.id, asked.id, by=checker.id)
    assert balances(merchant, promoter) == (0, 300)

    an_entry(merchant, promoter, 1000)
    settlement = a_settlement(merchant, maker)
    (payout,) = payouts_of(settlement)
    assert (payout.gross, balances(merchant, promoter)) == (700, (0, 0))
    assert db.session.get(WriteOff, (merchant.id, asked.id)).recovered_at is not None

    with unit_of_work():
        service.discard(merchant.id, settlement.id, by=maker.id)
    assert balances(merchant, promoter) == (700, 0)


def test_not_recovered_while_they_stay_below_zero(merchant, promoter, maker, checker):
    an_entry(merchant, promoter, -300)
    asked = request(merchant, promoter, maker, 200)
    with unit_of_work():
        payouts.approve_write_off(merchant.id, asked.id, by=checker.id)
    an_entry(merchant, promoter, 250)

    assert payouts_of(a_settlement(merchant, maker)) == []

    assert balances(merchant, promoter) == (150, 200)


def test_a_debt_that_earnings_cancel_out_is_recovered_too(merchant, promoter, maker, checker):
    an_entry(merchant, promoter, -300)
    asked = request(merchant, promoter, maker)
    with unit_of_work():
        payouts.approve_write_off(merchant.id, asked.id, by=checker.id)
    an_entry(merchant, promoter, 300)

    assert payouts_of(a_settlement(merchant, maker)) == []

    assert balances(merchant, promoter) == (0, 0)


def test_a_withdrawal_recovers_it_first(merchant, promoter, maker, checker):
    an_entry(merchant, promoter, -300)
    asked = request(merchant, promoter, maker)
    with unit_of_work():
        payouts.approve_write_off(merchant.id, asked.id, by=checker.id)
        db.session.merge(merchant).payout_mode = "on_request"
    an_entry(merchant, promoter, 1000)

    with unit_of_work():
        made = payouts.withdraw(merchant.id, ("promoter", promoter.id), "BRL", by=maker.id)

    assert (made.amount, balances(merchant, promoter)) == (700, (0, 0))


def test_the_second_person_is_another_one_and_the_database_says_so_too(merchant, promoter, maker):
    an_entry(merchant, promoter, -300)
    asked = request(merchant, promoter, maker)

    with pytest.raises(OwnRequest):
        payouts.approve_write_off(merchant.id, asked.id, by=maker.id)
    with pytest.raises(sa.exc.IntegrityError, match="four_eyes"), db.session.begin_nested():
        db.session.execute(
            sa.update(WriteOff)
            .where(WriteOff.id == asked.id)
            .values(state="approved", decided_by=maker.id, decided_at=sa.func.now())
        )
    with unit_of_work():
        machine = a_user(Role.FINANCE_CHECKER)
        machine.is_service = True
    with pytest.raises(PeopleOnly):
        payouts.approve_write_off(merchant.id, asked.id, by=machine.id)


def test_no_more_than_is_owed_and_one_at_a_time(merchant, promoter, maker, checker):
    with pytest.raises(NothingOwed):
        request(merchant, promoter, maker)
    with unit_of_work():
        an_entry(merchant, promoter, -300)
    with pytest.raises(Invalid):
        request(merchant, promoter, maker, 301)
    asked = request(merchant, promoter, maker)
    with pytest.raises(AlreadyDecided):
        request(merchant, promoter, maker, 1)
    with unit_of_work():
        an_entry(merchant, promoter, 100)  # less is owed by now

    with pytest.raises(NothingOwed):
        payouts.approve_write_off(merchant.id, asked.id, by=checker.id)
    with unit_of_work():
        payouts.refuse_write_off(merchant.id, asked.id, by=maker.id)

    with pytest.raises(AlreadyDecided):
        payouts.approve_write_off(merchant.id, asked.id, by=checker.id)
    assert request(merchant, promoter, maker, 200).state == "requested"
