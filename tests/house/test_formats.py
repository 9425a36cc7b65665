"""Amounts, rates and times as each reader writes them, and as each types them."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from affiliate import formats, i18n
from affiliate.formats import NotANumber
from affiliate.money import Money
from tests.reading import reading

NBSP = "\N{NO-BREAK SPACE}"


def read(app, lang, write, zone=None):
    with reading(app, lang):
        i18n.person(locale=None, timezone=zone)
        return write().replace(NBSP, " ")


@pytest.mark.parametrize(
    ("lang", "money", "text"),
    [
        ("en", Money(123456, "USD"), "1,234.56 USD"),
        ("zh-Hans", Money(512033870, "CNY"), "5,120,338.70 CNY"),
        ("pt-BR", Money(123456, "BRL"), "1.234,56 BRL"),
        ("es", Money(123456, "MXN"), "1,234.56 MXN"),
        ("es-MX", Money(123456, "MXN"), "1,234.56 MXN"),
        ("es-AR", Money(1234567, "ARS"), "12.345,67 ARS"),
        ("pt-BR", Money(-5, "BRL"), "−0,05 BRL"),
        ("es", Money(9990, "CLP"), "9,990 CLP"),
        ("en", Money(12345, "KWD"), "12.345 KWD"),
        ("en", Money(1500, "IQD"), "1.500 IQD"),  # CLDR would show no digits
    ],
)
def test_money_has_the_digits_of_iso_and_always_its_currency(app, lang, money, text):
    assert read(app, lang, lambda: formats.money(money)) == text


@pytest.mark.parametrize(
    ("lang", "money", "text"),
    [
        ("zh-Hans", Money(2398, "CNY"), "¥23.98"),
        ("zh-Hans", Money(500, "JPY"), "JP¥500"),
        ("en", Money(2398, "CNY"), "CN¥23.98"),
        ("pt-BR", Money(2398, "BRL"), "R$ 23,98"),
        ("es-MX", Money(2398, "MXN"), "$23.98"),
        ("es-MX", Money(2398, "ARS"), "23.98 ARS"),
        ("es-AR", Money(2398, "ARS"), "$23,98"),
        ("es-AR", Money(2398, "MXN"), "23,98 MXN"),
        ("pt-BR", Money(-2398, "BRL"), "−R$ 23,98"),
    ],
)
def test_a_price_has_the_readers_symbol_where_nobody_can_mistake_it(app, lang, money, text):
    assert read(app, lang, lambda: formats.price(money)) == text


@pytest.mark.parametrize(
    ("lang", "rate", "text"),
    [("en", 120_000, "12%"), ("pt-BR", 125_000, "12,5%"), ("zh-Hans", 33, "0.0033%")],
)
def test_rates_are_percent(app, lang, rate, text):
    assert read(app, lang, lambda: formats.ppm(rate)) == text


@pytest.mark.parametrize(
    ("lang", "rate", "text"),
    [
        ("en", "5.4321000000", "5.4321"),
        ("pt-BR", "0.0000012345", "0,0000012345"),
        ("en", "1000.0000000000", "1,000"),
    ],
)
def test_rates_of_exchange_keep_their_digits(app, lang, rate, text):
    assert read(app, lang, lambda: formats.exchange_rate(Decimal(rate))) == text


def test_times_are_the_readers_own(app):
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)

    assert read(app, "zh-Hans", lambda: formats.day(late), "Asia/Shanghai") == "2026年11月23日"
    assert (
        read(app, "pt-BR", lambda: formats.day(late), "America/Sao_Paulo") == "22 de nov. de 2026"
    )
    assert read(app, "es", lambda: formats.day(date(2026, 11, 22))) == "22 nov 2026"
    shown = read(app, "es", lambda: formats.instant(late), "America/Mexico_City")
    assert shown.startswith("22 nov 2026 5:30")


def test_ago_looks_both_ways(app, clock):
    clock.stand("2026-11-23T12:00:00Z")

    assert (
        read(app, "en", lambda: formats.ago(datetime(2026, 11, 23, 9, tzinfo=UTC))) == "3 hours ago"
    )
    assert (
        read(app, "es", lambda: formats.ago(datetime(2026, 11, 25, 12, tzinfo=UTC)))
        == "dentro de 2 días"
    )


@pytest.mark.parametrize(
    ("lang", "text", "minor"),
    [
        ("pt-BR", "1.234,56", 123456),
        ("pt-BR", " 1234,5 ", 123450),
        ("en", "1,234.56", 123456),
        ("zh-Hans", "１２．５", 1250),  # full-width digits of a Chinese keyboard
        ("es-AR", "0,01", 1),
        ("en", "-3", -300),
    ],
)
def test_an_amount_is_understood_as_its_writer_means_it(app, lang, text, minor):
    with reading(app, lang):
        assert formats.typed_minor(text, "BRL") == minor


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("pt-BR", "12.5"),  # twelve and a half, or a hundred and twenty-five? Not guessed.
        ("en", "1,23"),
        ("en", "1.234"),
        ("en", ""),
        ("en", "abc"),
        ("en", "😀"),
        ("en", "9" * 40),
        ("en", "1e5"),
        ("en", "NaN"),
        ("en", "Infinity"),
    ],
)
def test_what_could_be_misunderstood_is_refused_with_an_example(app, lang, text):
    with reading(app, lang), pytest.raises(NotANumber) as refusal:
        formats.typed_minor(text, "BRL")

    assert str(refusal.value.message)


def test_a_rate_is_between_nothing_and_everything(app):
    with reading(app, "pt-BR"):
        assert formats.typed_ppm("12,5 %") == 125_000
        assert formats.typed_ppm("100") == 1_000_000
        for wrong in ("101", "-1", "0,00001"):
            with pytest.raises(NotANumber):
                formats.typed_ppm(wrong)
