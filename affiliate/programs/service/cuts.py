"""A lower rate is told to those who share: for the notice they still get the better one."""

from datetime import datetime, timedelta

from affiliate import events
from affiliate.programs.models import Program


def tell_of_cut(program: Program, *, since: datetime, notice_days: int) -> None:
    """Write down that a rate of this program went down; notices/ finds whom it concerns."""
    events.record(
        "rate.cut",
        merchant_id=program.merchant_id,
        payload={
            "program": program.id,
            "name": program.name,
            "since": since.isoformat(),
            "until": (since + timedelta(days=notice_days)).isoformat(),
        },
    )
