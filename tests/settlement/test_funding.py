"""A credit limit: what pay-ins and the limit do not cover stays pending, oldest first."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from affiliate.commissions import service as commissions
from affiliate.commissions.models import Entry, State
from affiliate.db import db, unit_of_work
from affiliate.ledger import queries as books
from affiliate.ledger import service as ledger
from affiliate.money import Money
from affiliate.people.models import Merchant
from affiliate.settlement import queries, service
from tests.factories.people import a_merchant
from tests.factories.settlement import a_settlement, an_entry, payouts_of

DAY = timedelta(days=1)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def merchant(clean_books):
    with unit_of_work():
        return a_merchant(credit_limit=1000)


def due(merchant, promoter, *amounts, currency="BRL"):
    """Pending entries, due one day after the other."""
    return [
        an_entry(
            merchant, promoter, amount, state=State.PENDING, hold_until=BEGIN + DAY * number,
            currency=currency,
        )
        for number, amount in enumerate(amounts)
    ]  # fmt: skip


def release(merchant, limit=5000):
    while True:
        with unit_of_work():
            if not commissions.release(merchant.id, LATER, limit):
                return


def stand(*entries):
    for entry in entries:
        db.session.refresh(entry)
    return [entry.on_hold or entry.state for entry in entries]


@pytest.mark.parametrize("limit", [1, 2, 5000])
def test_past_the_limit_entries_stay_pending_and_nothing_overtakes(merchant, promoter, limit):
    entries = due(merchant, promoter, 600, 600, 100)

    release(merchant, limit)

    assert stand(*entries) == ["available", "merchant_unfunded", "merchant_unfunded"]


def test_a_pay_in_releases_the_oldest_first(merchant, promoter, maker):
    entries = due(merchant, promoter, 600, 600, 500)
    release(merchant)

    for amount, after in ((199, "merchant_unfunded"), (1, "available")):
        with unit_of_work():
            service.record_pay_in(
                merchant.id, Money(amount, "BRL"), reference=f"TED {amount}", by=maker.id
            )
        release(merchant)
        assert stand(*entries) == ["available", after, "merchant_unfunded"]


def test_a_pay_in_that_comes_back_takes_nothing_back_and_releases_no_more(
    merchant, promoter, maker
):
    with unit_of_work():
        pay_in = service.record_pay_in(merchant.id, Money(500, "BRL"), reference="TED", by=maker.id)
    first = due(merchant, promoter, 1400)
    release(merchant)

    with unit_of_work():
        found = queries.pay_in(merchant.id, pay_in.id, lock=True)
        service.return_pay_in(found, by=maker.id, reason="no funds")
        service.return_pay_in(found, by=maker.id, reason="again")
    later = due(merchant, promoter, 1)
    release(merchant)

    assert (stand(*first), stand(*later)) == (["available"], ["merchant_unfunded"])
    assert books.balance(ledger.receivable(merchant.id, "BRL")) == 1401
    assert books.balance(ledger.clearing(merchant.id, "BRL")) == 0
    assert found.return_reason == "no funds"


def test_a_settlement_pays_what_is_funded_and_a_refund_makes_room(merchant, promoter, maker):
    first, second = due(merchant, promoter, 900, 300)
    settlement = a_settlement(merchant, maker)
    assert [each.gross for each in payouts_of(settlement)] == [900]
    assert stand(second) == ["merchant_unfunded"]

    with unit_of_work():
        an_entry(merchant, promoter, -400)  # of what was released
    release(merchant)

    assert stand(first, second) == ["reserved", "available"]


def test_in_other_currencies_nothing_is_lent(merchant, promoter, maker):
    entries = due(merchant, promoter, 10, currency="EUR")
    release(merchant)
    assert stand(*entries) == ["merchant_unfunded"]

    with unit_of_work():
        service.record_pay_in(merchant.id, Money(10, "EUR"), reference="SEPA", by=maker.id)
    release(merchant)

    assert stand(*entries) == ["available"]


def test_without_a_limit_everything_is_released_again(merchant, promoter):
    entries = due(merchant, promoter, 5000)
    release(merchant)
    assert stand(*entries) == ["merchant_unfunded"]

    with unit_of_work():
        db.session.execute(sa.update(Merchant).values(credit_limit=None))
    release(merchant)

    assert stand(*entries) == ["available"]


def test_a_hold_comes_and_goes_and_the_money_still_waits_for_funds(merchant, promoter):
    (entry,) = due(merchant, promoter, 5000)
    release(merchant)
    with unit_of_work():
        commissions.hold_payees(merchant.id, [("promoter", promoter.id)], "risk")
    assert stand(entry) == ["risk"]
    with unit_of_work():
        commissions.lift_payee(merchant.id, ("promoter", promoter.id))
    release(merchant)

    assert stand(entry) == ["merchant_unfunded"]
    assert db.session.scalar(sa.select(sa.func.sum(Entry.amount))) == 5000
