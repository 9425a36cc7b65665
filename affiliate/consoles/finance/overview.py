"""Finance's first page: liabilities by stage, and what waits for somebody."""

import sqlalchemy as sa
from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate.consoles.finance import access, bp, figures, tax, words
from affiliate.consoles.session import current_person, current_scope
from affiliate.db import db
from affiliate.people.queries import within
from affiliate.people.rules import Right
from affiliate.settlement.models import Settlement, State


@bp.get("/")
def overview() -> ResponseReturnValue:
    scope = current_scope(Right.READ_MONEY)
    rows = figures.liabilities(scope)
    waiting = figures.waiting_settlements(scope)
    sums = figures.by_currency(rows)
    return render_template(
        "finance/overview.html",
        rows=rows,
        shown=tax.shown_total([(each.to_payees, each.currency) for each in sums]),
        sums=sums,
        waiting=waiting,
        payouts=figures.troubled_payouts(scope),
        merchants=words.merchant_names(
            [each.merchant_id for each in rows] + [each.merchant_id for each in waiting]
        ),
        people=words.users([each.created_by for each in waiting]),
        me=current_person().user.id,
        may_make=access.may(Right.MAKE_SETTLEMENTS),
        may_approve=access.may(Right.APPROVE_SETTLEMENTS),
    )


def count_to_review() -> int:
    """Beside the link to the settlements, on every page."""
    mine = within(Settlement.merchant_id, current_scope(Right.READ_MONEY))
    waits = sa.select(sa.func.count()).where(mine, Settlement.state == State.REVIEW)
    return db.session.scalar(waits) or 0
