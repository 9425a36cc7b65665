import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.ledger import service, verify
from affiliate.ledger.models import Seal
from tests.ledger.books import (
    Books,
    assert_books_balance,
    at_once,
    triggers_off,
    wait_for_the_others,
)
from workers import ledger as jobs

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def books(committed):
    with unit_of_work():
        return Books()


def seal():
    wait_for_the_others()
    with unit_of_work():
        return service.seal()


def chain():
    db.session.rollback()
    return db.session.scalars(sa.select(Seal).order_by(Seal.id)).all()


def test_each_seal_goes_on_where_the_last_one_ended(books):
    with unit_of_work():
        books.earned(100)
    assert seal() == 2
    with unit_of_work():
        books.earned(50, "entry:2")
        books.book("reserve", "payout:1", 150)
    assert seal() == 3

    first, second = chain()
    assert (first.transfers, second.transfers) == (2, 3)
    assert second.from_xact == first.to_xact
    assert_books_balance()


def test_nothing_new_makes_no_seal(books):
    with unit_of_work():
        books.earned(100)
    seal()

    assert seal() == 0
    assert len(chain()) == 1


def test_a_running_transaction_is_neither_sealed_nor_waited_for(app, books):
    with app.app_context(), unit_of_work():
        books.book("accrue", "entry:1", 100)
        with app.app_context(), unit_of_work():
            Books().book("accrue", "entry:2", 7)
        with app.app_context(), unit_of_work():
            assert service.seal() == 0  # the younger one waits for the older one to be over

    assert seal() == 2
    assert_books_balance()


def test_two_sealers_at_once_make_one_seal(app, books):
    with unit_of_work():
        books.earned(100)

    wait_for_the_others()
    answers = at_once(app, [service.seal] * 4)

    assert sorted(answers) == [0, 0, 0, 2]
    assert len(chain()) == 1


def test_the_job_seals_and_may_run_twice(books):
    with unit_of_work():
        books.earned(100)

    wait_for_the_others()
    jobs.seal()
    jobs.seal()

    assert [each.transfers for each in chain()] == [2]


TAMPERINGS = {
    "UPDATE ledger_transfers SET amount = 101 WHERE id = :first": (
        "seal 1: what it sealed was changed"
    ),
    "UPDATE ledger_transfers SET created_at = '2026-01-01' WHERE id = :first": (
        "seal 1: what it sealed was changed"
    ),
    "UPDATE ledger_transfers SET cause = 'entry:7' WHERE id = :first": (
        "seal 1: what it sealed was changed"
    ),
    "UPDATE ledger_transfers SET source_id = target_id, target_id = source_id WHERE id = :first": (
        "seal 1: what it sealed was changed"
    ),
    "DELETE FROM ledger_transfers WHERE id = :first": "seal 1: sealed 2 transfers, now 1",
    "INSERT INTO ledger_transfers (merchant_id, code, cause, source_id, target_id, amount,"
    " currency, xact, created_at) SELECT merchant_id, code, 'entry:8', source_id, target_id,"
    " amount, currency, xact, created_at FROM ledger_transfers WHERE id = :first": (
        "seal 1: sealed 2 transfers, now 3"
    ),
    "DELETE FROM ledger_seals WHERE id = 1": "seal 2: does not go on where the one before ends",
    "UPDATE ledger_seals SET created_at = '2026-01-01' WHERE id = 2": (
        "seal 2: what it sealed was changed"
    ),
    "UPDATE ledger_seals SET hash = sha256('') WHERE id = 1": "seal 1: what it sealed was changed",
}


def test_tampering_with_all_triggers_off_shows(books):
    with unit_of_work():
        books.earned(100)
    seal()
    with unit_of_work():
        books.earned(50, "entry:2")
    seal()
    first = db.session.scalar(sa.text("SELECT min(id) FROM ledger_transfers"))

    for tampering, wrong in TAMPERINGS.items():
        with triggers_off():
            given = {"first": first} if ":first" in tampering else {}
            db.session.execute(sa.text(tampering), given)
        found = [f"{each.row}: {each.wrong}" for each in verify.check("seals")]
        db.session.rollback()
        assert wrong in found, tampering
    assert_books_balance()


def test_a_forged_chain_does_not_hide_an_edit_from_the_totals(books):
    with unit_of_work():
        books.earned(100)

    with unit_of_work(), triggers_off():
        db.session.execute(sa.text("UPDATE ledger_transfers SET amount = 1 WHERE code = 'release'"))
    seal()

    assert verify.check("seals") == []
    assert verify.check("totals") != []


def test_after_a_restore_on_a_younger_server_the_seals_go_on(books):
    """A dump carries transaction numbers that the new server has not reached yet."""
    with unit_of_work():
        books.earned(100)
    seal()
    with unit_of_work(), triggers_off():
        db.session.execute(
            sa.text("""
                UPDATE ledger_seals SET to_xact = 1000000,
                  hash = ledger_hash(NULL, from_xact, 1000000, 0, created_at, leaves)
                  FROM ledger_batch(0, 1000000)
            """)
        )

    with unit_of_work():
        books.earned(50, "entry:2")
        books.book("reserve", "payout:1", 150)
    assert seal() == 3

    first, moved, later = chain()
    assert (moved.transfers, later.transfers) == (0, 3)
    assert first.shift == 0
    assert moved.shift == later.shift > 0
    assert_books_balance()
