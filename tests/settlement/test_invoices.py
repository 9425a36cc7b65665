"""Merchants that pay against invoices: nothing goes out that is not covered."""

import pytest

from affiliate.db import db, unit_of_work
from affiliate.money import Money
from affiliate.payouts import service as payouts
from affiliate.payouts.service import invoices
from affiliate.people.models import Merchant
from affiliate.settlement import queries, service
from tests.factories.settlement import a_settlement, an_entry, payouts_of


@pytest.fixture
def gated(merchant):
    with unit_of_work():
        db.session.get_one(Merchant, merchant.id).invoice_required = True
    return merchant


def given(merchant, promoter, by, amount, number="NF 1"):
    with unit_of_work():
        return invoices.give(
            merchant.id, ("promoter", promoter.id), Money(amount, "BRL"), number=number, by=by.id
        )


def confirmed(invoice, by):
    with unit_of_work():
        return invoices.decide(invoice.merchant_id, invoice.id, by=by.id, confirmed=True)


def reasons(settlement):
    return [(e.reason, e.amount) for e in queries.carried_over([settlement])[settlement.id]]


def test_money_waits_for_a_confirmed_invoice_that_covers_it(gated, promoter, maker):
    an_entry(gated, promoter, 500)
    assert reasons(a_settlement(gated, maker)) == [("invoice_missing", 500)]
    invoice = given(gated, promoter, maker, 499)
    assert reasons(a_settlement(gated, maker)) == [("invoice_missing", 500)]
    confirmed(invoice, maker)
    assert reasons(a_settlement(gated, maker)) == [("invoice_missing", 500)]
    confirmed(given(gated, promoter, maker, 1, "NF 2"), maker)

    settlement = a_settlement(gated, maker)

    assert [(each.gross, each.invoiced) for each in payouts_of(settlement)] == [(500, True)]
    assert invoices.left(gated.id, ("promoter", promoter.id), "BRL") == 0
    an_entry(gated, promoter, 1)
    assert reasons(a_settlement(gated, maker)) == [("invoice_missing", 1)]


def test_an_invoice_is_there_again_when_its_payout_is_not(gated, promoter, maker):
    an_entry(gated, promoter, 500)
    confirmed(given(gated, promoter, maker, 500), maker)
    settlement = a_settlement(gated, maker)
    with unit_of_work():
        service.discard(gated.id, settlement.id, by=maker.id)

    assert invoices.left(gated.id, ("promoter", promoter.id), "BRL") == 500
    assert [each.gross for each in payouts_of(a_settlement(gated, maker))] == [500]


def test_a_withdrawal_waits_for_its_invoice_too(gated, promoter, maker):
    with unit_of_work():
        db.session.get_one(Merchant, gated.id).payout_mode = "on_request"
    an_entry(gated, promoter, 800)
    with unit_of_work():
        payouts.withdraw(gated.id, ("promoter", promoter.id), "BRL", by=maker.id, amount=500)
    settlement = a_settlement(gated, maker)
    assert ("invoice_missing", 500) in reasons(settlement)
    confirmed(given(gated, promoter, maker, 500), maker)

    assert [each.gross for each in payouts_of(a_settlement(gated, maker))] == [500]


def test_a_number_is_good_once_unless_it_was_refused(gated, promoter, maker):
    first = given(gated, promoter, maker, 500)
    with pytest.raises(invoices.NumberTaken):
        given(gated, promoter, maker, 500)
    with unit_of_work():
        invoices.decide(gated.id, first.id, by=maker.id, confirmed=False, reason="other name")
    with pytest.raises(invoices.Decided):
        confirmed(first, maker)

    assert given(gated, promoter, maker, 500).state == "given"


def test_a_merchant_without_the_gate_asks_for_none(merchant, promoter, maker):
    an_entry(merchant, promoter, 500)

    assert [each.invoiced for each in payouts_of(a_settlement(merchant, maker))] == [False]
