"""The books by example, for accountants: what is booked, and where the money stands then.

Amounts in cents. `receivable` is what the merchant owes, `pending`, `available` and `reserved`
what the promoter has earned and not yet received, `clearing` what was paid out for the merchant.
"""

import pytest

from affiliate.ledger import service
from affiliate.ledger.service import Overdrawn
from tests.ledger.books import BEA, Books, assert_books_balance


@pytest.fixture(autouse=True)
def _balanced():
    yield
    assert_books_balance()


def test_a_commission_from_the_sale_to_the_bank_and_the_bill():
    books = Books()

    books.book("accrue", "entry:1", 3659)
    assert books.stand == {"receivable": 3659, "pending": 3659}

    books.book("release", "entry:1", 3659)
    assert books.stand == {"receivable": 3659, "available": 3659}

    books.book("reserve", "payout:1", 3659)
    assert books.stand == {"receivable": 3659, "reserved": 3659}

    books.book("pay", "payout:1", 3659)
    assert books.stand == {"receivable": 3659, "clearing": 3659}

    books.book("pay_in", "pay_in:1", 3659)
    assert books.stand == {}


def test_a_refund_in_the_hold_takes_back_what_is_pending():
    books = Books()
    books.book("accrue", "entry:1", 3659)

    books.book("reverse", "entry:2", 1017)

    assert books.stand == {"receivable": 2642, "pending": 2642}


def test_a_reversal_in_the_hold_is_released_with_what_it_reverses():
    books = Books()
    books.book("accrue", "entry:1", 1000)
    books.book("reverse", "entry:2", 300)

    service.post([books.posting("unrelease", "entry:2", 300),
                  books.posting("release", "entry:1", 1000)])  # fmt: skip

    assert books.stand == {"receivable": 700, "available": 700}


def test_paid_out_then_refunded_in_full_the_next_earnings_make_up_for_it():
    books = Books().earned(5000)
    books.book("reserve", "payout:1", 5000)
    books.book("pay", "payout:1", 5000)

    books.book("reverse_available", "entry:2", 5000)
    assert books.balance("available") == -5000
    books.earned(3000, "entry:3")
    assert books.balance("available") == -2000
    books.earned(4000, "entry:4")
    assert books.balance("available") == 2000

    books.book("reserve", "payout:2", 2000)
    assert books.stand == {"receivable": 7000, "reserved": 2000, "clearing": 5000}


def test_a_refund_while_the_money_is_reserved_leaves_the_payout_as_approved():
    books = Books().earned(5000)
    books.book("reserve", "payout:1", 5000)

    books.book("reverse_available", "entry:2", 5000)

    assert books.balance("reserved") == 5000
    assert books.balance("available") == -5000


def test_tax_is_withheld_and_passed_on():
    books = Books().earned(10000)
    books.book("reserve", "payout:1", 10000)

    books.book("pay", "payout:1", 8500)
    books.book("withhold", "payout:1", 1500)
    assert books.stand == {"receivable": 10000, "clearing": 8500, "tax": 1500}

    books.book("remit", "remittance:1", 1500)
    assert books.stand == {"receivable": 10000, "clearing": 10000}


def test_a_returned_payout_gives_net_and_tax_back():
    books = Books().earned(10000)
    books.book("reserve", "payout:1", 10000)
    books.book("pay", "payout:1", 8500)
    books.book("withhold", "payout:1", 1500)

    books.book("return", "payout:1", 8500)
    books.book("return_tax", "payout:1", 1500)

    assert books.stand == {"receivable": 10000, "available": 10000}


def test_tax_that_was_passed_on_does_not_come_back_from_here():
    books = Books().earned(10000)
    books.book("reserve", "payout:1", 10000)
    books.book("withhold", "payout:1", 10000)
    books.book("remit", "remittance:1", 10000)

    with pytest.raises(Overdrawn):
        books.book("return_tax", "payout:1", 10000)


def test_a_failed_payout_makes_the_money_available_again():
    books = Books().earned(5000)
    books.book("reserve", "payout:1", 5000)

    books.book("unreserve", "payout:1", 5000)

    assert books.stand == {"receivable": 5000, "available": 5000}


def test_the_platforms_fee_is_owed_like_a_commission_and_goes_back_like_one():
    books = Books()

    books.book("platform_fee", "entry:1", 200)
    assert books.stand == {"receivable": 200, "fees": 200}

    books.book("reverse_fee", "entry:2", 300)
    assert books.stand == {"receivable": -100, "fees": -100}


def test_the_cost_of_a_transfer_is_the_merchants():
    books = Books().earned(5000)
    books.book("reserve", "payout:1", 5000)
    books.book("pay", "payout:1", 5000)

    books.book("rail_cost", "payout:1", 45)

    assert books.stand == {"receivable": 5000, "clearing": 5045, "rail_costs": 45}


def test_a_pay_in_may_come_first_and_may_be_returned():
    books = Books()

    books.book("pay_in", "pay_in:1", 10000)
    assert books.stand == {"receivable": -10000, "clearing": -10000}

    books.book("return_pay_in", "pay_in:1", 10000)
    assert books.stand == {}


def test_a_debt_that_nobody_will_pay_is_written_off_and_may_be_recovered():
    books = Books()
    books.book("reverse_available", "entry:1", 4000)

    books.book("write_off", "write_off:1", 4000)
    assert books.stand == {"receivable": -4000, "bad_debt": 4000}

    books.earned(5000, "entry:2")
    books.book("recover", "write_off:1", 4000)
    assert books.stand == {"receivable": 1000, "available": 1000}


def test_payees_and_currencies_do_not_mix():
    books, dollars = Books(), Books("USD")
    books.earned(100).earned(70, "entry:2", BEA)
    dollars.earned(30, "entry:3")

    assert books.balance("available") == 100
    assert books.balance("available", BEA) == 70
    assert dollars.balance("available") == 30
    with pytest.raises(Overdrawn):
        books.book("reserve", "payout:1", 101)
