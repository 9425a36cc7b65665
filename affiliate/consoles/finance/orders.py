"""One order, as far as money goes: who earned what of it, why, and in which payout it went out."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask import abort, render_template
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.attribution import queries as attribution
from affiliate.attribution import trace
from affiliate.commissions import queries as commissions
from affiliate.commissions.models import Entry
from affiliate.consoles.finance import access, bp, words
from affiliate.db import db
from affiliate.orders import queries
from affiliate.payouts.models import Payout, PayoutLine


@bp.get("/orders/<order_id>")
def order(order_id: str) -> ResponseReturnValue:
    key = access.key_of("ord", order_id)
    row = queries.find(*key) or abort(404)
    earned = commissions.of_orders([key])
    entries = commissions.entries_of([(each.merchant_id, each.id) for each in earned])
    credit = attribution.of_orders([key]).get(key)
    return render_template(
        "finance/order.html",
        order=row,
        merchant=words.merchant_names([row.merchant_id])[row.merchant_id],
        commissions=[(each, entries.get((each.merchant_id, each.id), [])) for each in earned],
        payees=words.payees((each.payee_kind, each.payee_id) for each in earned),
        payouts=owners([entry for rows in entries.values() for entry in rows]),
        story=[trace.sentence(step, row.currency) for step in trace.steps(credit.trace)]
        if credit
        else [],
    )


def owners(entries: Sequence[Entry]) -> dict[tuple[int, int], tuple[Payout, str]]:
    """By entry: the payout that owns it now, and its key."""
    if not entries:
        return {}
    rows = db.session.execute(
        sa.select(PayoutLine.entry_id, Payout)
        .join(
            Payout,
            sa.and_(
                Payout.merchant_id == PayoutLine.merchant_id, Payout.id == PayoutLine.payout_id
            ),
        )
        .where(
            sa.tuple_(PayoutLine.merchant_id, PayoutLine.entry_id).in_(
                [(each.merchant_id, each.id) for each in entries]
            ),
            PayoutLine.live,
        )
    )
    return {
        (row.merchant_id, entry_id): (row, ids.encode("pay", row.merchant_id, row.id))
        for entry_id, row in rows
    }
