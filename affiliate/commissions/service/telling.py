"""Promoters are told of what sold by their own links: once for a batch, however many orders."""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from affiliate import clock, events, ids
from affiliate.commissions.models import State
from affiliate.commissions.service.standing import Key, Known
from affiliate.events import Happening
from affiliate.orders.queries import Stored

EVENT = "order.earned"
NEWS = timedelta(days=2)  # what a shop tells of older orders is history
OWN = ("direct", "rebate")


def tell(
    merchant_id: int,
    orders: Iterable[Stored],
    known: Mapping[int, Mapping[Key, Known]],
    entries: Iterable[tuple[Key | int, Mapping[str, Any]]],
) -> None:
    """Of orders that had earned nothing before; one event for each promoter and currency."""
    fresh = {order.id for order in orders if _is_news(order, known.get(order.id, {}).values())}
    own = {each.id for rows in known.values() for key, each in rows.items() if key[3] in OWN}
    sums: dict[tuple[int, str], dict[int, int]] = {}
    for of, row in entries:
        is_own = of[3] in OWN if isinstance(of, tuple) else of in own
        earned = row["payee_kind"] == "promoter" and row["state"] == State.PENDING
        if is_own and earned and row["order_id"] in fresh:
            by_order = sums.setdefault((row["payee_id"], row["currency"]), {})
            by_order[row["order_id"]] = by_order.get(row["order_id"], 0) + row["amount"]
    events.record_all(
        Happening(
            EVENT,
            merchant_id,
            promoter_id=promoter_id,
            payload={
                "orders": len(by_order),
                "order": ids.encode("ord", merchant_id, min(by_order)),
                "amount": sum(by_order.values()),
                "currency": currency,
            },
        )
        for (promoter_id, currency), by_order in sums.items()
    )


def _is_news(order: Stored, known: Collection[Known]) -> bool:
    paid_at = order.facts.paid_at
    is_late = paid_at is None or paid_at < clock.now() - NEWS
    return not is_late and not any(each.has_pending or each.settled for each in known)
