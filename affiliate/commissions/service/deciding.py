"""Decisions of people that move what an order pays: claims, and confirmed risks."""

import sqlalchemy as sa

from affiliate.attribution import queries as claimed
from affiliate.attribution import service as attribution
from affiliate.attribution.models import Claim
from affiliate.attribution.service import OrderNotFound
from affiliate.commissions.models import Entry, State
from affiliate.commissions.service.booking import book
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
    claim: Claim, *, by: int, reason: str | None = None, confirmed: bool = False
) -> Claim:
    """Credit the order to who claimed it, and book what follows; the caller has the claim locked.

    What others had of it is taken back, also after a payout: then only with `confirmed`.
    """
    order = claimed.order_of(claim)
    if order is None:
        raise OrderNotFound(_("No order of this shop has that number."))
    _lock(order)
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
    rebook(order)
    return claim


def void_order(order: Order) -> None:
    """Nobody is paid for this order: what was earned of it is taken back."""
    _lock(order)
    attribution.bar(order.merchant_id, order.id)
    rebook(order)


def rebook(order: Order) -> None:
    """Bring an order to its targets again after a decision; the caller holds its lock."""
    stored = order_queries.by_ids(order.merchant_id, [order.id])
    book(order.merchant_id, list(stored.values()))


def _lock(order: Order) -> None:
    orders.lock(order.merchant_id, order.shop_id, [order.external_id])
