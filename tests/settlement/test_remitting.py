"""Tax goes to the authority once, and exactly what was withheld."""

from datetime import date

import pytest

from affiliate.db import unit_of_work
from affiliate.errors import Invalid
from affiliate.ledger.models import Kind
from affiliate.payouts import service as payouts
from affiliate.payouts.service import remitting
from tests.settlement.test_life import balance
from tests.settlement.test_withholding import a_paid, a_taxed, returned, says, us

__all__ = ["a_taxed", "says", "us"]


def remit(merchant, maker, amount, month=date(2026, 11, 1), reference="EFTPS 1"):
    with unit_of_work():
        return payouts.remit(
            merchant.id, "USD", month, amount=amount, reference=reference, by=maker.id
        )


@pytest.fixture
def november(us, maker, checker, clock):
    merchant, payee = us
    clock.stand("2026-11-30T12:00:00Z")
    first = a_paid(merchant, payee, maker, checker, 100_00)
    a_paid(merchant, payee, maker, checker, 50_00)
    clock.stand("2026-12-05T12:00:00Z")
    return merchant, payee, first


def test_a_month_is_remitted_once_and_leaves_nothing(november, maker, checker):
    merchant, payee, _ = november
    a_paid(merchant, payee, maker, checker, 10_00)  # of December
    (old, new) = remitting.due([merchant.id])
    assert (old.month, old.payouts, old.amount) == (date(2026, 11, 1), 2, 36_00)
    assert (new.month, new.amount) == (date(2026, 12, 1), 2_40)

    remit(merchant, maker, 36_00)

    assert balance(merchant, Kind.TAX, currency="USD") == 2_40
    assert [each.month for each in remitting.due([merchant.id])] == [date(2026, 12, 1)]
    with pytest.raises(payouts.RemittedAlready):
        remit(merchant, maker, 36_00, reference="EFTPS 2")


def test_another_amount_than_was_withheld_is_refused(november, maker):
    merchant, _, _ = november

    with pytest.raises(remitting.OtherAmount):
        remit(merchant, maker, 35_99)

    assert balance(merchant, Kind.TAX, currency="USD") == 36_00


def test_a_month_that_is_not_over_is_refused(november, maker):
    with pytest.raises(Invalid):
        remit(november[0], maker, 36_00, month=date(2026, 12, 1))


def test_what_came_back_before_is_not_remitted(november, maker):
    merchant, _, first = november
    returned(first, maker)

    assert remitting.to_remit(merchant.id, "USD", date(2026, 11, 1)) == 12_00
    remit(merchant, maker, 12_00)
    assert balance(merchant, Kind.TAX, currency="USD") == 0


def test_what_is_told_late_goes_along_with_the_next_month(november, maker, checker, clock):
    merchant, payee, _ = november
    remit(merchant, maker, 36_00)
    late = a_paid(merchant, payee, maker, checker, 10_00)
    clock.stand("2027-01-05T12:00:00Z")

    remit(merchant, maker, 2_40, month=date(2026, 12, 1), reference="EFTPS 2")

    assert late.remittance_id is not None
