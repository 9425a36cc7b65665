"""Choosing whom an order is credited to, and what can earn credit: coupons, sharers, claims."""

from affiliate.attribution.service.choosing import Credit, bar, choose, known, write
from affiliate.attribution.service.claims import (
    AlreadyClaimed,
    ClaimDecided,
    OrderNotFound,
    accept,
    change_evidence,
    claim,
    refuse,
)
from affiliate.attribution.service.joining import behind
from affiliate.attribution.service.owning import (
    Taken,
    add_coupon,
    add_sharer,
    end_coupon,
    end_sharer,
    note_change,
)

__all__ = [
    "AlreadyClaimed",
    "ClaimDecided",
    "Credit",
    "OrderNotFound",
    "Taken",
    "accept",
    "add_coupon",
    "add_sharer",
    "bar",
    "behind",
    "change_evidence",
    "choose",
    "claim",
    "end_coupon",
    "end_sharer",
    "known",
    "note_change",
    "refuse",
    "write",
]
