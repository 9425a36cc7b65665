"""The wallet: what each merchant owes, what is on its way, and where it went."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import abort, render_template
from flask.typing import ResponseReturnValue

from affiliate import clock, ids
from affiliate.consoles import lists, payout_accounts, purses, withdrawing
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.orders.models import Order
from affiliate.payouts import queries
from affiliate.payouts.models import Payout, State
from affiliate.people import queries as people

PAYOUTS = 20
ORDERS = 100
PREPARED = (State.DRAFT, State.AWAITING_APPROVAL, State.APPROVED)
WORDS = {
    State.DRAFT: (_("Put together"), "calm"),
    State.AWAITING_APPROVAL: (_("Checked by finance"), "calm"),
    State.APPROVED: (_("Approved"), "yours"),
    State.SUBMITTING: (_("Being sent"), "moving"),
    State.ACCEPTED: (_("With the bank"), "moving"),
    State.ACTION_REQUIRED: (_("Waits for you: confirm it"), "wait"),
    State.PAID: (_("Paid"), "done"),
    State.RETURNED: (_("Came back; the money can be paid out again"), "bad"),
    State.FAILED: (_("Failed; the money can be paid out again"), "bad"),
    State.CANCELLED: (_("Cancelled; the money can be paid out again"), "calm"),
    State.UNKNOWN: (_("Being looked into with the bank"), "wait"),
}


@bp.get("/wallet/")
def wallet() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    mine = sa.select(Payout).where(Payout.payee_id == promoter_id, Payout.payee_kind == "promoter")
    payouts, cursor = lists.page(mine, [Payout.id], limit=PAYOUTS)
    return render_template(
        "promoter/wallet.html",
        purses=purses.of_payee("promoter", promoter_id),
        asked=withdrawing.by_purse("promoter", promoter_id),
        payouts=[(_key(each), each) for each in payouts],
        merchants=people.merchants({each.merchant_id for each in payouts}),
        next=cursor,
        prepared=PREPARED,
        accounts=payout_accounts.live("promoter", promoter_id),
        now=clock.now(),
    )


@bp.get("/wallet/payouts/<payout_id>")
def payout(payout_id: str) -> ResponseReturnValue:
    found = _own(current_promoter_id(), payout_id)
    return render_template(
        "promoter/payout.html",
        payout=found,
        merchant=people.merchant(found.merchant_id),
        account=queries.accounts([found.account_id])[found.account_id],
        events=_events(found),
        orders=_orders(found),
        taxes=queries.withholdings(found),
        prepared=PREPARED,
        money=Money,
        waits_until=_waits_until(found),
    )


def _waits_until(payout: Payout) -> datetime | None:
    """By when the payee has to confirm it, if the provider said so."""
    call = queries.call(payout) if payout.state == State.ACTION_REQUIRED else None
    return call.until if call else None


def _own(promoter_id: int, payout_id: str) -> Payout:
    """Somebody else's payout is no payout here."""
    try:
        merchant_id, row_id = ids.decode_pair("pay", payout_id)
    except NotFound:
        abort(404)
    found = db.session.scalar(
        sa.select(Payout).where(
            Payout.payee_id == promoter_id,
            Payout.payee_kind == "promoter",
            Payout.merchant_id == merchant_id,
            Payout.id == row_id,
        )
    )
    return found or abort(404)


def _key(payout: Payout) -> str:
    return ids.encode("pay", payout.merchant_id, payout.id)


def _events(payout: Payout) -> list[dict[str, Any]]:
    """Newest first. Who at finance did it is nobody's business here."""
    found = []
    for event in reversed(queries.timeline(payout)):
        words, tone = WORDS[State(event.state)]
        found.append({"words": words, "tone": tone, "at": event.created_at})
    return found


def _orders(payout: Payout) -> list[dict[str, Any]]:
    """The orders it pays for, largest amount first."""
    lines = queries.lines(payout)
    amounts: dict[int, int] = {}
    for line in lines:
        amounts[line.order_id] = amounts.get(line.order_id, 0) + line.amount
    rows = db.session.scalars(
        sa.select(Order).where(Order.merchant_id == payout.merchant_id, Order.id.in_(list(amounts)))
    )
    found: list[dict[str, Any]] = [
        {
            "key": ids.encode("ord", row.merchant_id, row.id),
            "number": row.number or row.external_id,
            "at": row.placed_at,
            "amount": Money(amounts[row.id], payout.currency),
        }
        for row in rows
    ]
    return sorted(found, key=lambda each: -each["amount"].minor)[:ORDERS]
