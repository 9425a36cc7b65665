"""Finance's desk: liabilities by age, funding, the books beside the bank, and files of them."""

import csv
import io
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.commissions.models import State
from affiliate.db import db, unit_of_work
from affiliate.ids import encode
from affiliate.ledger.models import Account
from affiliate.ledger.verify import verify
from affiliate.money import Money
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Payout
from affiliate.people.models import Role
from affiliate.settlement import service as settlements
from tests.consoles.promoter_town import statements
from tests.consoles.signed_in import sign_in
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import (
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    with_totp,
)


@pytest.fixture
def merchant():
    with unit_of_work():
        return a_merchant()


@pytest.fixture
def maker(client):
    with unit_of_work():
        found = a_user(Role.FINANCE_MAKER)
    sign_in(client, found)
    return found


@pytest.fixture
def payee():
    with unit_of_work():
        found = a_promoter("Bruna Souza")
        an_account(found)
        return found


@pytest.fixture
def paid(merchant, maker, payee):
    """One payout that the bank has, of 45.00 BRL."""
    with unit_of_work():
        an_entry(merchant, payee, 4500)
        checker = with_totp(a_user(Role.FINANCE_CHECKER))
    return payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))[0]


def text(response):
    """What a person reads of a page."""
    assert response.status_code == 200, response.text[:500]
    return words(response)


def words(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.text).split())


# --- liabilities ---------------------------------------------------------------------------------


def aged(entry, days):
    with unit_of_work():
        db.session.execute(
            sa.text("UPDATE entries SET created_at = :at WHERE id = :id"),
            {"at": time.now() - timedelta(days=days), "id": entry.id},
        )


def test_what_is_owed_stands_by_stage_and_age_and_leads_to_its_entries(
    client, merchant, maker, payee
):
    with unit_of_work():
        fresh = an_entry(merchant, payee, 1000, state="pending", hold_until=time.now())
        old = an_entry(merchant, payee, 2500)
        held = an_entry(merchant, payee, 700, state="pending", on_hold="risk")
        an_entry(merchant, payee, 900, currency="USD")
    for entry, days in ((fresh, 2), (old, 45), (held, 200)):
        aged(entry, days)

    page = text(client.get("/finance/owed/"))
    assert "42.00 BRL" in page
    assert "9.00 USD" in page
    assert "Held by a risk case" in page

    rows = text(client.get("/finance/entries/?currency=BRL&stage=available&age=quarter"))
    assert "25.00 BRL" in rows
    assert "1 entry" in rows
    assert "10.00 BRL" not in rows
    assert "1 entry" in text(client.get("/finance/entries/?held=risk"))
    assert "42.00 BRL (3 entries)" in text(client.get("/finance/entries/?currency=BRL")).replace(
        "( ", "("
    )


def test_stages_and_ages_sum_up_to_the_accounts(client, merchant, maker, paid, payee):
    from affiliate.settlement import outlook

    with unit_of_work():
        an_entry(merchant, payee, 1234, state="pending", hold_until=time.now())
        an_entry(merchant, payee, -234)

    (found,) = outlook.owed(frozenset({merchant.id}), time.now())
    booked = db.session.scalar(
        sa.select(sa.func.sum(Account.credits - Account.debits)).where(
            Account.merchant_id == merchant.id,
            Account.kind.in_(["pending", "available", "reserved"]),
        )
    )
    assert found.total == booked == 4500 + 1234 - 234
    assert found.of("reserved") == 4500


def test_another_merchants_money_is_not_shown(client, merchant, payee):
    with unit_of_work():
        other = a_merchant()
        user = a_user(Role.FINANCE_MAKER, merchant=other)
        an_entry(merchant, payee, 7777)
    sign_in(client, user)

    for path in ("/finance/owed/", "/finance/entries/", "/finance/funding/"):
        assert "77.77" not in text(client.get(path))
    mine = encode("mer", merchant.id)
    assert client.get(f"/finance/owed/?merchant={mine}").status_code == 404
    assert client.get(f"/finance/exports/entries.csv?merchant={mine}").status_code == 404
    assert client.get(f"/finance/reconciliation/?of={mine}.BRL").status_code == 404
    assert "77.77" not in client.get("/finance/exports/entries.csv").text


@pytest.mark.parametrize("path", ["owed/", "entries/", "funding/", "reconciliation/", "exports/"])
def test_a_page_takes_few_statements_however_much_there_is(client, merchant, maker, payee, path):
    counts = []
    for times in (1, 30):
        with unit_of_work():
            for _ in range(times):
                someone = a_promoter()
                an_account(someone)
                an_entry(merchant, someone, 500)
        client.get(f"/finance/{path}")
        with statements() as told:
            text(client.get(f"/finance/{path}"))
        counts.append(len(told))

    assert counts[1] <= counts[0] <= 20


def test_what_is_open_is_found_by_an_index(merchant, maker, payee):
    with unit_of_work():
        an_entry(merchant, payee, 500)
        for _ in range(30):
            an_entry(merchant, payee, 500, state=State.PAID)
    from affiliate.settlement import outlook

    for setting in ("ANALYZE entries", "SET LOCAL enable_seqscan = off"):
        db.session.execute(sa.text(setting))
    wanted = sa.select(sa.func.sum(outlook.Entry.amount)).where(
        outlook.still_owed(frozenset({merchant.id}))
    )
    compiled = wanted.compile(db.engine, compile_kwargs={"literal_binds": True})
    plan = "\n".join(db.session.scalars(sa.text(f"EXPLAIN {compiled}")))
    assert "entries_open_idx" in plan


# --- funding -------------------------------------------------------------------------------------


def test_what_a_merchant_has_to_send_stands_by_day(client, merchant, maker, paid, payee):
    from affiliate.settlement import outlook

    with unit_of_work():
        an_entry(merchant, payee, 1000)
        for days, amount in ((3, 300), (20, 400), (90, 5000)):
            until = time.now() + timedelta(days=days)
            an_entry(merchant, payee, amount, state="pending", hold_until=until)
        settlements.record_pay_in(merchant.id, Money(2000, "BRL"), reference="WIRE-1", by=maker.id)

    from zoneinfo import ZoneInfo

    (need,) = outlook.needs(frozenset({merchant.id}), time.now(), ZoneInfo("UTC"))
    assert (need.hand, need.reserved, need.available, need.pending) == (2000, 4500, 1000, 700)
    assert (need.now, need.later) == (2500, 4200)
    days = outlook.by_day([need], time.now().date())
    assert days[0][1] == 5500
    assert days[-1][1] == 6200

    page = text(client.get("/finance/funding/"))
    assert "25.00 BRL" in page
    assert "42.00 BRL" in page


def test_a_settlement_says_what_is_not_in_hand(client, merchant, maker, payee):
    with unit_of_work():
        an_entry(merchant, payee, 4500)
    made = a_settlement(merchant, maker)
    key = encode("stl", made.merchant_id, made.id)
    assert "45.00 BRL is not in hand yet" in text(client.get(f"/finance/settlements/{key}"))

    with unit_of_work():
        settlements.record_pay_in(merchant.id, Money(4500, "BRL"), reference="W", by=maker.id)
    assert "not in hand" not in text(client.get(f"/finance/settlements/{key}"))


# --- the bank ------------------------------------------------------------------------------------


def compare(client, merchant, content, status=200):
    data = {"file": (io.BytesIO(content.encode()), "bank.csv")}
    address = f"/finance/reconciliation/?of={encode('mer', merchant.id)}.BRL"
    response = client.post(address, data=data, content_type="multipart/form-data")
    assert response.status_code == status, response.text[:2000]
    return words(response)


def test_a_statement_that_agrees_says_so_and_one_that_does_not_says_the_next_step(
    client, merchant, maker, paid
):
    today = time.now().date().isoformat()
    head = "Date,Amount,Details\n"
    line = f"{today},-45.00,EREF+{paid.reference} COMMISSION\n"

    waiting = compare(client, merchant, head + line + f"{today},20.00,Wire WIRE-9 of shop\n")
    assert "Paid at the bank, not yet in the books" in waiting
    assert "Book as pay-in" in waiting
    assert db.session.get(Payout, (paid.merchant_id, paid.id)).state == "accepted", "only looked"

    with unit_of_work():
        payouts.mark_paid(paid.merchant_id, paid.id, by=maker.id, reference="B-1")
        settlements.record_pay_in(merchant.id, Money(2000, "BRL"), reference="WIRE-9", by=maker.id)
    agreed = compare(client, merchant, head + line + f"{today},20.00,Wire WIRE-9 of shop\n")
    assert "The bank and the books agree" in agreed

    other = compare(client, merchant, head + f"{today},-44.00,{paid.reference}\n")
    assert "Another amount than in the books" in other
    assert "In the books, not on this statement" in other
    assert "WIRE-9" in other

    back = compare(client, merchant, head + line + f"{today},45.00,return {paid.reference}\n")
    assert "Came back; the books have it as paid" in back
    assert "Mark as returned" in back
    with unit_of_work():
        payouts.mark_returned(paid.merchant_id, paid.id, by=maker.id, reason="account closed")
    assert "Came back; the books" not in compare(
        client, merchant, head + line + f"{today},45.00,return {paid.reference}\n"
    )
    assert verify().ok


def test_what_the_bank_did_twice_stands_out_and_others_payouts_are_unknown(
    client, merchant, maker, paid
):
    with unit_of_work():
        payouts.mark_paid(paid.merchant_id, paid.id, by=maker.id, reference="B-1")
        other, payee = a_merchant(), a_promoter("Ana Lima")
        an_account(payee)
        an_entry(other, payee, 4500)
        checker = with_totp(a_user(Role.FINANCE_CHECKER))
    (theirs,) = payouts_of(executed(approved(a_settlement(other, maker), checker), maker))
    day = time.now().date().isoformat()
    line = f"{day},-45.00,{paid.reference}\n"

    assert "The bank and the books agree" in compare(client, merchant, f"Date,Amount,Text\n{line}")
    twice = compare(client, merchant, f"Date,Amount,Text\n{line}{line}")
    assert "A second time on this statement" in twice
    assert "1 of 2 lines agree" in twice
    foreign = compare(client, merchant, f"Date,Amount,Text\n{day},-45.00,{theirs.reference}\n")
    assert "Money out that the books do not know" in foreign


def test_a_whole_file_in_one_sum_is_found_by_its_total(client, merchant, maker, payee):
    with unit_of_work():
        other = a_promoter("Ana Lima")
        an_account(other)
        for each, amount in ((payee, 4500), (other, 1050)):
            an_entry(merchant, each, amount)
        checker = with_totp(a_user(Role.FINANCE_CHECKER))
    made = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))
    with unit_of_work():
        for each in made:
            payouts.mark_paid(each.merchant_id, each.id, by=maker.id, reference=f"B-{each.id}")

    today = f"{time.now():%d/%m/%Y}"
    page = compare(client, merchant, f"Data;Valor;Histórico\n{today};-55,50;PAGAMENTO EM LOTE\n")
    assert "The bank and the books agree" in page


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "No line names the columns"),
        ("name,words\na,b\n", "No line names the columns"),
        ("date,amount\nyesterday,1.00\n", "“yesterday” is no day"),
        ("date,amount\n2026-11-01,1.234\n", "may be two amounts"),
        ("date;amount\n2026-11-01;10,00\n2026-11-01;1.999,555\n", "no amount in BRL"),
        ("date,amount,currency\n2026-11-01,1.00,USD\n", "no line in BRL"),
        ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "no camt.053"),
    ],
)
def test_a_statement_that_cannot_be_read_is_refused_whole(
    client, merchant, maker, paid, content, said
):
    page = compare(client, merchant, content, 422)
    assert said in page
    assert "The bank says" not in page


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["entries", "accounts", "transfers", "payouts", "pay_ins"])
def test_a_file_of_the_books_has_every_row_once(client, merchant, maker, paid, payee, kind):
    with unit_of_work():
        an_entry(merchant, payee, 1200)
        settlements.record_pay_in(merchant.id, Money(2000, "BRL"), reference="=W", by=maker.id)

    found = list(csv.DictReader(io.StringIO(client.get(f"/finance/exports/{kind}.csv").text)))
    table = {"accounts": "ledger_accounts", "transfers": "ledger_transfers"}.get(kind, kind)
    assert len(found) == db.session.scalar(sa.text(f"SELECT count(*) FROM {table}"))
    first = next(iter(found[0].values()))
    assert first.split("_")[0] in {"ent", "lac", "trf", "pay", "pin"}
    if kind == "pay_ins":
        assert (found[0]["amount"], found[0]["reference"]) == ("20.00", "'=W"), "no formula"
    if kind == "accounts":
        debits, credits_ = ({each[side] for each in found} for side in ("debits", "credits"))
        assert debits | credits_ >= {"57.00", "20.00", "45.00"}
    last = db.session.scalar(sa.text("SELECT action FROM audit_log ORDER BY id DESC LIMIT 1"))
    assert last == "books.exported"


def test_a_month_that_is_none_is_not_there(client, maker):
    assert client.get("/finance/exports/payouts.csv?month=2026-13").status_code == 404
    assert client.get("/finance/exports/else.csv").status_code == 404
