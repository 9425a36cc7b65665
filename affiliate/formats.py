"""How amounts, rates and times are written for the reader, and read from what a person types.

Money is written as number and ISO code, so that pesos of four countries in one table cannot be
mistaken; digits come from ISO 4217. `price` has the local symbol, for goods in one currency.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from babel import dates, numbers
from flask import Flask
from jinja2 import pass_context
from jinja2.runtime import Context

from affiliate import clock, i18n
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.money import PPM, BadAmount, Money, decimal_text, exponent, minor

NBSP = "\N{NO-BREAK SPACE}"
PLAIN_NUMBER = re.compile(r"[+-]?[\d.,]{1,40}")
MINUS = "\N{MINUS SIGN}"


class NotANumber(AffiliateError):
    """A person typed something that is no number the way their language writes it."""

    status = 422
    code = "not_a_number"


def init_app(app: Flask) -> None:
    for each in (
        number,
        exchange_rate,
        amount,
        money,
        price,
        plain_amount,
        tenths,
        ppm,
        day,
        short_day,
        month,
        instant,
        instant_there,
        ago,
        seconds,
    ):
        app.jinja_env.filters[each.__name__] = _late(each)


def _late(written: Callable[..., Any]) -> Callable[..., Any]:
    """Asked for the context, Jinja does not write a constant once, for its first reader's eyes."""

    @pass_context
    def late(_context: Context, *arguments: Any) -> Any:
        return written(*arguments)

    return late


def number(value: int | Decimal) -> str:
    return numbers.format_decimal(value, locale=i18n.locale())


def exchange_rate(value: Decimal) -> str:
    """With all its digits: `number` would keep three."""
    exact = value.normalize()
    return numbers.format_decimal(exact, locale=i18n.locale(), decimal_quantization=False)


def amount(value: Money | int, currency: str | None = None) -> str:
    """The number alone: `Money(123456, "BRL")` → "1.234,56" for a Brazilian."""
    given = _money(value, currency)
    digits = exponent(given.currency)
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    written = numbers.format_decimal(
        Decimal(given.minor).scaleb(-digits), format=pattern, locale=i18n.locale()
    )
    return written.replace("-", MINUS)


def money(value: Money | int, currency: str | None = None) -> str:
    """Number and code, for sentences; components/money.html has the same for pages."""
    given = _money(value, currency)
    return f"{amount(given)}{NBSP}{given.currency}"


def price(value: Money | int, currency: str | None = None) -> str:
    """With the reader's symbol where they have one; CLDR gives no two currencies the same."""
    given = _money(value, currency)
    symbol = numbers.get_currency_symbol(given.currency, locale=i18n.locale())
    if symbol == given.currency:
        return money(given)
    sign = MINUS if given.minor < 0 else ""
    space = NBSP if NBSP in i18n.locale().currency_formats["standard"].pattern else ""
    return f"{sign}{symbol}{space}{amount(abs(given.minor), given.currency)}"


def plain_amount(value: Money) -> str:
    """For machines: "199.90" for every reader."""
    return decimal_text(value.minor, value.currency)


def tenths(value: tuple[int, int]) -> str:
    """(4, 6) → "4.6"."""
    whole, tenth = value
    return numbers.format_decimal(Decimal(whole * 10 + tenth) / 10, "0.0", locale=i18n.locale())


def ppm(rate: int, decimals: int = 4) -> str:
    """A rate in parts per million as percent: 125000 → "12.5%"."""
    digits = "#,##0." + "#" * decimals
    pattern = i18n.locale().percent_formats[None].pattern.replace("#,##0", digits)
    return numbers.format_percent(Decimal(rate) / PPM, format=pattern, locale=i18n.locale())


def day(value: date | datetime) -> str:
    """A datetime counts as the day it is for the reader."""
    here = value.astimezone(i18n.zone()).date() if isinstance(value, datetime) else value
    return dates.format_date(here, "medium", locale=i18n.locale())


def short_day(value: datetime) -> str:
    """Without the year, where that is this one or nearly: "Dec 14"."""
    if abs(value - clock.now()) > timedelta(days=300):
        return day(value)
    here = value.astimezone(i18n.zone())
    return dates.format_skeleton("MMMd", here, locale=i18n.locale())


def month(value: date) -> str:
    """ "October 2026"."""
    return dates.format_skeleton("yMMMM", value, locale=i18n.locale())


def days(first: date, last: date) -> str:
    """A period, as short as can be: "Oct 1 – 31, 2026"."""
    return dates.format_interval(first, last, "yMMMd", locale=i18n.locale())


def instant(value: datetime) -> str:
    here = value.astimezone(i18n.zone())
    clock_time = dates.format_time(here, "short", locale=i18n.locale())
    return f"{day(value)} {clock_time}"


def instant_there(value: datetime) -> str:
    """With its zone, for readers who may be elsewhere: "Nov 30, 2026 11:59 PM GMT−03:00"."""
    here = value.astimezone(i18n.zone())
    zone = dates.get_timezone_gmt(here, "long", locale=i18n.locale())
    return f"{instant(value)} {zone.replace('-', MINUS)}"


def ago(value: datetime) -> str:
    """ "3 hours ago", also "in 2 days"."""
    return dates.format_timedelta(
        value - clock.now(), add_direction=True, locale=i18n.locale(), threshold=1
    )


def seconds(value: date | datetime) -> int:
    """Since 1970, for charts; a bare date is its noon, so that no zone moves it to another day."""
    at = value if isinstance(value, datetime) else datetime.combine(value, time(12), UTC)
    return int(at.timestamp())


def typed_minor(text: str, currency: str) -> int:
    """Minor units from what a person typed: "1.234,56" is right for a Brazilian and "1234.5" is
    not understood, rather than taken for twelve thousand."""
    try:
        return minor(_typed(text), currency)
    except BadAmount as error:
        raise NotANumber(
            _("%(currency)s has no more than %(digits)s decimals.",
              currency=currency, digits=exponent(currency))
            if error.code == "too_many_decimals"
            else _("This amount is larger than anything we accept.")
        ) from error  # fmt: skip


def typed_ppm(text: str) -> int:
    """A rate from what a person typed: "12,5 %" → 125000."""
    scaled = _typed(text.replace("%", "").replace("％", "")) * PPM / 100
    if scaled != scaled.to_integral_value() or not 0 <= scaled <= PPM:
        raise NotANumber(_("A rate is between 0 and 100 percent, with at most four decimals."))
    return int(scaled)


def _typed(text: str) -> Decimal:
    plain = unicodedata.normalize("NFKC", text).strip().replace(NBSP, "").replace(" ", "")
    try:
        if not PLAIN_NUMBER.fullmatch(plain):
            raise numbers.NumberFormatError("not digits and separators")
        return numbers.parse_decimal(plain, locale=i18n.locale(), strict=True)
    except numbers.NumberFormatError as error:
        example = numbers.format_decimal(Decimal("1234.5"), locale=i18n.locale())
        raise NotANumber(
            _(
                "“%(text)s” is no number. Write it like %(example)s.",
                text=text[:40],
                example=example,
            )
        ) from error


def _money(value: Money | int, currency: str | None) -> Money:
    if isinstance(value, Money):
        return value
    assert currency, "an amount is never shown without its currency"
    return Money(value, currency)
