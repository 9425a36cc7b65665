"""What agencies get of their promoters' sales: rates per program, promoter and product (DOMAIN 4).

Pure, like the rule book: versions that are never edited, asked as of an instant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from affiliate.money import share

Product = tuple[int, str]  # shop, and the product's id there


class Mode(StrEnum):
    OWN = "own"  # a rate of the base, whatever the seller gets
    DIFFERENCE = "difference"  # what this rate leaves after the seller's


@dataclass(frozen=True, slots=True)
class AgencyRate:
    """One version of what an agency gets: for all its promoters and products, or for one."""

    rate_id: int
    version_id: int
    agency_id: int
    effective_from: datetime
    mode: str
    ppm: int
    ended: bool = False
    promoter_id: int | None = None
    product: Product | None = None

    def after(self, direct_ppm: int) -> int:
        """The agency's rate where the seller has a rate."""
        return self.ppm if self.mode == Mode.OWN else max(0, self.ppm - direct_ppm)

    def beside(self, base: int, direct_amount: int) -> int:
        """The agency's amount where the seller has an amount instead of a rate."""
        whole = share(base, self.ppm)
        return whole if self.mode == Mode.OWN else max(0, whole - direct_amount)


def as_of(versions: Iterable[AgencyRate], at: datetime) -> list[AgencyRate]:
    """Of versions, earliest first, those that hold at an instant."""
    latest: dict[int, AgencyRate] = {}
    for rate in versions:
        if rate.effective_from <= at:
            latest[rate.rate_id] = rate
    return [rate for rate in latest.values() if not rate.ended]


def choose(
    rates: Sequence[AgencyRate], agency_id: int, promoter_id: int, product: Product | None
) -> AgencyRate | None:
    """The most particular: promoter and product, promoter, product, all; None: it gets nothing."""
    fitting = [
        rate
        for rate in rates
        if rate.agency_id == agency_id
        and rate.promoter_id in (None, promoter_id)
        and rate.product in (None, product)
    ]
    return min(fitting, key=_precedence, default=None)


def _precedence(rate: AgencyRate) -> tuple[bool, bool, int]:
    return (rate.promoter_id is None, rate.product is None, rate.rate_id)
