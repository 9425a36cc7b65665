"""Handing over what was approved: one file, the same bytes, whatever is killed in between."""

import csv
import hashlib
import io
from contextlib import suppress

import pytest

from affiliate.db import db, unit_of_work
from affiliate.errors import NotFound
from affiliate.payouts.service import WrongState
from affiliate.settlement import queries, runs, service
from affiliate.settlement.service import executing
from tests.factories.settlement import (
    IBAN,
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
)


@pytest.fixture
def settlement(merchant, promoter, maker, checker):
    an_account(promoter, currency="CLP", **IBAN)
    an_entry(merchant, promoter, 123456)
    an_entry(merchant, promoter, 9990, currency="CLP")
    return approved(a_settlement(merchant, maker), checker)


def files_of(settlement):
    return queries.files(settlement.merchant_id, settlement.id)


def test_each_currency_gets_a_file(settlement, maker):
    executed(settlement, maker)

    brl, clp = files_of(settlement)
    (row,) = csv.DictReader(io.StringIO(service.open_file(brl).decode()))
    assert (brl.currency, brl.payouts, brl.total) == ("BRL", 1, 123456)
    assert row["amount"] == "1234.56"
    assert row["reference"] == payouts_of(settlement)[0].reference
    assert (row["bank_code"], row["branch"], row["account_number"]) == (
        "001", "0042-1", "12345678-9",
    )  # fmt: skip
    (row,) = csv.DictReader(io.StringIO(service.open_file(clp).decode()))
    assert (row["amount"], row["iban"]) == ("9990", "DE89370400440532013000")


def test_the_file_is_kept_sealed(settlement, maker):
    executed(settlement, maker)

    (file, _) = files_of(settlement)
    assert b"Bruna" not in file.content
    assert hashlib.sha256(service.open_file(file)).hexdigest() == file.sha256


def test_asking_twice_makes_no_second_file(settlement, maker, rung):
    for _ in range(2):
        executed(settlement, maker)

    assert len(files_of(settlement)) == 2
    assert len(rung) == 1
    assert settlement.state == "closed"


class Killed(BaseException):
    pass


def die(*_, **__):
    raise Killed


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (service, "submit"),
        (executing.payouts, "move_all"),
        (service, "write_files"),
        (executing.security, "seal"),
        (executing, "_instructions"),
        (service, "close"),
    ],
)
def test_killed_anywhere_it_goes_on_with_the_same_bytes(
    settlement, maker, monkeypatch, module, name
):
    with unit_of_work():
        service.execute(settlement.merchant_id, settlement.id, by=maker.id)
    references = [each.reference for each in payouts_of(settlement)]
    with monkeypatch.context() as deadly, suppress(Killed):
        deadly.setattr(module, name, die)
        runs.execute(settlement.merchant_id, settlement.id)
    db.session.rollback()
    before = [service.open_file(each) for each in files_of(settlement)]

    runs.execute(settlement.merchant_id, settlement.id)

    after = [service.open_file(each) for each in files_of(settlement)]
    assert len(after) == 2
    assert before in ([], after)
    assert [each.reference for each in payouts_of(settlement)] == references
    assert {each.state for each in payouts_of(settlement)} == {"accepted"}


def test_references_are_stored_before_anything_is_made_of_them(settlement, maker, monkeypatch):
    with unit_of_work():
        service.execute(settlement.merchant_id, settlement.id, by=maker.id)
    with monkeypatch.context() as deadly, suppress(Killed):
        deadly.setattr(service, "write_files", die)
        runs.execute(settlement.merchant_id, settlement.id)

    assert {each.state for each in payouts_of(settlement)} == {"submitting"}
    payout = payouts_of(settlement)[0]
    with pytest.raises(WrongState, match="has moved on"), unit_of_work():
        service.cancel_payout(settlement.merchant_id, payout.id, by=maker.id, reason="too late")
    runs.execute(settlement.merchant_id, settlement.id)


def test_the_same_payouts_make_the_same_file(settlement, maker):
    with unit_of_work():
        service.execute(settlement.merchant_id, settlement.id, by=maker.id)
        service.submit(settlement.merchant_id, settlement.id)

    made = []
    for _ in range(2):
        transaction = db.session.begin_nested()
        service.write_files(settlement.merchant_id, settlement.id)
        made.append([service.open_file(each) for each in files_of(settlement)])
        transaction.rollback()

    assert len(made[0]) == 2
    assert made[0] == made[1]


def test_when_all_were_cancelled_it_closes_without_a_file(settlement, maker):
    for payout in payouts_of(settlement):
        with unit_of_work():
            service.cancel_payout(settlement.merchant_id, payout.id, by=maker.id, reason="no")

    executed(settlement, maker)

    assert settlement.state == "closed"
    assert files_of(settlement) == []


def test_a_replaced_account_still_gets_what_was_approved(settlement, promoter, maker):
    with unit_of_work():
        an_account(promoter, account_holder="Other", bank_code="1", account_number="99999999")

    executed(settlement, maker)

    content = service.open_file(files_of(settlement)[0]).decode()
    assert "12345678-9" in content
    assert "99999999" not in content


def test_the_sweep_finds_an_execution_that_was_lost(settlement, maker, rung, clock):
    from workers import settlement as jobs

    clock.stand("2026-11-23T10:00:00Z")
    with unit_of_work():
        service.execute(settlement.merchant_id, settlement.id, by=maker.id)
    rung.clear()
    clock.move(seconds=61)

    jobs.sweep()

    assert rung == [("workers.settlement.execute", settlement.merchant_id, settlement.id)]
    jobs.execute(*rung[0][1:])
    db.session.refresh(settlement)
    assert settlement.state == "closed"


def test_files_of_others_do_not_exist(settlement, maker, merchant):
    executed(settlement, maker)
    other = a_settlement(merchant, maker)
    file = files_of(settlement)[0]

    with pytest.raises(NotFound):
        queries.file((merchant.id, other.id), (merchant.id, file.id))
