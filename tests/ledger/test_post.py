import pytest
import sqlalchemy as sa

from affiliate.db import db
from affiliate.ledger import service
from affiliate.ledger.models import Account
from affiliate.ledger.service import CauseReused, Overdrawn, Posting
from tests.ledger.books import ANA, BEA, Books, account, assert_books_balance, posting


def test_the_same_transfer_asked_for_again_moves_nothing():
    books = Books()
    books.book("accrue", "entry:1", 100)

    assert books.book("accrue", "entry:1", 100) == 0

    assert books.stand == {"receivable": 100, "pending": 100}


@pytest.mark.parametrize(("amount", "promoter"), [(101, ANA), (100, BEA)])
def test_the_same_cause_with_other_money_is_refused(amount, promoter):
    books = Books()
    books.book("accrue", "entry:1", 100)

    with pytest.raises(CauseReused, match="accrue for entry:1"):
        books.book("accrue", "entry:1", amount, promoter)

    assert books.stand == {"receivable": 100, "pending": 100}
    assert_books_balance()


def test_one_cause_twice_in_one_call_moves_once():
    books = Books()

    new = service.post([books.posting("accrue", "entry:1", 100)] * 3)

    assert new == 1
    assert books.stand == {"receivable": 100, "pending": 100}


def test_another_merchants_same_cause_is_another_transfer():
    books, others = Books(), Books()

    new = service.post([each.posting("accrue", "entry:1", 100) for each in (books, others)])

    assert new == 2
    assert books.stand == others.stand == {"receivable": 100, "pending": 100}


def test_nothing_to_post_is_nothing():
    assert service.post([]) == 0


def test_an_overdraft_names_account_and_amounts_and_keeps_nothing():
    books = Books().earned(100)
    batch = [books.posting("accrue", "entry:2", 50), books.posting("reserve", "payout:1", 101)]

    with pytest.raises(
        Overdrawn, match=r"available account of promoter 1 .* has 100 BRL, not .*101"
    ):
        service.post(batch)

    assert books.stand == {"receivable": 100, "available": 100}
    assert_books_balance()


@pytest.mark.parametrize(
    ("code", "kind"), [("release", "pending"), ("pay", "reserved"), ("remit", "tax")]
)
def test_what_was_never_there_cannot_be_moved_on(code, kind):
    books = Books()

    with pytest.raises(Overdrawn, match=f"the {kind} account"):
        books.book(code, "entry:1", 1)


def test_in_one_call_only_what_is_left_in_the_end_counts():
    books = Books()

    service.post([books.posting(code, "x:1", 100) for code in ("pay", "reserve", "release")]
                 + [books.posting("accrue", "x:1", 100)])  # fmt: skip

    assert books.stand == {"receivable": 100, "clearing": 100}
    assert_books_balance()


def test_below_zero_only_a_reversal_takes_more():
    books = Books().earned(100)
    books.book("reverse_available", "entry:2", 150)

    with pytest.raises(Overdrawn):
        books.book("reserve", "payout:1", 1)
    with pytest.raises(Overdrawn):
        service.post([books.posting("reserve", "payout:1", 1),
                      books.posting("reverse_available", "entry:3", 20)])  # fmt: skip
    books.book("reverse_available", "entry:3", 20)

    assert books.balance("available") == -70


def test_a_reversal_released_before_what_it_reverses_may_go_below_zero():
    books = Books()
    books.book("accrue", "entry:1", 1000)
    books.book("reverse", "entry:2", 300)

    books.book("unrelease", "entry:2", 300)
    assert books.balance("available") == -300
    books.book("release", "entry:1", 1000)

    assert books.stand == {"receivable": 700, "available": 700}


def test_ten_thousand_transfers_are_a_handful_of_statements(count_statements):
    books = Books()
    batch = [books.posting("accrue", f"entry:{i}", 1 + i % 7, 1 + i % 50) for i in range(10_000)]

    with count_statements() as statements:
        assert service.post(batch) == 10_000

    assert len(statements) <= 6
    assert books.balance("receivable") == sum(each.amount for each in batch)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Account)) == 51
    assert_books_balance()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: posting("accrue", "entry:1", 0, merchant=1),
        lambda: posting("accrue", "entry:1", -5, merchant=1),
        lambda: Posting("accrue", "x:1", account("pending", 1), account("receivable", 1), 5),
        lambda: Posting("release", "x:1", account("pending", 1), account("available", 2), 5),
        lambda: Posting("release", "x:1", account("pending", 1), account("available", 1, BEA), 5),
        lambda: Posting(
            "release", "x:1", account("pending", 1), account("available", 1, ANA, "USD"), 5
        ),
    ],
)
def test_a_posting_that_makes_no_sense_cannot_be_written_down(wrong):
    with pytest.raises(AssertionError):
        wrong()
