"""Withholding reckoned with each table: examples worked out by hand from the texts they cite."""

from datetime import date

import pytest

from affiliate.tax import tables
from affiliate.tax.rules import months_in_a_row, reckon
from affiliate.tax.tables import TABLES, fitting


def table(code):
    return next(each for each in TABLES if each.code == code)


@pytest.mark.parametrize(
    ("income", "months", "base", "tax"),
    [
        pytest.param(6_250_00, 1, 0, 0, id="80% of it is the allowance"),
        pytest.param(10_000_00, 1, 3_000_00, 90_00, id="(10 000 × 0.8 - 5 000) × 3%"),
        pytest.param(20_000_00, 2, 6_000_00, 180_00, id="the same in the second month"),
        pytest.param(51_250_00, 1, 36_000_00, 1_080_00, id="the end of the first bracket"),
        pytest.param(100_000_00, 1, 75_000_00, 4_980_00, id="75 000 × 10% - 2 520"),
        pytest.param(2_000_000_00, 1, 1_595_000_00, 535_830_00, id="the last bracket"),
    ],
)  # fmt: skip
def test_china_platforms_add_up_the_year(income, months, base, tax):
    found = reckon(table("cn-platform-2025-10"), income, months)

    assert (found.base, found.tax) == (base, tax)


@pytest.mark.parametrize(
    ("income", "tax"),
    [
        pytest.param(800_00, 0, id="the cost of 800"),
        pytest.param(3_000_00, 440_00, id="(3 000 - 800) × 20%"),
        pytest.param(4_000_00, 640_00, id="where both costs are the same"),
        pytest.param(30_000_00, 5_200_00, id="24 000 × 30% - 2 000"),
        pytest.param(100_000_00, 25_000_00, id="80 000 × 40% - 7 000"),
    ],
)
def test_china_labour_income_of_a_month(income, tax):
    assert reckon(table("cn-labour-2019"), income).tax == tax


@pytest.mark.parametrize(
    ("income", "before", "now"),
    [
        pytest.param(3_036_00, 0, 0, id="nothing is left to tax"),
        pytest.param(5_000_00, 312_89, 0, id="exempt since 2026"),
        pytest.param(6_000_00, 574_29, 394_54, id="574.29 - (978.62 - 0.133145 × 6 000)"),
        pytest.param(7_350_00, 945_54, 945_54, id="the end of the reduction"),
        pytest.param(10_000_00, 1_674_29, 1_674_29, id="9 392.80 × 27.5% - 908.73"),
    ],
)  # fmt: skip
def test_brazil_before_and_after_the_reduction(income, before, now):
    assert reckon(table("br-irrf-2025-05"), income).tax == before
    assert reckon(table("br-irrf-2026"), income).tax == now


@pytest.mark.parametrize(("income", "tax"), [(666_66, 0), (667_00, 10_01), (1_000_00, 15_00)])
def test_brazil_companies_pay_nothing_of_ten_reais_or_less(income, tax):
    assert reckon(table("br-commissions-1995"), income).tax == tax


def test_mexico_takes_its_shares_of_what_is_paid_without_vat():
    paid = 1_160_00  # 1 000 and 160 of VAT

    assert reckon(table("mx-isr-fees-2014"), paid).tax == 100_00
    assert reckon(table("mx-iva-fees-2014"), paid).tax == 106_67
    assert reckon(table("mx-isr-resico-2022"), paid).tax == 12_50
    assert reckon(table("mx-isr-platform-2026"), paid).tax == 25_00
    assert reckon(table("mx-iva-platform-2020"), paid).tax == 80_00
    assert reckon(table("mx-isr-no-rfc-2020"), paid).tax == 200_00
    assert reckon(table("mx-iva-no-rfc-2020"), paid).tax == 160_00


def test_half_a_cent_counts_as_one():
    assert reckon(table("us-backup-2018"), 10_000).tax == 2_400
    assert reckon(table("us-backup-2018"), 2).tax == 0  # 0.48
    assert reckon(table("us-backup-2018"), 3).tax == 1  # 0.72


@pytest.mark.parametrize(
    ("scheme", "person", "regime", "has_id", "on", "codes"),
    [
        ("cn_platform", "individual", "general", True, date(2025, 9, 30), []),
        ("cn_platform", "individual", "general", True, date(2025, 10, 1), ["cn-platform-2025-10"]),
        ("cn_platform", "company", "general", True, date(2026, 1, 1), []),
        ("br_irrf", "individual", "general", True, date(2025, 12, 31), ["br-irrf-2025-05"]),
        ("br_irrf", "individual", "general", True, date(2026, 1, 1), ["br-irrf-2026"]),
        ("br_irrf", "company", "simples", True, date(2026, 1, 1), []),
        ("us_backup", "company", "general", True, date(2026, 1, 1), []),
        ("us_backup", "company", "general", False, date(2026, 1, 1), ["us-backup-2018"]),
        ("mx_fees", "individual", "resico", True, date(2026, 1, 1),
         ["mx-isr-resico-2022", "mx-iva-fees-2014"]),
    ],
)  # fmt: skip
def test_a_table_holds_from_its_first_to_its_last_day(scheme, person, regime, has_id, on, codes):
    found = fitting(scheme, person=person, regime=regime, has_id=has_id, on=on)

    assert [each.code for each in found] == codes


def test_no_two_tables_of_a_tax_hold_for_the_same_payee_on_a_day():
    days = {day for each in TABLES for day in (each.since, each.until) if day}
    for scheme, on in ((scheme, on) for scheme in tables.SCHEMES for on in days):
        for person in tables.PERSONS:
            for regime in tables.regimes(tables.SCHEMES[scheme].country):
                for has_id in (True, False):
                    found = fitting(scheme, person=person, regime=regime, has_id=has_id, on=on)
                    taxes = [each.tax for each in found]
                    assert len(taxes) == len(set(taxes)), f"{scheme} {person} {regime} {on}"


def test_every_table_has_a_source_and_a_code_of_its_own():
    assert all(each.source and each.scheme in tables.SCHEMES for each in TABLES)
    assert len({each.code for each in TABLES}) == len(TABLES)


def test_months_count_while_there_is_no_gap():
    months = {date(2026, 1, 1), date(2026, 3, 1), date(2026, 4, 1), date(2025, 12, 1)}

    assert months_in_a_row(date(2026, 5, 1), months) == 3
    assert months_in_a_row(date(2026, 7, 1), months) == 1
    assert months_in_a_row(date(2026, 1, 1), months) == 1
