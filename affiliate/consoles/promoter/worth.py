"""How good a program is to share, as a promoter reads it before choosing."""

from collections.abc import Collection
from dataclasses import dataclass

from affiliate.insight import offers
from affiliate.insight.models import OfferFigures
from affiliate.insight.queries import EPC_CLICKS, PPM
from affiliate.money import Money
from affiliate.programs.models import Program


@dataclass(frozen=True, slots=True)
class Worth:
    """What all promoters made of it in the last three months, in one currency."""

    hundred_clicks: Money | None  # None: too few to say
    kept_ppm: int  # of orders
    refunded_ppm: int | None  # of money


def of(programs: Collection[Program]) -> dict[tuple[int, int], Worth]:
    """By merchant and program, in the currency of most orders; nothing where orders are few."""
    keys = [(each.merchant_id, each.id) for each in programs]
    return {key: _worth(rows[0]) for key, rows in offers.figures(keys).items()}


def _worth(row: OfferFigures) -> Worth:
    enough = row.clicks >= offers.CLICKS
    return Worth(
        Money(row.earned * EPC_CLICKS // row.clicks, row.currency) if enough else None,
        row.kept_orders * PPM // row.orders,
        row.refunds * PPM // row.revenue if row.revenue else None,
    )
