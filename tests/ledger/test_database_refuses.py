"""What the database itself refuses, whoever asks: here raw SQL, as typed into psql."""

import itertools

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from affiliate.db import db, unit_of_work
from affiliate.ledger.models import Code, Kind
from affiliate.ledger.rules import SHAPES
from tests.ledger.books import BEA, Books, account, assert_books_balance


def execute(statement, **given):
    with db.session.begin_nested():
        return db.session.execute(sa.text(statement), given)


def account_id(key):
    return db.session.scalar(
        sa.text(
            "SELECT id FROM ledger_accounts WHERE merchant_id = :merchant_id AND kind = :kind"
            " AND owner_id = :owner_id AND currency = :currency"
        ),
        {name: getattr(key, name) for name in ("merchant_id", "kind", "owner_id", "currency")},
    )


def insert_transfer(source, target, amount=10, code="release", cause="entry:9", **more):
    columns = {
        "merchant_id": source.merchant_id,
        "code": code,
        "cause": cause,
        "source_id": account_id(source),
        "target_id": account_id(target),
        "amount": amount,
        "currency": source.currency,
    } | more
    names = ", ".join(columns)
    values = ", ".join(f":{name}" for name in columns)
    execute(
        f"INSERT INTO ledger_transfers ({names}, created_at) VALUES ({values}, now())", **columns
    )


@pytest.fixture
def books():
    books = Books().earned(100)
    books.book("accrue", "entry:2", 40)
    books.earned(70, "entry:3", BEA)
    yield books
    assert_books_balance()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_transfers SET amount = amount + 1",
        "UPDATE ledger_transfers SET created_at = now() WHERE false",
        "DELETE FROM ledger_transfers",
        "TRUNCATE ledger_transfers",
        "DELETE FROM ledger_accounts",
        "TRUNCATE ledger_accounts CASCADE",
        "UPDATE ledger_accounts SET credits = credits + 1",
        "UPDATE ledger_accounts SET kind = 'available' WHERE kind = 'pending'",
        "UPDATE ledger_accounts SET owner_id = 99 WHERE kind = 'available'",
        "UPDATE ledger_seals SET hash = ''",
        "DELETE FROM ledger_seals",
        "TRUNCATE ledger_seals",
    ],
)
def test_nothing_is_edited_or_taken_out(books, statement):
    with pytest.raises(IntegrityError, match="is refused"):
        execute(statement)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("credits = credits - 1", "only grow"),
        ("debits = debits - 1", "only grow"),
        ("clawed = clawed - 1", "only grow|clawed"),
        ("currency = 'USD'", "stays what it is"),
        ("kind = 'reserved'", "stays what it is"),
        ("owner_id = 99", "stays what it is"),
        ("debits = debits + 200", "has 100 BRL, not the 200 asked of it"),
    ],
)
def test_not_even_a_trigger_of_somebody_else_may_bend_an_account(books, change, reason):
    books.book("reverse_available", "entry:1", 10, BEA)
    execute(f"""
        CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          UPDATE ledger_accounts SET {change} WHERE kind = 'available' AND owner_id = 1;
          RETURN NULL;
        END $$
    """)
    execute("CREATE TABLE elsewhere (id int)")
    execute("CREATE TRIGGER t AFTER INSERT ON elsewhere FOR EACH ROW EXECUTE FUNCTION bend()")

    with pytest.raises(IntegrityError, match=reason):
        execute("INSERT INTO elsewhere VALUES (1)")


def test_an_account_opens_empty(books):
    with pytest.raises(IntegrityError, match="opens empty"):
        execute(
            "INSERT INTO ledger_accounts (merchant_id, owner_kind, owner_id, kind, currency,"
            " debits, credits, clawed, created_at)"
            " VALUES (:merchant, 'promoter', 9, 'available', 'BRL', 0, 500, 0, now())",
            merchant=books.merchant,
        )


@pytest.mark.parametrize(
    ("owner_kind", "owner_id", "kind", "currency"),
    [
        ("merchant", 1, "available", "BRL"),
        ("promoter", 0, "available", "BRL"),
        ("promoter", 1, "receivable", "BRL"),
        ("merchant", 0, "receivable", "BRL"),
        ("rail", 0, "tax", "BRL"),
        ("promoter", 1, "savings", "BRL"),
        ("promoter", 1, "pending", "br1"),
    ],
)
def test_an_account_is_of_somebody_who_can_have_one(books, owner_kind, owner_id, kind, currency):
    with pytest.raises(IntegrityError):
        execute(
            "INSERT INTO ledger_accounts (merchant_id, owner_kind, owner_id, kind, currency,"
            " debits, credits, clawed, created_at)"
            " VALUES (:merchant, :owner_kind, :owner_id, :kind, :currency, 0, 0, 0, now())",
            merchant=books.merchant,
            owner_kind=owner_kind,
            owner_id=owner_id,
            kind=kind,
            currency=currency,
        )


def test_a_transfer_by_hand_moves_its_totals_too(books):
    insert_transfer(account("pending", books.merchant), account("available", books.merchant), 40)

    assert books.balance("pending") == 0
    assert books.balance("available") == 140


def test_a_transfer_by_hand_cannot_overdraw(books):
    with pytest.raises(IntegrityError, match="pending account"):
        insert_transfer(
            account("pending", books.merchant), account("available", books.merchant), 41
        )


@pytest.mark.parametrize("amount", [0, -10])
def test_a_transfer_moves_a_positive_amount(books, amount):
    with pytest.raises(IntegrityError, match="amount_positive"):
        insert_transfer(
            account("pending", books.merchant), account("available", books.merchant), amount
        )


def test_a_transfer_is_between_two_accounts(books):
    both = account("available", books.merchant)

    with pytest.raises(IntegrityError, match="two_accounts"):
        insert_transfer(both, both)


@pytest.mark.parametrize(
    ("code", "source", "target"),
    [
        ("accrue", "receivable", "available"),
        ("pay", "available", "receivable"),
        ("release", "available", "pending"),
        ("present", "pending", "available"),
    ],
)
def test_a_transfer_goes_where_its_code_may_go(books, code, source, target):
    with pytest.raises(IntegrityError, match="does not go from this"):
        insert_transfer(account(source, books.merchant), account(target, books.merchant), code=code)


def test_a_payees_money_goes_to_nobody_else(books):
    with pytest.raises(IntegrityError, match="does not go from this"):
        insert_transfer(
            account("pending", books.merchant), account("available", books.merchant, BEA)
        )


def test_a_transfer_is_of_one_merchant(books):
    others = Books().earned(5)

    with pytest.raises(IntegrityError, match="has no such two accounts"):
        insert_transfer(account("pending", books.merchant), account("available", others.merchant))


@pytest.mark.parametrize("side", ["source_id", "target_id"])
def test_a_transfer_is_between_accounts_that_are_there(books, side):
    with pytest.raises(IntegrityError, match="has no such two accounts"):
        insert_transfer(
            account("pending", books.merchant),
            account("available", books.merchant),
            **{side: 10**9},
        )


def test_a_transfer_is_of_one_currency(books):
    dollars = account("available", books.merchant, currency="USD")
    execute(
        "INSERT INTO ledger_accounts (merchant_id, owner_kind, owner_id, kind, currency,"
        " debits, credits, clawed, created_at)"
        " VALUES (:merchant, 'promoter', 1, 'available', 'USD', 0, 0, 0, now())",
        merchant=books.merchant,
    )

    with pytest.raises(IntegrityError, match="has no such two accounts"):
        insert_transfer(account("pending", books.merchant), dollars)


@pytest.mark.parametrize("cause", ["", "entry", ":1"])
def test_a_transfer_names_the_row_it_is_for(books, cause):
    with pytest.raises(IntegrityError, match="cause_names_a_row"):
        insert_transfer(
            account("pending", books.merchant), account("available", books.merchant), cause=cause
        )


def test_a_transfer_is_of_the_transaction_that_writes_it(books):
    with pytest.raises(IntegrityError, match="a transfer of transaction"):
        insert_transfer(
            account("pending", books.merchant), account("available", books.merchant), xact=5
        )


def test_code_and_database_know_the_same_ways():
    asked = [
        {"code": code, "source": source, "target": target}
        for code, source, target in itertools.product([*Code, "present"], Kind, Kind)
    ]
    fits = sa.text(
        "SELECT code, source, target FROM jsonb_to_recordset(:asked)"
        " AS asked (code text, source text, target text)"
        " WHERE ledger_shape_fits(code, source, target)"
    ).bindparams(sa.bindparam("asked", type_=sa.dialects.postgresql.JSONB))

    known = {tuple(row) for row in db.session.execute(fits, {"asked": asked})}

    assert known == {(code, *kinds) for code, kinds in SHAPES.items()}


def test_psql_is_refused_like_everybody(committed):
    with unit_of_work():
        books = Books().earned(100)
    with psycopg.connect(committed.environment["DATABASE_URL"], autocommit=True) as psql:
        for statement in (
            "UPDATE ledger_transfers SET amount = 1",
            "DELETE FROM ledger_transfers",
            "TRUNCATE ledger_transfers, ledger_accounts",
            "UPDATE ledger_accounts SET debits = 0, credits = 1000000 WHERE kind = 'available'",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation, match="is refused"):
                psql.execute(statement)

    assert books.stand == {"receivable": 100, "available": 100}
    assert_books_balance()
