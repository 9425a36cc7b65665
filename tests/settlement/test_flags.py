"""What an approver should look at twice, and how a run compares with the one before."""

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.payouts import service as payouts
from affiliate.payouts.queries import accounts
from affiliate.settlement import queries
from affiliate.settlement.models import Flag
from tests.factories.people import a_promoter
from tests.factories.settlement import (
    PLAIN,
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
)


@pytest.fixture
def paid(merchant, promoter, maker, checker):
    """The promoter was paid these amounts, one after the other."""

    def pay(*amounts):
        for amount in amounts:
            with unit_of_work():
                an_entry(merchant, promoter, amount)
            settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
            for payout in payouts_of(settlement):
                with unit_of_work():
                    payouts.mark_paid(merchant.id, payout.id, by=maker.id)

    return pay


def flags_of(settlement):
    rows = db.session.execute(
        sa.select(Flag.code, Flag.detail)
        .where(Flag.settlement_id == settlement.id)
        .order_by(Flag.code)
    )
    return [(code, detail) for code, detail in rows]


@pytest.mark.parametrize(
    ("amount", "expected"), [(1999, []), (2000, [("far_above_usual", {"usual": 200})])]
)
def test_ten_times_the_usual(merchant, promoter, maker, paid, amount, expected):
    paid(100, 300)
    an_entry(merchant, promoter, amount)

    assert flags_of(a_settlement(merchant, maker)) == expected


def test_a_first_payout_has_no_usual_and_no_other_account(merchant, promoter, maker):
    an_entry(merchant, promoter, 10**9)

    assert flags_of(a_settlement(merchant, maker)) == []


def test_an_account_that_was_never_paid_to(merchant, promoter, maker, paid, clock):
    paid(100)
    with unit_of_work():
        an_account(promoter, **(PLAIN | {"account_number": "999"}))
        an_entry(merchant, promoter, 100)
    clock.move(hours=48)

    assert flags_of(a_settlement(merchant, maker)) == [("new_account", {})]


def test_an_account_of_several_payees(merchant, promoter, maker):
    with unit_of_work():
        for _number in range(2):
            an_account(a_promoter())
        an_entry(merchant, promoter, 100)

    settlement = a_settlement(merchant, maker)

    assert flags_of(settlement) == [("shared_account", {"others": 2})]
    assert [each.net for each in queries.flags(settlement)] == [100]


def test_beside_the_run_before(merchant, promoter, maker, checker, paid):
    paid(100)
    with unit_of_work():
        an_account(promoter, currency="EUR", iban="DE89370400440532013000", account_holder="A")
        an_entry(merchant, promoter, 250)
        an_entry(merchant, promoter, 70, currency="EUR")

    settlement = a_settlement(merchant, maker)

    before = queries.before(settlement)
    assert queries.compared(settlement, before) == {"BRL": (0, 150), "EUR": (1, 70)}


def test_money_goes_to_the_account_before_while_the_new_one_cools_off(merchant, promoter, maker):
    with unit_of_work():
        an_account(promoter, **(PLAIN | {"account_number": "999"}))
        an_entry(merchant, promoter, 100)

    (payout,) = payouts_of(a_settlement(merchant, maker))

    assert accounts([payout.account_id])[payout.account_id].masked == "BR 001 •••• 78-9"


def test_a_holder_of_another_name_is_looked_at_twice(merchant, maker):
    with unit_of_work():
        ana = a_promoter("Ana Díaz")
        an_account(ana)
        an_entry(merchant, ana, 100)

    assert flags_of(a_settlement(merchant, maker)) == [("other_name", {})]
