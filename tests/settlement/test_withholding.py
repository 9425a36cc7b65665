"""Tax kept back of payouts: reckoned when they are built, booked when they are paid, and what
becomes of it when they come back.
"""

from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from affiliate.db import db, unit_of_work
from affiliate.ledger.models import Kind
from affiliate.ledger.verify import verify
from affiliate.payouts import service as payouts
from affiliate.payouts.models import PayoutWithholding
from affiliate.people.models import Merchant
from affiliate.settlement import queries, service
from affiliate.tax import profiles
from tests.factories.people import a_merchant, a_promoter
from tests.factories.settlement import (
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
)
from tests.settlement.test_life import balance, paid

CPF, CNPJ, RIC = "52998224725", "11222333000181", "11010519491231002X"


def a_taxed(merchant, scheme="br_irrf"):
    with unit_of_work():
        db.session.get_one(Merchant, merchant.id).withholding = scheme


def says(promoter, **fields):
    given = {"country": "BR", "person": "individual", "tax_id": CPF} | fields
    with unit_of_work():
        return profiles.say("promoter", promoter.id, **given)


def lines_of(payout):
    return db.session.scalars(
        sa.select(PayoutWithholding)
        .filter_by(merchant_id=payout.merchant_id, payout_id=payout.id)
        .order_by(PayoutWithholding.tax)
    ).all()


def a_payout(merchant, promoter, maker, amount, **fields):
    with unit_of_work():
        an_entry(merchant, promoter, amount, **fields)
    (payout,) = payouts_of(a_settlement(merchant, maker))
    return payout


def carried(settlement):
    found = queries.carried_over([settlement])[settlement.id]
    return [(each.reason, each.currency, each.amount) for each in found]


@pytest.fixture
def us(clean_books):
    """A merchant that withholds, and a payee without a tax number."""
    with unit_of_work():
        merchant = a_merchant(country="US", currency="USD", timezone="America/New_York")
        payee = a_promoter(country="US")
        an_account(payee, currency="USD")
    a_taxed(merchant, "us_backup")
    says(payee, country="US", tax_id=None)
    return merchant, payee


@pytest.fixture
def china(clean_books):
    with unit_of_work():
        merchant = a_merchant(country="CN", currency="CNY", timezone="Asia/Shanghai")
        payee = a_promoter(country="CN")
        an_account(payee, currency="CNY")
    a_taxed(merchant, "cn_platform")
    says(payee, country="CN", tax_id=RIC)
    return merchant, payee


def test_nothing_is_withheld_until_somebody_chooses_a_scheme(merchant, promoter, maker):
    says(promoter)

    payout = a_payout(merchant, promoter, maker, 10_000_00)

    assert (payout.withheld, payout.net, lines_of(payout)) == (0, 10_000_00, [])


def test_a_payout_says_what_is_kept_back_and_by_which_table(merchant, promoter, maker, checker):
    a_taxed(merchant)
    profile = says(promoter)

    payout = a_payout(merchant, promoter, maker, 10_000_00)

    assert (payout.gross, payout.withheld, payout.net) == (10_000_00, 1_674_29, 8_325_71)
    (line,) = lines_of(payout)
    assert (line.tax, line.table_code, line.profile_id) == ("irrf", "br-irrf-2026", profile.id)
    assert (line.income, line.base, line.ppm, line.amount) == (
        10_000_00, 9_392_80, 275_000, 1_674_29,
    )  # fmt: skip
    executed(approved(_settlement(payout), checker), maker)
    paid(payout, maker, reference="B1")
    assert balance(merchant, Kind.TAX) == 1_674_29
    assert balance(merchant, Kind.CLEARING) == 8_325_71


def test_the_payouts_of_a_month_count_together(merchant, promoter, maker):
    a_taxed(merchant)
    says(promoter)
    first = a_payout(merchant, promoter, maker, 5_000_00)

    second = a_payout(merchant, promoter, maker, 5_000_00)

    assert (first.withheld, second.withheld) == (0, 1_674_29)
    assert lines_of(second)[0].cumulative == 10_000_00


@pytest.mark.parametrize("end", ["failed", "cancelled", "discarded"])
def test_a_payout_that_was_never_paid_does_not_count(merchant, promoter, maker, checker, end):
    a_taxed(merchant)
    says(promoter)
    first = a_payout(merchant, promoter, maker, 5_000_00)
    settlement = _settlement(first)
    if end == "discarded":
        with unit_of_work():
            service.discard(merchant.id, settlement.id, by=maker.id)
    else:
        approved(settlement, checker)
        if end == "failed":
            executed(settlement, maker)
        verb = {"failed": payouts.mark_failed, "cancelled": service.cancel_payout}[end]
        with unit_of_work():
            verb(merchant.id, first.id, by=maker.id, reason="no")

    (again,) = payouts_of(a_settlement(merchant, maker))

    assert (again.gross, again.withheld) == (5_000_00, 0)
    assert lines_of(again)[0].cumulative == 5_000_00


def test_the_year_of_a_chinese_platform_adds_up(china, maker, clock):
    merchant, payee = china
    found = []
    for month in (1, 2, 3):
        clock.stand(datetime(2027, month, 10, tzinfo=UTC))
        found.append(a_payout(merchant, payee, maker, 10_000_00, currency="CNY"))
    clock.stand(datetime(2028, 1, 10, tzinfo=UTC))
    found.append(a_payout(merchant, payee, maker, 20_000_00, currency="CNY"))

    assert [each.withheld for each in found] == [90_00, 90_00, 90_00, 330_00]
    assert [lines_of(each)[0].cumulative for each in found] == [
        10_000_00, 20_000_00, 30_000_00, 20_000_00,
    ]  # fmt: skip


def test_a_year_ends_where_the_merchant_is(china, maker, clock):
    merchant, payee = china
    clock.stand(datetime(2027, 12, 31, 15, 59, tzinfo=UTC))
    last = a_payout(merchant, payee, maker, 10_000_00, currency="CNY")
    clock.stand(datetime(2027, 12, 31, 16, 0, tzinfo=UTC))  # midnight in Shanghai
    first = a_payout(merchant, payee, maker, 10_000_00, currency="CNY")

    assert lines_of(last)[0].month == date(2027, 12, 1)
    assert lines_of(first)[0].month == date(2028, 1, 1)
    assert lines_of(first)[0].cumulative == 10_000_00


def test_two_payouts_in_one_chunk_count_one_after_the_other(china, maker):
    merchant, payee = china
    with unit_of_work():
        an_account(payee, currency="USD")
        an_entry(merchant, payee, 10_000_00)
        an_entry(merchant, payee, 10_000_00, currency="CNY")
        an_entry(merchant, payee, 1_000_00, currency="USD")
        from affiliate.fx import service as fx

        fx.import_csv("date,base,quote,rate,source\n2026-11-29,USD,CNY,7.00,test", by=None)

    found = payouts_of(a_settlement(merchant, maker))

    by_currency = {each.currency: each for each in found}
    assert set(by_currency) == {"CNY", "USD"}
    assert by_currency["CNY"].withheld == 90_00
    (line,) = lines_of(by_currency["USD"])
    assert (line.currency, line.income, line.cumulative) == ("CNY", 7_000_00, 17_000_00)
    assert line.due == 168_00  # (17 000 × 0.8 - 5 000) × 3% - 90
    assert line.amount == 24_00
    assert line.rate_id is not None


def test_without_a_rate_of_these_days_it_waits(china, maker):
    merchant, payee = china
    with unit_of_work():
        an_account(payee, currency="USD")
        an_entry(merchant, payee, 500_00, currency="USD")

    settlement = a_settlement(merchant, maker)

    assert payouts_of(settlement) == []
    assert carried(settlement) == [("no_exchange_rate", "USD", 500_00)]


def test_who_said_nothing_to_a_merchant_that_withholds_waits(merchant, promoter, maker):
    a_taxed(merchant)
    with unit_of_work():
        an_entry(merchant, promoter, 500_00)

    settlement = a_settlement(merchant, maker)

    assert carried(settlement) == [("tax_profile_missing", "BRL", 500_00)]
    says(promoter, tax_id=None)
    assert carried(a_settlement(merchant, maker)) == [("tax_profile_missing", "BRL", 500_00)]
    says(promoter)
    assert [each.gross for each in payouts_of(a_settlement(merchant, maker))] == [500_00]


def test_who_is_at_home_elsewhere_is_paid_in_full(merchant, promoter, maker):
    a_taxed(merchant)
    says(promoter, country="PT", tax_id=None)

    assert a_payout(merchant, promoter, maker, 10_000_00).withheld == 0


def test_backup_withholding_ends_with_a_tax_number(us, maker):
    merchant, payee = us
    without = a_payout(merchant, payee, maker, 100_00, currency="USD")
    says(payee, country="US", tax_id="536-90-4399")

    given = a_payout(merchant, payee, maker, 100_00, currency="USD")
    with unit_of_work():
        profiles.set_status(profiles.live("promoter", payee.id).id, "refused", by=maker.id)
    refused = a_payout(merchant, payee, maker, 100_00, currency="USD")

    assert [each.withheld for each in (without, given, refused)] == [24_00, 0, 24_00]


def test_the_hash_of_an_approval_is_about_the_tax_too(us, maker):
    merchant, payee = us
    payout = a_payout(merchant, payee, maker, 100_00, currency="USD")

    (line, *_) = [each for each in queries.canonical_lines(_settlement(payout)) if "payout" in each]
    assert " 10000 2400 7600 entries" in line


# --- what came back --------------------------------------------------------------------------


def a_paid(merchant, payee, maker, checker, amount):
    payout = a_payout(merchant, payee, maker, amount, currency="USD")
    executed(approved(_settlement(payout), checker), maker)
    return paid(payout, maker, reference=f"B{payout.id}")


def returned(payout, maker):
    with unit_of_work():
        return payouts.mark_returned(payout.merchant_id, payout.id, by=maker.id, reason="closed")


@pytest.fixture
def remitted(clock, maker):
    def remit(merchant, amount):
        clock.stand("2026-12-05T12:00:00Z")
        with unit_of_work():
            return payouts.remit(
                merchant.id, "USD", date(2026, 11, 1), amount=amount, reference="EFTPS 1",
                by=maker.id,
            )  # fmt: skip

    clock.stand("2026-11-30T12:00:00Z")
    return remit


def test_tax_of_a_returned_payout_goes_back_while_it_is_here(us, maker, checker):
    merchant, payee = us
    payout = a_paid(merchant, payee, maker, checker, 100_00)

    returned(payout, maker)

    assert balance(merchant, Kind.TAX, currency="USD") == 0
    assert balance(merchant, Kind.AVAILABLE, currency="USD") == 100_00
    (again,) = payouts_of(a_settlement(merchant, maker))
    assert (again.gross, again.withheld, again.credited) == (100_00, 24_00, 0)


def test_tax_that_was_remitted_counts_for_the_next_payout(us, maker, checker, remitted):
    merchant, payee = us
    payout = a_paid(merchant, payee, maker, checker, 100_00)
    remitted(merchant, 24_00)
    assert balance(merchant, Kind.TAX, currency="USD") == 0

    returned(payout, maker)

    assert balance(merchant, Kind.AVAILABLE, currency="USD") == 76_00
    with unit_of_work():
        an_entry(merchant, payee, 50_00, currency="USD")
    settlement = a_settlement(merchant, maker)
    (again,) = payouts_of(settlement)
    assert (again.gross, again.withheld, again.credited) == (150_00, 36_00, 24_00)
    assert balance(merchant, Kind.AVAILABLE, currency="USD") == 0
    assert verify().breaches == []
    executed(approved(settlement, checker), maker)
    paid(again, maker, reference="B9")
    assert balance(merchant, Kind.TAX, currency="USD") == 12_00
    assert balance(merchant, Kind.RESERVED, currency="USD") == 0
    third = a_payout(merchant, payee, maker, 100_00, currency="USD")
    assert (third.withheld, third.credited) == (24_00, 0)


def test_it_counts_also_where_nothing_would_be_withheld(us, maker, checker, remitted):
    merchant, payee = us
    payout = a_paid(merchant, payee, maker, checker, 100_00)
    remitted(merchant, 24_00)
    returned(payout, maker)
    says(payee, country="US", tax_id="536-90-4399")

    (again,) = payouts_of(a_settlement(merchant, maker))

    assert (again.gross, again.withheld, again.credited, again.net) == (
        100_00, 24_00, 24_00, 76_00,
    )  # fmt: skip
    assert [(line.table_code, line.amount) for line in lines_of(again)] == [("credit", 24_00)]


@pytest.mark.parametrize("end", ["failed", "returned", "discarded"])
def test_a_credit_is_there_again_when_its_payout_ends_so(us, maker, checker, end, remitted):
    merchant, payee = us
    payout = a_paid(merchant, payee, maker, checker, 100_00)
    remitted(merchant, 24_00)
    returned(payout, maker)
    settlement = a_settlement(merchant, maker)
    (second,) = payouts_of(settlement)
    if end == "discarded":
        with unit_of_work():
            service.discard(merchant.id, settlement.id, by=maker.id)
    else:
        executed(approved(settlement, checker), maker)
        if end == "failed":
            with unit_of_work():
                payouts.mark_failed(merchant.id, second.id, by=maker.id, reason="no")
        else:
            returned(paid(second, maker, reference="B7"), maker)
    assert verify().breaches == []

    (third,) = payouts_of(a_settlement(merchant, maker))

    assert (third.gross, third.withheld, third.credited) == (100_00, 24_00, 24_00)


def test_what_the_authority_has_is_no_money_to_pay(us, maker, checker, remitted):
    merchant, payee = us
    payout = a_paid(merchant, payee, maker, checker, 100_00)
    remitted(merchant, 24_00)
    returned(payout, maker)
    with unit_of_work():
        an_entry(merchant, payee, -90_00, currency="USD")

    settlement = a_settlement(merchant, maker)

    assert payouts_of(settlement) == []
    assert carried(settlement) == [("negative", "USD", -14_00)]


def test_a_withdrawal_takes_the_credit_along(us, maker, checker, remitted):
    merchant, payee = us
    payout = a_paid(merchant, payee, maker, checker, 100_00)
    remitted(merchant, 24_00)
    returned(payout, maker)
    with unit_of_work():
        db.session.get_one(Merchant, merchant.id).payout_mode = "on_request"
        asked = payouts.withdraw(merchant.id, ("promoter", payee.id), "USD", by=maker.id)
    assert (asked.amount, asked.credited) == (100_00, 24_00)
    assert balance(merchant, Kind.RESERVED, currency="USD") == 76_00
    with unit_of_work():
        payouts.refuse(merchant.id, asked.id, by=maker.id, reason="no")
    assert balance(merchant, Kind.AVAILABLE, currency="USD") == 76_00
    with unit_of_work():
        payouts.withdraw(merchant.id, ("promoter", payee.id), "USD", by=maker.id)

    settlement = a_settlement(merchant, maker)

    (again,) = payouts_of(settlement)
    assert (again.withheld, again.credited, again.net) == (24_00, 24_00, 76_00)
    executed(approved(settlement, checker), maker)
    paid(again, maker, reference="B8")
    assert balance(merchant, Kind.RESERVED, currency="USD") == 0


# --- what the database refuses ---------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payout_withholdings SET amount = amount + 1",
        "DELETE FROM payout_withholdings",
        "UPDATE payouts SET credited = 1",
        "UPDATE tax_profiles SET country = 'PT'",
        "UPDATE payouts SET remittance_id = 1",  # not paid yet
    ],
)
def test_the_database_keeps_what_was_withheld(us, maker, statement):
    merchant, payee = us
    a_payout(merchant, payee, maker, 100_00, currency="USD")

    with pytest.raises(sa.exc.DBAPIError), db.session.begin_nested():
        db.session.execute(sa.text(statement))


def test_verify_names_a_payout_whose_lines_say_otherwise(us, maker):
    merchant, payee = us
    payout = a_payout(merchant, payee, maker, 100_00, currency="USD")
    with db.session.begin_nested() as undone:
        db.session.execute(sa.text("ALTER TABLE payout_withholdings DISABLE TRIGGER USER"))
        db.session.execute(sa.text("UPDATE payout_withholdings SET amount = amount - 1"))
        found = verify().breaches
        undone.rollback()

    assert [(each.check, each.row.split()[0]) for each in found] == [
        ("withholdings", f"payout:{payout.id}")
    ]


def _settlement(payout):
    from affiliate.settlement.models import Settlement

    return db.session.get_one(Settlement, (payout.merchant_id, payout.settlement_id))
