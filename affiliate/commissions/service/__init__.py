"""The only code that writes commissions, entries and holds."""

from affiliate.commissions.service.booking import book
from affiliate.commissions.service.deciding import (
    ConfirmationNeeded,
    accept_claim,
    lift_order,
    void_order,
)
from affiliate.commissions.service.grading import close_due, grade_now, volumes_of
from affiliate.commissions.service.holding import (
    hold_payees,
    hold_unread,
    lift_payee,
    lift_read,
    place,
)
from affiliate.commissions.service.releasing import Ahead, move_entries, release
from affiliate.commissions.service.simulating import (
    Draft,
    Outcome,
    begin,
    drafted,
    simulate,
    simulation,
)
from affiliate.commissions.service.splitting import split
from affiliate.commissions.service.touching import take_touched

__all__ = [
    "Ahead",
    "ConfirmationNeeded",
    "Draft",
    "Outcome",
    "accept_claim",
    "begin",
    "book",
    "close_due",
    "drafted",
    "grade_now",
    "hold_payees",
    "hold_unread",
    "lift_order",
    "lift_payee",
    "lift_read",
    "move_entries",
    "place",
    "release",
    "simulate",
    "simulation",
    "split",
    "take_touched",
    "void_order",
    "volumes_of",
]
