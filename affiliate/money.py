"""Money is a whole number of minor units plus a currency. Never a float.

Exponents come from ISO 4217 (list one of 2026-01-01), not from CLDR, whose digits are for display:
it gives the Iraqi dinar 0 digits where the standard has 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

PPM = 1_000_000  # rates are parts per million: 10% = 100 000
LARGEST = 9 * 10**12  # minor units; beyond it no shop's number is believed

_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL "
    "GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR "
    "LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD "
    "PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC "
    "SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW ZWG "
)
EXPONENTS: dict[str, int] = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}


class CurrencyMismatch(ValueError):
    """Two currencies met in one sum: always a programming error."""


class BadAmount(ValueError):
    """An amount or a currency from outside that cannot be taken; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Money:
    minor: int
    currency: str

    def __post_init__(self) -> None:
        assert isinstance(self.minor, int)
        assert self.currency in EXPONENTS

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} with {other.currency}")
        return other.minor

    def __str__(self) -> str:
        return f"{decimal_text(self.minor, self.currency)} {self.currency}"


def exponent(currency: str) -> int:
    """Digits behind the point; BadAmount for a currency ISO does not list."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise BadAmount("unknown_currency", f"{currency!r} is no ISO 4217 currency") from None


def minor(value: str | int | Decimal, currency: str) -> int:
    """Minor units from a shop's decimal: `minor("199.90", "BRL")` → 19990.

    Trailing zeros are fine ("2.000" USD); other digits beyond the exponent are refused, never
    rounded, and so is anything beyond ±9 × 10^12 minor units.
    """
    digits = exponent(currency)
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError, TypeError):
        raise BadAmount("not_a_number", f"{str(value)[:40]!r} is not a decimal number") from None
    # Asked before scaling: "1e999999" must not cost a megabyte of digits.
    if not number.is_finite() or (number and number.adjusted() > 13):
        raise BadAmount("amount_out_of_range", f"{str(value)[:40]!r} is beyond what is accepted")
    if number and number.adjusted() < -28:
        raise BadAmount("too_many_decimals", f"{str(value)[:40]!r} has too many decimals")
    scaled = number.scaleb(digits)
    if scaled != scaled.to_integral_value():
        raise BadAmount(
            "too_many_decimals",
            f"{str(value)[:40]!r} has more than {digits} decimals of {currency}",
        )
    whole = int(scaled)
    if abs(whole) > LARGEST:
        raise BadAmount("amount_out_of_range", f"{str(value)[:40]!r} is beyond what is accepted")
    return whole


def decimal_text(minor_units: int, currency: str) -> str:
    """`decimal_text(19990, "BRL")` → "199.90": for files and machines, not for people."""
    return f"{Decimal(minor_units).scaleb(-EXPONENTS[currency]):f}"


def share(amount: int, ppm: int) -> int:
    """The part that a rate earns, rounded down: what is rounded away stays with the merchant.

    The one rounding place of commissions (DOMAIN 4).
    """
    assert amount >= 0
    assert ppm >= 0
    return amount * ppm // PPM


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total in proportion to weights by largest remainder; ties go to the earlier one.

    The parts always sum to the total. With weights that sum to nothing all parts are 0.
    """
    assert total >= 0
    assert all(weight >= 0 for weight in weights)
    whole = sum(weights)
    if whole == 0 or total == 0:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts
