"""Reckoning with a table: exact fractions, brought to whole minor units in one place."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from affiliate.money import PPM
from affiliate.tax.tables import Table


@dataclass(frozen=True, slots=True)
class Reckoned:
    """Of a whole period: what is taxed, at which rate in the end, and the tax."""

    base: int
    ppm: int
    tax: int


def reckon(table: Table, income: int, months: int = 1) -> Reckoned:
    """The tax on the income of a payout, a month or a year so far."""
    taxed = Fraction(income * PPM, PPM + table.vat_inside_ppm)
    cost = max(Fraction(table.cost_least), taxed * table.cost_ppm / PPM)
    base = max(Fraction(0), taxed - cost - table.allowance * months)
    bracket = [each for each in table.brackets if base > each.over or each.over == 0][-1]
    tax = base * bracket.ppm / PPM - bracket.quick
    relief = next((each for each in table.reliefs if income <= each.up_to), None)
    if relief:
        tax -= relief.amount - Fraction(income * relief.ppm, PPM)
    due = rounded(max(Fraction(0), tax))
    return Reckoned(rounded(base), bracket.ppm, 0 if due <= table.waived else due)


def rounded(amount: Fraction) -> int:
    """Half a minor unit counts as one: the only rounding of what is withheld."""
    return int(amount + Fraction(1, 2))


def months_in_a_row(month: date, others: Collection[date]) -> int:
    """How many months of this year end with this one without a gap; each is its first day."""
    count = 1
    while month.month > count and month.replace(month=month.month - count) in others:
        count += 1
    return count
