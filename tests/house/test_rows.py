"""Many rows in one statement: every kind of value arrives as it was."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from affiliate.attribution.models import Binding
from affiliate.commissions.models import CapCounter, Entry
from affiliate.db import among, among_keys, db, inserting, next_ids, table
from affiliate.money import LARGEST
from affiliate.orders.models import Order
from tests.commissions.town import Town
from tests.factories.orders import an_order, deliver

AT = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-3)))


def an_order_row(shop, external_id="o'1", **values):
    return {
        "merchant_id": shop.merchant_id,
        "shop_id": shop.id,
        "external_id": external_id,
        "version": 2**62,
        "status": "paid",
        "test": False,
        "renewal": False,
        "currency": "BRL",
        "tax_included": True,
        "refunded_fully": False,
        "refunds_complete": False,
        "discount": LARGEST,
        "shipping": 0,
        "tokens": ["a,b", '"quoted"', "{braces}", "", "back\\slash", "NULL"],
        "coupons": [],
        "sharers": ["微信"],
        "group_id": "团",
        "disputes": [],
        "notes": [["code", {"nothing": None, "at": 1.5, "text": "\u2028 é 😀"}]],
        "customer_email_hash": bytes(range(256)),
        "paid_at": AT,
        "number": None,
    } | values


@pytest.fixture
def town(app):
    return Town()


@pytest.fixture
def statements():
    """The texts of all statements."""
    found = []

    def note(connection, cursor, statement, *others):
        if not statement.startswith("SAVEPOINT"):
            found.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_every_kind_of_value_is_stored_as_it_was(town):
    row = an_order_row(town.shop)

    db.session.execute(inserting(Order, [row]))

    stored = db.session.execute(sa.select(table(Order))).one()._mapping
    assert {name: stored[name] for name in row} == row
    assert stored["paid_at"] == AT
    assert stored["created_at"].tzinfo is not None, "defaults are filled in"


def test_many_rows_are_one_statement_with_one_parameter(town, statements):
    rows = [an_order_row(town.shop, f"o{number}") for number in range(700)]
    statements.clear()

    db.session.execute(inserting(Order, rows))
    ids = db.session.scalars(
        sa.select(Order.id).where(among(Order.external_id, [row["external_id"] for row in rows]))
    ).all()
    mine = [(town.merchant.id, each) for each in ids]
    found = db.session.scalars(
        sa.select(Order.id).where(among_keys(Order.merchant_id, Order.id, mine))
    ).all()

    assert len(statements) == 3
    assert max(map(len, statements)) < 3000, "the text does not grow with the rows"
    assert len(ids) == len(set(found)) == 700


def test_nothing_is_among_nothing(town):
    db.session.execute(inserting(Order, [an_order_row(town.shop)]))
    for nothing in (among(Order.id, []), among_keys(Order.merchant_id, Order.id, [])):
        assert db.session.scalars(sa.select(Order.id).where(nothing)).all() == []


def test_a_key_of_another_merchant_is_not_found_by_its_number(town):
    db.session.execute(inserting(Order, [an_order_row(town.shop)]))
    number = db.session.scalars(sa.select(Order.id)).one()

    wrong = among_keys(Order.merchant_id, Order.id, [(town.merchant.id + 1, number)])

    assert db.session.scalars(sa.select(Order.id).where(wrong)).all() == []


def test_a_conflict_is_settled_as_the_caller_says(town):
    db.session.execute(inserting(Order, [an_order_row(town.shop)]))
    again = inserting(Order, [an_order_row(town.shop, version=5), an_order_row(town.shop, "o2")])
    key = ["merchant_id", "shop_id", "external_id"]

    written = db.session.execute(
        again.on_conflict_do_update(
            index_elements=key, set_={"version": again.excluded.version}
        ).returning(Order.external_id, Order.version)
    )

    assert sorted(map(tuple, written)) == [("o'1", 5), ("o2", 2**62)]


def test_a_date_and_what_the_database_refuses(town):
    row = {"merchant_id": town.merchant.id, "program_id": town.program.id, "currency": "BRL"}
    counter = row | {"payee_id": 0, "month": date(2026, 2, 1), "used": 0}
    db.session.execute(inserting(CapCounter, [counter]))
    assert db.session.scalars(sa.select(CapCounter.month)).one() == date(2026, 2, 1)

    with pytest.raises(sa.exc.IntegrityError), db.session.begin_nested():
        db.session.execute(inserting(Order, [an_order_row(town.shop, currency=None)]))
    with pytest.raises(sa.exc.DataError), db.session.begin_nested():
        db.session.execute(inserting(Order, [an_order_row(town.shop, number="a\x00b")]))
    with pytest.raises(TypeError, match="set"):
        inserting(Order, [an_order_row(town.shop, tokens={"a"})])


def test_ids_are_drawn_before_the_rows_and_nobody_else_gets_them(client, town):
    drawn = next_ids(Entry, 3)
    deliver(client, town.shop, an_order(town.tk()))

    assert len(set(drawn)) == 3
    assert not set(drawn) & set(db.session.scalars(sa.select(Entry.id)))


def test_bindings_of_a_batch_follow_what_each_order_says_last(client, town, clock):
    """An order that binds another mailbox leaves the first."""
    deliver(client, town.shop, an_order(town.tk(), id="1", customer={"email": "a@example.com"}))
    bound = db.session.scalars(sa.select(Binding.customer)).all()
    changed = {"email": "b@example.com"}
    deliver(client, town.shop, an_order(town.tk(), id="1", version=2, customer=changed))

    now = db.session.scalars(sa.select(Binding.customer)).all()
    assert (len(bound), len(now)) == (1, 1)
    assert bound != now
    assert db.session.scalars(sa.select(Binding.since)).one().astimezone(UTC)
