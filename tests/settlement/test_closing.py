"""A closed month takes no more transfers; what comes late is booked in the open one."""

import threading
from datetime import date
from functools import partial

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from affiliate import ids
from affiliate.cli import main
from affiliate.commissions.models import State
from affiliate.db import db, unit_of_work
from affiliate.ledger import closes, verify
from affiliate.ledger.models import Transfer
from affiliate.people.models import Role
from affiliate.settlement import closing
from affiliate.settlement.service.states import PeopleOnly
from tests.factories.people import a_key, a_merchant, a_user
from tests.factories.settlement import an_entry
from tests.ledger.books import at_once, triggers_off

SEPTEMBER, OCTOBER, NOVEMBER = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture(autouse=True)
def now(clock):
    return clock.stand("2026-10-20T12:00:00Z")


@pytest.fixture
def earned(merchant, promoter):
    with unit_of_work():
        return an_entry(merchant, promoter, 5000)


def closed(merchant, month, maker):
    with unit_of_work():
        return closing.close(merchant.id, month, by=maker.id)


def transfers():
    return db.session.scalars(sa.select(Transfer).order_by(Transfer.id)).all()


def test_a_month_is_closed_as_it_stood(clock, merchant, maker, promoter, earned):
    clock.stand("2026-11-05T12:00:00Z")
    with unit_of_work():
        an_entry(merchant, promoter, 700, state=State.PENDING)

    row = closed(merchant, OCTOBER, maker)

    assert row.until == clock.stand("2026-11-01T03:00:00Z")  # midnight in São Paulo
    assert row.balances == [
        {"kind": "available", "currency": "BRL", "debits": 0, "credits": 5000},
        {"kind": "pending", "currency": "BRL", "debits": 5000, "credits": 5000},
        {"kind": "receivable", "currency": "BRL", "debits": 5000, "credits": 0},
    ]


def test_only_months_that_are_over_close(clock, merchant, maker, earned):
    clock.stand("2026-11-01T02:59:59Z")
    with pytest.raises(closing.NotOver):
        closed(merchant, OCTOBER, maker)

    clock.stand("2026-11-01T03:00:00Z")
    assert closed(merchant, OCTOBER, maker)


def test_months_close_in_their_order(clock, merchant, maker, earned):
    clock.stand("2027-02-05T12:00:00Z")
    closed(merchant, OCTOBER, maker)

    for month in (SEPTEMBER, date(2026, 12, 1)):
        with pytest.raises(closing.NotNext):
            closed(merchant, month, maker)
    assert closing.waiting(merchant.id) == [NOVEMBER, date(2026, 12, 1), date(2027, 1, 1)]
    closed(merchant, NOVEMBER, maker)
    assert closed(merchant, OCTOBER, maker).month == OCTOBER  # asked again, nothing changes
    assert len(closing.of_merchant(merchant.id)) == 2


def test_the_database_knows_the_order_too(clock, merchant, maker, earned):
    clock.stand("2027-02-05T12:00:00Z")
    closed(merchant, OCTOBER, maker)

    with (
        pytest.raises(sa.exc.IntegrityError, match="one after the other"),
        db.session.begin_nested(),
    ):
        closes.close(
            merchant.id, date(2026, 12, 1), timezone="UTC", until=clock.stand("2027-01-01"),
            by=maker.id,
        )  # fmt: skip


def test_the_database_refuses_a_transfer_into_a_closed_month(clock, merchant, maker, earned):
    clock.stand("2026-11-05T12:00:00Z")
    closed(merchant, OCTOBER, maker)

    with pytest.raises(sa.exc.IntegrityError, match="closed until"), db.session.begin_nested():
        db.session.execute(
            sa.text(
                "INSERT INTO ledger_transfers (merchant_id, code, cause, source_id, target_id,"
                " amount, currency, created_at) SELECT merchant_id, code, 'entry:99', source_id,"
                " target_id, amount, currency, '2026-10-31 23:59Z' FROM ledger_transfers LIMIT 1"
            )
        )


def test_a_refund_after_the_close_is_booked_in_the_open_month(
    clock, merchant, maker, promoter, earned
):
    clock.stand("2026-11-05T12:00:00Z")
    before = closed(merchant, OCTOBER, maker).balances
    with unit_of_work():
        an_entry(merchant, promoter, -5000)
    clock.stand("2026-12-05T12:00:00Z")
    after = closed(merchant, NOVEMBER, maker)

    assert transfers()[-1].created_at == clock.stand("2026-11-05T12:00:00Z")
    assert [each["debits"] for each in before if each["kind"] == "available"] == [0]
    assert [each["debits"] for each in after.balances if each["kind"] == "available"] == [5000]
    assert verify.check("closes") == []


def test_a_clock_that_goes_back_books_in_the_open_month(clock, merchant, maker, promoter, earned):
    clock.stand("2026-11-01T03:00:00Z")
    until = closed(merchant, OCTOBER, maker).until
    clock.stand("2026-10-31T12:00:00Z")
    with unit_of_work():
        an_entry(merchant, promoter, 100)

    assert transfers()[-1].created_at == until
    assert verify.check("closes") == []


def test_another_merchants_books_stay_open(clock, merchant, maker, promoter, earned):
    clock.stand("2026-11-05T12:00:00Z")
    closed(merchant, OCTOBER, maker)
    clock.stand("2026-10-21T12:00:00Z")
    with unit_of_work():
        an_entry(a_merchant(), promoter, 100)

    assert transfers()[-1].created_at == clock.stand("2026-10-21T12:00:00Z")


def test_broken_books_are_not_closed(clock, merchant, maker, promoter, earned):
    clock.stand("2026-11-05T12:00:00Z")
    with unit_of_work(), triggers_off():
        db.session.execute(sa.text("UPDATE ledger_accounts SET credits = credits + 1"))
        other = a_merchant()

    with pytest.raises(closing.BooksBroken) as refusal:
        closed(merchant, OCTOBER, maker)

    assert {each.code for each in refusal.value.errors} >= {"totals", "balanced"}
    assert closed(other, OCTOBER, maker), "whose books are whole"
    with unit_of_work(), triggers_off():
        db.session.execute(sa.text("UPDATE ledger_accounts SET credits = credits - 1"))


@pytest.mark.parametrize(
    ("tampering", "wrong"),
    [
        (
            "INSERT INTO ledger_transfers (merchant_id, code, cause, source_id, target_id, amount,"
            " currency, created_at) SELECT merchant_id, code, 'entry:99', source_id, target_id,"
            " amount, currency, created_at FROM ledger_transfers WHERE code = 'accrue'",
            "its transfers say",
        ),
        ("DELETE FROM ledger_transfers WHERE code = 'release'", "its transfers say"),
        ("UPDATE ledger_transfers SET created_at = '2026-11-02'", "its transfers say"),
        ("UPDATE book_closes SET balances = '[]'", "what was closed was changed"),
        ("UPDATE book_closes SET closed_by = 1 + closed_by", "what was closed was changed"),
        ("DELETE FROM book_closes WHERE month = '2026-10-01'", "what was closed was changed"),
    ],
)
def test_tampering_with_a_closed_month_shows(clock, merchant, maker, earned, tampering, wrong):
    with unit_of_work():
        a_user(Role.FINANCE_MAKER)  # somebody to blame
    clock.stand("2026-12-05T12:00:00Z")
    closed(merchant, OCTOBER, maker)
    closed(merchant, NOVEMBER, maker)
    assert verify.check("closes") == []

    with db.session.begin_nested() as undone:
        with triggers_off():
            db.session.execute(sa.text(tampering))
        found = verify.check("closes")
        undone.rollback()

    assert any(wrong in each.wrong for each in found), found


@pytest.mark.parametrize(
    "statement", ["UPDATE book_closes SET month = month", "DELETE FROM book_closes"]
)
def test_a_month_stays_closed(clock, merchant, maker, earned, statement):
    clock.stand("2026-11-05T12:00:00Z")
    closed(merchant, OCTOBER, maker)

    with pytest.raises(sa.exc.IntegrityError, match="stays closed"), db.session.begin_nested():
        db.session.execute(sa.text(statement))


def test_the_close_waits_for_who_is_booking_and_takes_it_in(
    app, committed, clock, merchant, maker, promoter
):
    """Booked before the end of the month, committed after the close was asked for."""
    clock.stand("2026-10-31T12:00:00Z")
    with unit_of_work():
        an_entry(merchant, promoter, 100)
    merchant_id, maker_id = merchant.id, maker.id
    booked, go_on = threading.Event(), threading.Event()

    def slow():
        with app.app_context(), unit_of_work():
            an_entry(merchant, promoter, 5000)
            booked.set()
            go_on.wait(20)

    def shut():
        booked.wait(20)
        with app.app_context(), unit_of_work():
            closing.close(merchant_id, OCTOBER, by=maker_id)

    threads = [threading.Thread(target=each) for each in (slow, shut)]
    for each in threads:
        each.start()
    booked.wait(20)
    clock.stand("2026-11-01T04:00:00Z")
    threads[1].join(1)
    assert threads[1].is_alive(), "it waits"
    go_on.set()
    for each in threads:
        each.join(20)

    (row,) = closing.of_merchant(merchant_id)
    assert [each["debits"] for each in row.balances if each["kind"] == "receivable"] == [5100]


def test_who_booked_a_moment_too_late_is_put_into_the_open_month(
    app, committed, clock, merchant, maker, promoter
):
    """Its time was taken before the close and its lock after: the database refuses, and `post`
    books again.
    """
    with unit_of_work():
        an_entry(merchant, promoter, 100)
    merchant_id, maker_id = merchant.id, maker.id
    closing_now, go_on = threading.Event(), threading.Event()

    def shut():
        with app.app_context(), unit_of_work():
            closing.close(merchant_id, OCTOBER, by=maker_id)
            closing_now.set()
            go_on.wait(20)

    def late():
        with app.app_context(), unit_of_work():
            an_entry(merchant, promoter, 7, state=State.PENDING)

    clock.stand("2026-11-01T03:00:00Z")
    threads = [threading.Thread(target=each) for each in (shut, late)]
    threads[0].start()
    closing_now.wait(20)
    clock.stand("2026-10-31T23:00:00Z")
    threads[1].start()
    threads[1].join(1)
    assert threads[1].is_alive(), "it waits for the close"
    go_on.set()
    for each in threads:
        each.join(20)

    (row,) = closing.of_merchant(merchant_id)
    assert [each.amount for each in transfers() if each.created_at == row.until] == [7]


def test_two_closers_and_ten_who_book(app, committed, clock, merchant, maker, promoter):
    with unit_of_work():
        an_entry(merchant, promoter, 100)
    clock.stand("2026-11-01T03:00:00Z")
    answers = at_once(
        app,
        [partial(closing.close, merchant.id, OCTOBER, by=maker.id)] * 2
        + [partial(an_entry, merchant, promoter, 7) for _ in range(10)],
    )

    assert not [each for each in answers if isinstance(each, Exception)], answers
    assert len(closing.of_merchant(merchant.id)) == 1
    assert verify.verify().breaches == []


def test_only_people_of_finance_close(clock, merchant, earned):
    clock.stand("2026-11-05T12:00:00Z")
    with unit_of_work():
        robot = a_user(Role.FINANCE_MAKER)
        robot.is_service = True

    with pytest.raises(PeopleOnly):
        closed(merchant, OCTOBER, robot)


def test_by_api(client, clock, merchant, maker, earned):
    clock.stand("2026-11-05T12:00:00Z")
    with unit_of_work():
        headers = {"Authorization": f"Bearer {a_key(Role.FINANCE_MAKER, user=maker)}"}
    place = f"/api/v1/merchants/{ids.encode('mer', merchant.id)}/book-closes"

    made = client.post(place, json={"month": "2026-10"}, headers=headers)
    shown = client.get(f"{place}/{made.json['id']}", headers=headers)
    listed = client.get(place, headers=headers)
    early = client.post(place, json={"month": "2026-11"}, headers=headers)

    assert made.status_code == 201
    assert (made.json["month"], made.json["until"]) == ("2026-10", "2026-11-01T03:00:00Z")
    assert shown.json == made.json == listed.json["data"][0]
    assert early.status_code == 422
    assert early.json["errors"][0]["pointer"] == "/month"


def test_by_shell(clock, merchant, maker, earned):
    clock.stand("2026-11-05T12:00:00Z")
    words = ["ledger", "close", "--merchant", ids.encode("mer", merchant.id), "--as", maker.email]

    done = CliRunner().invoke(main, [*words, "--month", "2026-10"])
    wrong = CliRunner().invoke(main, [*words, "--month", "October"])

    assert done.exit_code == 0, done.output
    assert "closed until 2026-11-01T03:00:00+00:00" in done.output
    assert wrong.exit_code == 2
