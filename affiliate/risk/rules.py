"""What looks odd about an order or a promoter: signals with a weight and their evidence (DOMAIN 8).

Pure. Weights of one subject are added up; from the program's threshold on (100 by default) its
money is held and a person decides. No signal ever decides by itself.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

BULK_PIECES = 50  # of one order
SAME_BUYER_ORDERS = 5  # of one buyer through one promoter …
SAME_BUYER_TIME = timedelta(hours=24)  # … in this time


@dataclass(frozen=True, slots=True)
class Signal:
    code: str
    weight: int
    evidence: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "weight": self.weight, "evidence": self.evidence}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is asked of one order."""

    seller_is_buyer: bool  # in a program that does not pay for that
    buyer_is_above: bool  # somebody who earns above the seller is the buyer
    pieces: int
    orders_of_buyer: int  # through the same promoter, in SAME_BUYER_TIME, this one included


def signals(seen: Seen) -> list[Signal]:
    found = []
    if seen.seller_is_buyer:
        found.append(Signal("self_purchase", 100))
    if seen.buyer_is_above:
        found.append(Signal("upline_purchase", 100))
    if seen.pieces >= BULK_PIECES:
        found.append(Signal("bulk_purchase", 100, {"pieces": seen.pieces}))
    if seen.orders_of_buyer >= SAME_BUYER_ORDERS:
        hours = int(SAME_BUYER_TIME.total_seconds() // 3600)
        found.append(Signal("velocity", 100, {"orders": seen.orders_of_buyer, "hours": hours}))
    return found


def shared_account(others: int) -> Signal:
    return Signal("shared_payout_account", 100, {"others": others})


def score(found: Collection[Signal]) -> int:
    return sum(each.weight for each in found)
