"""The merchant's first page: what came in, what it cost, and what waits for somebody."""

import sqlalchemy as sa
from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate.consoles.merchant import bp, decisions, figures
from affiliate.consoles.merchant.orders import recent
from affiliate.consoles.session import current_merchant_id
from affiliate.db import db
from affiliate.intake import queries as intake
from affiliate.people import queries as people
from affiliate.programs.models import Membership


@bp.get("/")
def overview() -> ResponseReturnValue:
    merchant = people.merchant(current_merchant_id())
    return render_template(
        "merchant/overview.html",
        figures=figures.overview(merchant.id, merchant.timezone),
        orders=recent(merchant.id),
        aside=intake.counts(merchant.id)["quarantined"],
        applied=waiting_applications(merchant.id),
        undecided=decisions.waiting(merchant.id),
    )


@bp.get("/recent-orders")
def recent_orders() -> ResponseReturnValue:
    """The rows alone, for a page that is open while orders come in."""
    return render_template("merchant/_orders.html", orders=recent(current_merchant_id()))


def waiting_applications(merchant_id: int) -> int:
    return (
        db.session.scalar(
            sa.select(sa.func.count()).where(
                Membership.merchant_id == merchant_id, Membership.state == "applied"
            )
        )
        or 0
    )
