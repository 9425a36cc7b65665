"""The busy month, on a small scale, and the command."""

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from affiliate.cli import main
from affiliate.commissions.models import Entry
from affiliate.db import db, unit_of_work
from affiliate.demo import case
from affiliate.demo import people as log_ins
from affiliate.intake.models import Event
from affiliate.ledger import queries as ledger
from affiliate.ledger.verify import verify
from affiliate.orders.models import Order
from affiliate.people import service as people
from affiliate.people.models import Merchant, Promoter
from tests.factories.people import a_merchant, an_agency


@pytest.fixture
def short(monkeypatch):
    """A month of five days: every day costs some time, however little happens on it."""
    monkeypatch.setattr(case, "DAYS", 5)


def test_a_small_month_earns_thirty_per_cent_and_the_books_prove_themselves(committed, short):
    said = []

    sums = case.load(lambda *words: said.append(words), orders=200, promoters=30)

    assert verify().breaches == []
    assert sums.orders == db.session.scalar(sa.select(sa.func.count()).select_from(Order)) == 200
    assert sums.revenue == case.REVENUE * 200 // case.ORDERS
    assert db.session.scalar(sa.select(sa.func.sum(Order.total))) == sums.revenue
    assert 0 < sums.refunded < 20
    kept = sums.revenue - refunded_cash()
    # A fraction of a fen is rounded down with each order.
    assert 0 <= kept * 30 // 100 - sums.commission <= sums.orders
    assert set(db.session.scalars(sa.select(Entry.state).where(Entry.amount > 0))) == {"available"}
    assert list(db.session.scalars(sa.select(Event.state).distinct())) == ["done"]
    assert available() == sums.commission
    assert said[-1] == ("webhooks", 200 + sums.refunded, 200 + sums.refunded)
    assert ("promoters", 30, 30) in said


def refunded_cash():
    return db.session.scalar(sa.text("SELECT sum(amount)::bigint FROM refunds"))


def available():
    payees = db.session.scalars(sa.select(Promoter.id))
    return sum(
        each.amount
        for payee in payees
        for each in ledger.balances_of("promoter", payee)
        if each.kind == "available"
    )


def test_the_command_refuses_a_database_in_use_in_one_line():
    a_merchant()

    for options in ([], ["--case"]):
        told = CliRunner().invoke(main, ["demo", *options])
        assert told.exit_code == 1
        assert len(told.stderr.splitlines()) == 1
        assert "empty" in told.stderr

    assert db.session.scalar(sa.select(sa.func.count()).select_from(Merchant)) == 1


def test_the_command_tells_the_checkers_code():
    with unit_of_work():
        merchant = a_merchant()
        checker = log_ins.hire(merchant.id, an_agency().id)["checker"]

    told = CliRunner().invoke(main, ["demo", "--code"])

    assert told.exit_code == 0
    people.check_totp(checker, told.stdout.strip())


def test_the_command_tells_what_it_made_and_how_to_sign_in(committed, short, monkeypatch):
    monkeypatch.setattr(case, "ORDERS", 40)
    monkeypatch.setattr(case.load, "__kwdefaults__", {"orders": 40, "promoters": 5})

    told = CliRunner().invoke(main, ["demo", "--case"])

    assert told.exit_code == 0, told.output
    assert "40 orders, 5000000.00 CNY" in told.stdout
    assert "The books prove themselves" in told.stdout
    assert f"operator@{log_ins.DOMAIN}" in told.stdout
    assert "webhooks: " in told.stderr
