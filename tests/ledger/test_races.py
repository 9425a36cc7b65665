"""Several at once, on connections of their own, with real commits."""

import random
from functools import partial

import pytest

from affiliate.db import unit_of_work
from affiliate.ledger import service
from affiliate.ledger.service import CauseReused, Overdrawn
from tests.ledger.books import ANA, BEA, CAIO, Books, assert_books_balance, at_once

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def books(committed):
    with unit_of_work():
        return Books()


def test_forty_spend_one_balance_and_ten_succeed(app, books):
    with unit_of_work():
        books.earned(100)

    answers = at_once(app, [partial(books.book, "reserve", f"payout:{i}", 10) for i in range(40)])

    assert answers.count(1) == 10
    assert sum(isinstance(each, Overdrawn) for each in answers) == 30
    assert books.stand == {"receivable": 100, "reserved": 100}
    assert_books_balance()


def test_transfers_both_ways_among_many_accounts_never_deadlock(app, books):
    people = [ANA, BEA, CAIO, 4, 5]
    with unit_of_work():
        for each in people:
            books.book("accrue", f"entry:{each}", 1000, each)
            books.earned(1000, f"entry:1{each}", each)

    def move_around(thread):
        order = random.Random(thread)
        for turn in range(15):
            with unit_of_work():
                batch = [
                    books.posting(code, f"x:{thread}{turn}{code}{each}", 1, each)
                    for each in people
                    for code in ("release", "unrelease")
                ]
                service.post(order.sample(batch, 6))

    answers = at_once(app, [partial(_without_edge, app, move_around, i) for i in range(8)])

    assert answers == [None] * 8
    assert_books_balance()


def _without_edge(app, act, thread):
    """In a fresh context, so that `act` makes units of work of its own."""
    with app.app_context():
        act(thread)


def test_one_cause_from_eight_at_once_moves_once(app, books):
    answers = at_once(app, [partial(books.book, "accrue", "entry:1", 100)] * 8)

    assert sorted(answers) == [0] * 7 + [1]
    assert books.stand == {"receivable": 100, "pending": 100}
    assert_books_balance()


def test_one_cause_with_two_amounts_moves_one_of_them(app, books):
    answers = at_once(
        app, [partial(books.book, "accrue", "entry:1", amount) for amount in [100, 200] * 4]
    )

    moved = books.balance("pending")
    assert moved in (100, 200)
    assert sum(isinstance(each, CauseReused) for each in answers) == 4
    assert [each for each in answers if not isinstance(each, CauseReused)].count(1) == 1
    assert_books_balance()


def test_accounts_opened_by_eight_at_once_are_opened_once(app, books):
    # Different numbers of accounts: left to itself, each thread would open them in its own order.
    sizes = [100 * 2**i for i in range(4)] * 2

    def open_all(thread):
        people = range(1, sizes[thread] + 1)
        return service.post(
            [books.posting("accrue", f"entry:{thread}.{who}", 1, who) for who in people]
        )

    answers = at_once(app, [partial(open_all, i) for i in range(8)])

    assert answers == sizes
    assert books.balance("receivable") == sum(sizes)
    assert [books.balance("pending", who) for who in (100, 200, 400, 800)] == [8, 6, 4, 2]
    assert_books_balance()


def test_the_same_causes_asked_for_in_any_order_move_once(app, books):
    with unit_of_work():
        books.book("accrue", "entry:0", 1)
    causes = [books.posting("accrue", f"entry:{i}", 1) for i in range(1, 2001)]

    def ask(thread):
        return service.post(random.Random(thread).sample(causes, len(causes)))

    answers = at_once(app, [partial(ask, i) for i in range(8)])

    assert sorted(answers) == [0] * 7 + [2000]
    assert books.balance("pending") == 2001
    assert_books_balance()
