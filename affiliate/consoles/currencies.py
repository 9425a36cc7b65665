"""Which currency people of a country are paid in."""

from babel import numbers

from affiliate import clock
from affiliate.money import EXPONENTS

ELSEWHERE = "USD"


def currency_of(country: str) -> str:
    """The country's present tender; dollars where we cannot tell."""
    if not country:
        return ELSEWHERE
    found = numbers.get_territory_currencies(country, start_date=clock.now().date(), tender=True)
    return next((each for each in found if each in EXPONENTS), ELSEWHERE)
