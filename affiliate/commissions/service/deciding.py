"""Decisions of people that move what an order pays: claims, and confirmed risks."""

import sqlalchemy as sa

from affiliate.attribution import queries as claimed
from affiliate.attribution import service as attribution
from affiliate.attribution.models import Claim
from affiliate.attribution.service import OrderNotFound
from affiliate.commissions.models import Entry, State
from affiliate.commissions.service import holding, standing
from affiliate.commissions.service.booking import Look, book
from affiliate.db import db
from affiliate.errors import Conflict
from affiliate.i18n import _
from affiliate.orders import queries as order_queries
from affiliate.orders import service as orders
from affiliate.orders.models import Order


class ConfirmationNeeded(Conflict):
    """Money of this order was sent, or is on its way; it will be taken from later earnings."""

    code = "confirmation_needed"


def accept_claim(
    claim: Claim,
    *,
    by: int,
    reason: str | None = None,
    confirmed: bool = False,
    order: Order | None = None,
    look: Look | None = None,
) -> Claim:
    """Credit the order to who claimed it, and book what follows; the caller has the claim locked.

    What others had of it is taken back, also after a payout: then only with `confirmed`. Where a
    number stands for several orders, `order` says which is meant.
    """
    order = order or _claimed(claim)
    _lock(order)
    standing.of_orders(order.merchant_id, [order.id])  # locked: no build reserves any of it now
    sent = sa.exists().where(
        Entry.merchant_id == order.merchant_id,
        Entry.order_id == order.id,
        Entry.state.in_([State.RESERVED, State.PAID]),
    )
    if not confirmed and db.session.scalar(sa.select(sent)):
        raise ConfirmationNeeded(
            _("Money of this order was sent already. Confirm that it is to be taken back.")
        )
    attribution.accept(claim, order, by=by, reason=reason)
    _rebook(order, look=look)
    return claim


def void_order(order: Order) -> None:
    """Nobody is paid for this order: what was earned of it is taken back, and nothing is held."""
    _lock(order)
    attribution.bar(order.merchant_id, order.id)
    holding.lift_order(order.merchant_id, order.id)
    _rebook(order, was_held=True)


def lift_order(order: Order) -> None:
    """The order's money goes its way again."""
    _lock(order)
    holding.lift_order(order.merchant_id, order.id)


def _claimed(claim: Claim) -> Order:
    found = claimed.orders_of(claim)
    if not found:
        raise OrderNotFound(_("No order of this shop has that number."))
    if len(found) > 1:
        raise OrderNotFound(_("Several orders of this shop have that number: say which."))
    return found[0]


def _rebook(order: Order, *, look: Look | None = None, was_held: bool = False) -> None:
    """Bring an order to its targets again after a decision; the caller holds its lock."""
    stored = order_queries.by_ids(order.merchant_id, [order.id])
    book(order.merchant_id, list(stored.values()), look=look, was_held=was_held)


def _lock(order: Order) -> None:
    orders.lock(order.merchant_id, order.shop_id, [order.external_id])
