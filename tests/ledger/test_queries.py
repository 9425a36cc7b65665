import pytest

from affiliate.ledger import queries
from affiliate.ledger.queries import Balance
from tests.ledger.books import ANA, BEA, Books, account


@pytest.fixture
def books():
    return Books().earned(100).earned(30, "entry:2").earned(70, "entry:3", BEA)


def test_an_account_nothing_was_booked_on_has_nothing(books):
    assert queries.balance(account("reserved", books.merchant)) == 0


def test_a_payees_balances_are_listed_by_merchant_currency_and_kind(books):
    dollars = Books("USD").earned(5)
    books.book("reserve", "payout:1", 40)

    assert queries.balances_of("promoter", ANA) == [
        Balance(books.merchant, "BRL", "available", 90),
        Balance(books.merchant, "BRL", "pending", 0),
        Balance(books.merchant, "BRL", "reserved", 40),
        Balance(dollars.merchant, "USD", "available", 5),
        Balance(dollars.merchant, "USD", "pending", 0),
    ]


def test_accounts_come_page_by_page_and_only_of_the_merchant(books):
    Books().earned(1)

    first = queries.accounts(books.merchant, limit=3)
    second = queries.accounts(books.merchant, after=first[-1].id, limit=3)

    assert [len(first), len(second)] == [3, 2]
    assert {each.merchant_id for each in [*first, *second]} == {books.merchant}
    assert len({each.id for each in [*first, *second]}) == 5
    assert queries.accounts(books.merchant, after=second[-1].id) == []


def test_accounts_show_the_totals_of_now(books):
    before = queries.accounts(books.merchant)
    books.earned(11, "entry:4", BEA)

    after = queries.accounts(books.merchant)

    assert sum(each.credits for each in after) == 400 + 22
    assert len(after) == len(before)


def test_movements_are_seen_from_the_account_newest_first(books, clock):
    moment = clock.stand("2026-11-22T10:00:00Z")
    books.book("reserve", "payout:1", 40)

    newest, released, oldest = queries.movements(books.merchant, id_of(books, "available"))

    assert (newest.code, newest.cause, newest.amount) == ("reserve", "payout:1", -40)
    assert newest.at == moment
    assert newest.other == account("reserved", books.merchant)
    assert [released.amount, oldest.amount] == [30, 100]


def test_what_a_merchant_owes_grows_with_each_accrual(books):
    movements = queries.movements(books.merchant, id_of(books, "receivable"))

    assert [each.amount for each in movements] == [70, 30, 100]
    assert movements[0].other == account("pending", books.merchant, BEA)


def test_movements_come_page_by_page(books):
    books.book("reserve", "payout:1", 40)
    books.book("unreserve", "payout:1", 40)
    every = queries.movements(books.merchant, id_of(books, "available"))

    pages, before = [], None
    while page := queries.movements(
        books.merchant, id_of(books, "available"), before=before, limit=2
    ):
        pages.append(len(page))
        before = page[-1].id

    assert pages == [2, 2]
    assert [each.amount for each in every] == [40, -40, 30, 100]


def test_another_merchant_sees_nothing_of_an_account(books):
    assert queries.movements(Books().merchant, id_of(books, "available")) == []


def id_of(books, kind, promoter=ANA):
    wanted = account(kind, books.merchant, promoter)
    return next(
        each.id
        for each in queries.accounts(books.merchant)
        if (each.kind, each.owner_id) == (wanted.kind, wanted.owner_id)
    )
