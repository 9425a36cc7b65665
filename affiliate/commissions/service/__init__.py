"""The only code that writes commissions, entries and holds."""

from affiliate.commissions.service.booking import book
from affiliate.commissions.service.deciding import ConfirmationNeeded, accept_claim, void_order
from affiliate.commissions.service.holding import (
    hold_order,
    hold_payee,
    lift_order,
    lift_payee,
)
from affiliate.commissions.service.releasing import move_entries, release

__all__ = [
    "ConfirmationNeeded",
    "accept_claim",
    "book",
    "hold_order",
    "hold_payee",
    "lift_order",
    "lift_payee",
    "move_entries",
    "release",
    "void_order",
]
