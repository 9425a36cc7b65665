"""Making and changing programs, and taking promoters in."""

from affiliate.programs.service.enrolments import (
    AlreadyEnrolled,
    InviteOnly,
    NotEnrolled,
    NotWaiting,
    ProgramEnded,
    approve,
    end,
    enrol,
    refuse,
)
from affiliate.programs.service.programs import (
    PolicyRefuses,
    Waiver,
    change_program,
    check_new_shop,
    create_program,
    offer_of,
    set_product_rate,
)

__all__ = [
    "AlreadyEnrolled",
    "InviteOnly",
    "NotEnrolled",
    "NotWaiting",
    "PolicyRefuses",
    "ProgramEnded",
    "Waiver",
    "approve",
    "change_program",
    "check_new_shop",
    "create_program",
    "end",
    "enrol",
    "offer_of",
    "refuse",
    "set_product_rate",
]
