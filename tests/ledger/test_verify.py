"""A business with a bit of everything is proved; then each thing that can be wrong is found."""

import json

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from affiliate import cli, clock
from affiliate.commissions.models import Entry, State
from affiliate.db import db, unit_of_work
from affiliate.ledger import service as ledger
from affiliate.ledger import verify as proof
from affiliate.ledger.service import Code, Posting
from affiliate.ledger.verify import CHECKS, check, verify
from affiliate.money import Money
from affiliate.payouts import service as payouts
from affiliate.payouts.models import WriteOff
from affiliate.people.models import Role
from affiliate.settlement import service as settlements
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.settlement import (
    a_commission,
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    with_totp,
)
from tests.ledger.books import triggers_off, wait_for_the_others


@pytest.fixture
def business(app):
    make_business()
    assert verify().breaches == []


def make_business():
    """Ana was paid 800, got 250 back from a bank that did not want them, and waits for 300."""
    merchant, ana, bea = a_merchant(), a_promoter(), a_promoter()
    maker, checker = a_user(Role.FINANCE_MAKER), with_totp(a_user(Role.FINANCE_CHECKER))
    an_account(ana)
    an_entry(merchant, ana, 1000)
    an_entry(merchant, ana, -200)
    paid = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))[0]
    with unit_of_work():
        payouts.mark_paid(merchant.id, paid.id, by=maker.id)
    an_entry(merchant, ana, 250)
    back = payouts_of(executed(approved(a_settlement(merchant, maker), checker), maker))[0]
    with unit_of_work():
        payouts.mark_paid(merchant.id, back.id, by=maker.id)
        payouts.mark_returned(merchant.id, back.id, by=maker.id, reason="account closed")
    an_entry(merchant, ana, 50)
    payouts_of(a_settlement(merchant, maker))
    an_entry(merchant, bea, 500, state=State.PENDING)
    an_entry(merchant, bea, -100, state=State.PENDING)
    an_entry(merchant, bea, 70)
    a_platform_fee(merchant, bea, 20)
    a_platform_fee(merchant, bea, -5)
    an_estimate(merchant, bea, 999)
    settlements.record_pay_in(merchant.id, Money(800, "BRL"), reference="TED 1", by=maker.id)
    written_off = WriteOff(
        merchant_id=merchant.id, payee_kind="promoter", payee_id=bea.id, currency="BRL", amount=9,
        reason="Gone", state="approved", created_by=maker.id, decided_by=checker.id,
        decided_at=clock.now(),
    )  # fmt: skip
    db.session.add(written_off)
    db.session.flush()
    ledger.post([Posting(Code.WRITE_OFF, f"write_off:{written_off.id}",
                         ledger.bad_debt(merchant.id, "BRL"),
                         ledger.available(merchant.id, "promoter", bea.id, "BRL"), 9)])  # fmt: skip
    asked_of = a_merchant(payout_mode="on_request")
    an_entry(asked_of, ana, 64)
    an_entry(asked_of, ana, 32)
    payouts.withdraw(asked_of.id, ("promoter", ana.id), "BRL", by=maker.id, amount=80)


def a_platform_fee(merchant, via, amount):
    entry = _entry(merchant, via, "platform", 0, amount, State.AVAILABLE)
    owed, fees = ledger.receivable(merchant.id, "BRL"), ledger.fees(merchant.id, "BRL")
    cause = f"entry:{entry.id}"
    if amount > 0:
        ledger.post([Posting(Code.PLATFORM_FEE, cause, owed, fees, amount)])
    else:
        ledger.post([Posting(Code.REVERSE_FEE, cause, fees, owed, -amount)])


def an_estimate(merchant, promoter, amount):
    _entry(merchant, promoter, "promoter", promoter.id, amount, State.ESTIMATED)


def _entry(merchant, via, payee_kind, payee_id, amount, state):
    commission = a_commission(merchant, via)
    entry = Entry(
        merchant_id=merchant.id, commission_id=commission.id, order_id=commission.order_id,
        payee_kind=payee_kind, payee_id=payee_id, currency="BRL", amount=amount, state=state,
        reason=["test", {}],
    )  # fmt: skip
    db.session.add(entry)
    db.session.flush()
    return entry


FOREIGN_TRANSFER = (
    "INSERT INTO ledger_transfers (merchant_id, code, cause, source_id, target_id, amount,"
    " currency, created_at) SELECT merchant_id, code, '{cause}', source_id, target_id, amount,"
    " currency, now() FROM ledger_transfers WHERE code = '{code}' LIMIT 1"
)


TAMPERINGS = [
    (
        "UPDATE ledger_accounts SET credits = credits + 1 WHERE kind = 'available'",
        "totals", "credits 1551, clawed 200; its transfers say 1550, 1550, 200",
    ),
    (
        "UPDATE ledger_accounts SET clawed = clawed + 1 WHERE kind = 'available'",
        "totals", "clawed 201; its transfers say 1550, 1550, 200",
    ),
    ("DELETE FROM ledger_transfers WHERE code = 'pay_in'", "totals", "its transfers say"),
    (
        "UPDATE ledger_transfers SET code = 'withhold' WHERE code = 'pay'",
        "totals", "withhold of 250 BRL from reserved of promoter",
    ),
    (
        "UPDATE ledger_accounts SET credits = credits + 1 WHERE kind = 'clearing'",
        "balanced", "debits 7024, credits 7025",
    ),
    (
        "UPDATE ledger_accounts SET debits = debits + 900 WHERE kind = 'available'",
        "overdrawn", "available is 900 below zero",
    ),
    (
        "UPDATE entries SET amount = 501 WHERE amount = 500",
        "entries", "501 BRL for promoter",
    ),
    (
        "UPDATE entries SET payee_id = payee_id - 1 WHERE amount = 500",
        "entries", "booked 500 BRL for promoter",
    ),
    (
        "DELETE FROM ledger_transfers WHERE code = 'accrue' AND amount = 500",
        "entries", "its accrue of 500 is not booked",
    ),
    (
        "DELETE FROM ledger_transfers WHERE code = 'release' AND amount = 70",
        "entries", "its release of 70 is not booked",
    ),
    (
        "DELETE FROM ledger_transfers WHERE code = 'reverse'",
        "entries", "its reverse of 100 is not booked",
    ),
    (
        "DELETE FROM ledger_transfers WHERE code = 'reverse_available'",
        "entries", "its reverse_available of 200 is not booked",
    ),
    (
        "DELETE FROM ledger_transfers WHERE code = 'reverse_fee'",
        "entries", "its reverse_fee of 5 is not booked",
    ),
    (
        "UPDATE entries SET state = 'pending', released_at = NULL WHERE amount = 70",
        "entries", "release of 70 is booked without it",
    ),
    (
        FOREIGN_TRANSFER.format(code="accrue", cause="entry:123456"),
        "entries", "is booked without it",
    ),
    (
        "UPDATE payouts SET state = 'accepted', paid_at = NULL WHERE state = 'paid'",
        "payouts", "pay of 800 is booked without it",
    ),
    (
        "UPDATE payouts SET gross = gross + 1, net = net + 1 WHERE state = 'paid'",
        "payouts", "reserve: 801 BRL",
    ),
    (
        "DELETE FROM ledger_transfers WHERE code = 'return'",
        "payouts", "its return of 250 is not booked",
    ),
    (
        FOREIGN_TRANSFER.format(code="reserve", cause="payout:123456"),
        "payouts", "is booked without it",
    ),
    (
        "UPDATE payouts SET gross = gross + 1, net = net + 1 WHERE state = 'paid'",
        "payout_sums", "gross 801, its entries 800",
    ),
    (
        "UPDATE payout_lines SET live = false WHERE amount = 1000",
        "payout_sums", "is paid, but owns its entries",
    ),
    (
        "UPDATE payout_lines SET amount = amount + 5 WHERE NOT live",
        "payout_lines", "amount 250, in payout:",
    ),
    (
        "UPDATE payout_lines SET amount = amount + 5 WHERE amount = 1000",
        "payout_lines", "amount 1000, in payout:",
    ),
    (
        "UPDATE payouts SET payee_id = payee_id + 1 WHERE state = 'paid'",
        "payout_lines", "is for another payee or currency",
    ),
    (
        "UPDATE entries SET state = 'available' WHERE state = 'reserved' AND amount = 50",
        "payout_lines", "is available, payout:",
    ),
    (
        "UPDATE entries SET state = 'paid' WHERE amount = 70",
        "payout_lines", "is paid, but no payout or settlement owns it",
    ),
    (
        "UPDATE payouts SET state = 'failed' WHERE state = 'awaiting_approval'",
        "reserved", "reserved 300, open payouts and withdrawals 0",
    ),
    (
        "UPDATE entries SET amount = 501 WHERE amount = 500",
        "balances", "pending 400, available and reserved 79; the entries say 401 and 79",
    ),
    (
        "UPDATE entries SET state = 'estimated' WHERE amount = 70",
        "balances", "available and reserved 79; the entries say 400 and 9",
    ),
    ("UPDATE withdrawals SET amount = 81", "withdrawals", "asks for 81, its entries are 80"),
    ("UPDATE withdrawals SET amount = 81", "reserved", "open payouts and withdrawals 81"),
    (
        "UPDATE withdrawal_lines SET live = false",
        "withdrawals", "is requested, but owns its entries no longer",
    ),
    ("UPDATE withdrawal_lines SET live = false", "payout_lines", "no payout or settlement owns it"),
    (
        "DELETE FROM ledger_transfers WHERE cause LIKE 'withdrawal:%'",
        "withdrawals", "reserve of 80 BRL, booked",
    ),
    (
        "UPDATE entries SET amount = amount + 1 WHERE split_of IS NOT NULL AND amount > 0",
        "splits", "was split into 2 entries that sum up to 1",
    ),
    ("UPDATE write_offs SET amount = 8", "write_offs", "write_off of 8 BRL, booked 9 BRL"),
    ("UPDATE write_offs SET recovered_at = now()", "write_offs", "recover of 9 BRL, booked"),
    ("UPDATE pay_ins SET amount = 799", "pay_ins", "pay_in of 799 BRL, booked 800 BRL"),
    ("UPDATE pay_ins SET returned_at = now()", "pay_ins", "return_pay_in of 800 BRL, booked"),
]  # fmt: skip


def test_each_breach_is_found_and_named(business, subtests):
    for tampering, name, wrong in TAMPERINGS:
        with subtests.test(tampering):
            savepoint = db.session.begin_nested()
            with triggers_off():
                changed = db.session.execute(sa.text(tampering)).rowcount
            found = check(name)
            savepoint.rollback()
            assert changed > 0
            assert any(wrong in each.wrong for each in found), found


def test_a_broken_book_names_a_hundred_rows_and_not_all(business):
    merchant, promoter = a_merchant(), a_promoter()
    db.session.execute(
        sa.text("""
            INSERT INTO entries (merchant_id, commission_id, order_id, payee_kind, payee_id,
                                 currency, amount, state, reason, created_at)
            SELECT merchant_id, id, order_id, payee_kind, payee_id, currency, n, 'pending', '[]',
                   now()
              FROM commissions, generate_series(1, 150) n WHERE commissions.id = :commission
        """),
        {"commission": a_commission(merchant, promoter).id},
    )

    found = [each for each in verify().breaches if each.check == "entries"]

    assert len(found) == 100
    assert all("is not booked" in each.wrong for each in found)


def run(*words):
    return CliRunner().invoke(cli.main, ["ledger", *words])


def test_the_command_proves_the_books_and_says_what_it_checked(committed):
    with unit_of_work():
        make_business_committed()

    spoken, machine = run("verify"), run("verify", "--json")

    assert spoken.exit_code == machine.exit_code == 0, spoken.output
    assert "ok      debits equal credits" in spoken.output
    assert spoken.output.endswith("The books prove themselves.\n")
    report = json.loads(machine.output)
    assert report == {"ok": True, "checked": report["checked"], "breaches": []}
    assert report["checked"]["entries"] == report["checked"]["transfers"] == 1


def test_the_command_exits_with_1_and_names_the_rows(committed):
    with unit_of_work():
        make_business_committed()
    with unit_of_work(), triggers_off():
        db.session.execute(sa.text("UPDATE entries SET amount = 501"))

    spoken, machine = run("verify"), run("verify", "--json")

    assert spoken.exit_code == machine.exit_code == 1
    assert "BREACH  entries equal their transfers\n        entry:" in spoken.output
    report = json.loads(machine.output)
    assert report["ok"] is False
    assert {each["check"] for each in report["breaches"]} == {"entries", "balances"}
    assert "501 BRL" in report["breaches"][0]["wrong"]


def test_the_command_seals(committed):
    with unit_of_work():
        make_business_committed()

    wait_for_the_others()
    assert run("seal").output == "1 transfers sealed\n"
    assert json.loads(run("verify", "--json").output)["checked"]["seals"] == 1


def make_business_committed():
    an_entry(a_merchant(), a_promoter(), 500, state=State.PENDING)


def test_good_books_are_proved_by_reading_their_rows_once(business):
    for merchant_id in (None, *db.session.scalars(sa.text("SELECT id FROM merchants")).all()):
        assert proof._agreed(merchant_id) == proof.AT_ONCE


def test_every_check_says_what_it_proves():
    assert all(each.proves for each in CHECKS.values())
