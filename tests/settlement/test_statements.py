"""A statement adds up, names every order and reference, and shows nobody else's."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from affiliate import ids
from affiliate.commissions.models import State
from affiliate.db import db, unit_of_work
from affiliate.ledger import service as ledger
from affiliate.money import Money
from affiliate.orders.models import Line as OrderLine
from affiliate.payouts import service as payouts
from affiliate.people.models import Role
from affiliate.settlement import service, statements
from affiliate.settlement.statements import Owner
from tests.factories.people import a_key, a_merchant, a_promoter
from tests.factories.settlement import a_settlement, an_entry, approved, executed, payouts_of

LATER = datetime(2026, 12, 1, tzinfo=UTC)
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


@pytest.fixture(autouse=True)
def now(clock):
    return clock.stand("2026-10-20T12:00:00Z")


@pytest.fixture
def owner(merchant, promoter):
    return Owner(merchant.id, "promoter", promoter.id)


def draw(owner, month=OCTOBER):
    found = statements.draw(owner, "BRL", statements.month_of(owner.merchant_id, month))
    shown = list(statements.lines(found))
    assert len(shown) == found.count
    assert found.opening + sum(each.amount for each in shown) == found.closing
    assert (shown[-1].balance if shown else found.opening) == found.closing
    return found, shown


def paid_out(merchant, maker, checker):
    settlement = executed(approved(a_settlement(merchant, maker), checker), maker)
    (payout,) = payouts_of(settlement)
    with unit_of_work():
        return payouts.mark_paid(merchant.id, payout.id, by=maker.id)


def test_what_a_payee_earned_lost_and_was_paid(clock, merchant, promoter, owner, maker, checker):
    with unit_of_work():
        an_entry(merchant, promoter, 5000)
        an_entry(merchant, promoter, -1000)
        an_entry(merchant, promoter, 300, state=State.PENDING, hold_until=LATER)
    clock.move(hours=1)
    payout = paid_out(merchant, maker, checker)

    found, lines = draw(owner)

    assert [(each.code, each.amount, each.balance) for each in lines] == [
        ("accrue", 5000, 5000),
        ("reverse_available", -1000, 4000),
        ("accrue", 300, 4300),
        ("pay", -4000, 300),
    ]
    assert (lines[-1].reference, lines[-1].gross, lines[-1].net) == (payout.reference, 4000, 4000)
    assert lines[0].order.startswith("o")
    assert lines[0].product == "Thing"
    assert found.closed == {"pending": 300, "available": 0, "reserved": 0}


def test_one_month_ends_where_the_next_begins(clock, merchant, promoter, owner, maker, checker):
    """A refund after the payout, and a payout that came back."""
    with unit_of_work():
        an_entry(merchant, promoter, 5000)
    payout = paid_out(merchant, maker, checker)
    clock.stand("2026-11-01T02:59:59Z")  # still October in São Paulo
    with unit_of_work():
        an_entry(merchant, promoter, 70)
    clock.stand("2026-11-10T12:00:00Z")
    with unit_of_work():
        payouts.mark_returned(merchant.id, payout.id, by=maker.id, reason="closed account")
        an_entry(merchant, promoter, -5000)

    october, _ = draw(owner)
    november, lines = draw(owner, NOVEMBER)

    assert (october.opening, october.closing) == (0, 70)
    assert (november.opening, november.closing) == (70, 70)
    assert [(each.code, each.amount) for each in lines] == [
        ("return", 5000),
        ("reverse_available", -5000),
    ]
    assert november.closed["available"] == 70
    assert lines[0].reference == payout.reference


def test_of_a_merchant(clock, merchant, promoter, maker):
    with unit_of_work():
        an_entry(merchant, promoter, 5000)
        an_entry(merchant, a_promoter("Bea"), 700)
        an_entry(merchant, promoter, -1000)
        service.record_pay_in(merchant.id, Money(4000, "BRL"), reference="TED 7", by=maker.id)

    found, lines = draw(Owner(merchant.id, "merchant", merchant.id))

    assert [(each.code, each.amount) for each in lines] == [
        ("accrue", 5000), ("accrue", 700), ("reverse_available", -1000), ("pay_in", -4000)
    ]  # fmt: skip
    assert lines[-1].reference == "TED 7"
    assert all(each.order for each in lines[:3])
    assert found.closed == {"receivable": 700}
    assert found.sums == {"accrue": 5700, "pay_in": -4000, "reverse_available": -1000}


def test_it_is_read_by_index(merchant, promoter, owner):
    """However many transfers of others there are."""
    with unit_of_work():
        an_entry(merchant, promoter, 5000)
    period = statements.month_of(merchant.id, OCTOBER)
    given = statements._given(owner, statements._accounts(owner, "BRL"), period) | {"limit": 500}

    with db.session.begin_nested() as undone:
        many_of_others(merchant)
        plans = [
            "\n".join(db.session.scalars(sa.text(f"EXPLAIN {each.text}"), given))
            for each in (statements.SUMS, statements.LINES)
        ]
        undone.rollback()

    for plan in plans:
        assert "Seq Scan on ledger_transfers" not in plan, plan
        assert "ledger_transfers_source_idx" in plan, plan
        assert "ledger_transfers_target_idx" in plan, plan


def many_of_others(merchant):
    owed = ledger.receivable(merchant.id, "BRL")
    others = [ledger.pending(merchant.id, "promoter", number, "BRL") for number in range(100, 200)]
    ledger.post(
        [
            ledger.Posting(ledger.Code.ACCRUE, f"x:{number}", owed, others[number % 100], 1)
            for number in range(5000)
        ]
    )
    db.session.execute(sa.text("ANALYZE ledger_transfers"))


def rows_of(answer):
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True))))


def headers(role, **place):
    with unit_of_work():
        return {"Authorization": f"Bearer {a_key(role, **place)}"}


def place_of(merchant, promoter, more=""):
    return (
        f"/api/v1/statements/{ids.encode('mer', merchant.id)}"
        f"/promoters/{ids.encode('prm', promoter.id)}{more}"
    )


def test_by_api_and_as_a_file(client, merchant, promoter, maker):
    with unit_of_work():
        entry = an_entry(merchant, promoter, 5000)
        an_entry(merchant, promoter, -6000)
        line = db.session.scalars(sa.select(OrderLine).filter_by(order_id=entry.order_id)).one()
        line.title = "=HYPERLINK(1)"
    mine = headers(Role.PROMOTER, promoter=promoter)

    shown = client.get(place_of(merchant, promoter), headers=mine)
    file = client.get(place_of(merchant, promoter, "/csv?month=2026-10"), headers=mine)

    assert shown.json["closing"] == {"amount": -1000, "currency": "BRL"}
    assert [each["what"] for each in shown.json["lines"]] == ["accrue", "reverse_available"]
    head, first, *_lines, last, _pending, available, _reserved = rows_of(file)
    assert head == list(statements.HEAD)
    assert (first[1], first[9]) == ("opening", "0.00")
    assert (last[1], last[9]) == ("closing", "-10.00")
    assert (available[1], available[9]) == ("available", "-10.00")
    assert "'=HYPERLINK(1)" in [row[3] for row in rows_of(file)]
    assert not [each for row in rows_of(file) for each in row if each.startswith(("=", "+", "@"))]


def test_a_period_of_any_days(client, clock, merchant, promoter):
    with unit_of_work():
        an_entry(merchant, promoter, 5000)
    mine = headers(Role.PROMOTER, promoter=promoter)

    day = client.get(
        place_of(merchant, promoter, "?first=2026-10-20&last=2026-10-20"), headers=mine
    )
    after = client.get(
        place_of(merchant, promoter, "?first=2026-10-21&last=2026-12-31"), headers=mine
    )
    half = client.get(place_of(merchant, promoter, "?first=2026-10-21"), headers=mine)

    assert (day.json["opening"]["amount"], day.json["closing"]["amount"]) == (0, 5000)
    assert (after.json["opening"]["amount"], after.json["count"]) == (5000, 0)
    assert half.status_code == 422


def test_nobody_elses(client, merchant, promoter):
    with unit_of_work():
        an_entry(merchant, promoter, 5000)
        other, stranger = a_merchant(), a_promoter("Bea")
    place = place_of(merchant, promoter)
    merchants = f"/api/v1/statements/{ids.encode('mer', merchant.id)}"

    def met(role, where, **whose):
        return client.get(where, headers=headers(role, **whose)).status_code

    assert met(Role.PROMOTER, place, promoter=stranger) == 404
    assert met(Role.FINANCE_MAKER, place, merchant=other) == 404
    assert met(Role.FINANCE_MAKER, merchants, merchant=other) == 404
    assert met(Role.FINANCE_AUDITOR, place, merchant=merchant) == 200
    assert met(Role.MERCHANT_OWNER, merchants, merchant=merchant) == 200
    assert met(Role.MERCHANT_STAFF, merchants, merchant=merchant) == 403
    # Of a merchant's own people only those who ever earned something there.
    assert met(Role.FINANCE_MAKER, place_of(merchant, stranger), merchant=merchant) == 404


def test_a_long_one_is_read_in_portions(merchant, promoter, owner, monkeypatch):
    monkeypatch.setattr(statements, "CHUNK", 3)
    with unit_of_work():
        for amount in range(1, 12):
            an_entry(merchant, promoter, amount)

    found, lines = draw(owner)

    assert [each.amount for each in lines] == list(range(1, 12))
    assert len(list(statements.lines(found, 5))) == 5
    assert timedelta(0) <= lines[-1].at - lines[0].at
