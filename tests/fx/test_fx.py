"""Rates of exchange: imported as tables are saved, never changed, shown with their day."""

from datetime import date

import pytest

from affiliate.db import unit_of_work
from affiliate.errors import Invalid
from affiliate.fx import service as fx

HEAD = "date,base,quote,rate,source\n"


def taken(text):
    with unit_of_work():
        return fx.import_csv(text, by=None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEAD + "2026-11-27,USD,BRL,5.40,BCB PTAX", id="plain"),
        pytest.param("\ufeff" + HEAD + "2026-11-27,USD,BRL,5.40,BCB PTAX\r\n", id="with a mark"),
        pytest.param(
            (HEAD + "2026-11-27,USD,BRL,5.40,BCB PTAX").replace(",", ";").encode("utf-8-sig"),
            id="semicolons",
        ),
        pytest.param("Date;Base;Quote;Rate;Source\n2026-11-27;usd;brl;5,40;BCB PTAX", id="comma"),
    ],
)
def test_a_file_is_taken_once(database, text):
    assert taken(text) == fx.Report(1, 0)
    assert taken(text) == fx.Report(0, 1)

    found = fx.find("USD", "BRL", date(2026, 11, 30))
    assert (found.day, found.source) == (date(2026, 11, 27), "BCB PTAX")
    assert found.of(10_00) == 54_00


def test_a_rate_is_never_changed(database):
    taken(HEAD + "2026-11-27,USD,BRL,5.40,BCB")

    with pytest.raises(fx.RateTaken):
        taken(HEAD + "2026-11-26,USD,BRL,5.30,BCB\n2026-11-27,USD,BRL,5.41,BCB")

    assert fx.find("USD", "BRL", date(2026, 11, 26)) is None  # all or nothing


@pytest.mark.parametrize(
    "row",
    [
        "2026-11-27,USD,XXQ,5.40,BCB", "2026-11-27,USD,USD,1,BCB", "27/11/2026,USD,BRL,5.40,BCB",
        "2026-11-27,USD,BRL,0,BCB", "2026-11-27,USD,BRL,-1,BCB", "2026-11-27,USD,BRL,NaN,BCB",
        "2026-11-27,USD,BRL,1e20,BCB", "2026-11-27,USD,BRL,5.40,", "2026-11-27,USD,BRL,abc,BCB",
        "2026-11-27,USD,BRL,0.00000000001,BCB", "2026-11-27,USD",
        "2026-11-27,USD,BRL,5.40,A\n2026-11-27,USD,BRL,5.41,A",
    ],
)  # fmt: skip
def test_a_bad_row_is_named_and_nothing_taken(database, row):
    with pytest.raises(Invalid) as refused:
        taken(HEAD + "2026-11-26,EUR,BRL,6.10,BCB\n" + row)

    assert refused.value.errors
    assert fx.find("EUR", "BRL", date(2026, 11, 30)) is None


@pytest.mark.parametrize("text", ["", "a,b\n1,2", HEAD, b"\xff\xfe"])
def test_what_is_no_such_table_is_refused(database, text):
    with pytest.raises(Invalid):
        taken(text)


def test_a_sum_says_by_which_rates_and_what_it_left_out(database):
    taken(HEAD + "2026-11-27,USD,BRL,5.40,BCB\n2026-11-20,BRL,JPY,28.5,BCB")

    shown = fx.total(
        [(100_00, "BRL"), (10_00, "USD"), (2850, "JPY"), (-10_00, "USD"), (5, "KWD")], "BRL",
        date(2026, 11, 30),
    )  # fmt: skip

    assert shown.amount == 200_00
    assert shown.rates.keys() == {"USD", "JPY"}
    assert (shown.missing, shown.day) == (("KWD",), date(2026, 11, 20))


def test_digits_of_both_currencies_count(database):
    taken(HEAD + "2026-11-27,KWD,JPY,500,X")

    assert fx.find("KWD", "JPY", date(2026, 11, 27)).of(1_000) == 500  # one dinar has three digits
    assert fx.find("JPY", "KWD", date(2026, 11, 27)).of(500) == 1_000
    assert fx.find("JPY", "KWD", date(2026, 11, 27)).of(-500) == -1_000


def test_the_last_rate_before_a_day_is_taken(database):
    taken(HEAD + "2026-11-20,USD,BRL,5.20,X\n2026-11-27,USD,BRL,5.40,X")

    assert fx.find("USD", "BRL", date(2026, 11, 26)).of(100) == 520
    assert fx.find("USD", "BRL", date(2026, 11, 19)) is None
    assert fx.find("USD", "BRL", date(2026, 12, 31), oldest=date(2026, 12, 1)) is None


@pytest.mark.parametrize("broken", ["\x00", "x" * 200_000, "\x00" * 3 + "\n"])
def test_what_is_no_csv_is_refused_and_nothing_is_taken(database, broken):
    with pytest.raises(Invalid):
        taken(HEAD + "2026-11-27,USD,BRL,5.40," + broken)

    assert fx.find("USD", "BRL", date(2026, 11, 30)) is None
