"""Writing down what shops report. The only code that writes orders, lines and refunds."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from affiliate.db import Model, db, inserting
from affiliate.errors import Conflict
from affiliate.i18n import _
from affiliate.orders import facts, queries
from affiliate.orders.models import Line, Order, Refund, Status
from affiliate.orders.queries import Stored
from affiliate.people import rules as people

Report = facts.Order | facts.RefundNotice | facts.TokenNotice


class CurrencyChanged(Conflict):
    """An order has one currency for life; two cannot be added up."""

    code = "currency_changed"


def lock(merchant_id: int, shop_id: int, order_keys: Iterable[str]) -> None:
    """Take the orders in hand until the end of the transaction, sorted: first in the lock order."""
    keys = [f"{merchant_id}/{shop_id}/{key}" for key in sorted(set(order_keys))]
    db.session.execute(
        sa.text(
            "SELECT pg_advisory_xact_lock(hashtextextended(k, 0))"
            " FROM unnest(CAST(:keys AS text[])) WITH ORDINALITY AS t(k, n) ORDER BY n"
        ),
        {"keys": keys},
    )


def absorb(merchant_id: int, shop_id: int, reports: Sequence[Report]) -> list[Stored]:
    """Merge reports of any number of orders into what is known; returns those orders as they are.

    The caller holds the lock of every order. Safe to call again with the same reports, in any
    sequence; a refund of an unknown order waits on a stub, tokens of one are nothing.
    """
    wanted = {external_id(report) for report in reports}
    known = queries.by_external_ids(merchant_id, shop_id, wanted)
    after: dict[str, facts.Order] = {key: stored.facts for key, stored in known.items()}
    for report in reports:
        key = external_id(report)
        if isinstance(report, facts.TokenNotice):
            if key in after:
                after[key] = facts.with_tokens(after[key], report.tokens)
            continue
        told, before = _as_order(report), after.get(key)
        if before is not None and before.currency != told.currency:
            raise CurrencyChanged(
                _(
                    "It was in %(known)s and is told in %(told)s.",
                    known=before.currency,
                    told=told.currency,
                )
            )
        after[key] = facts.merged(before, told)

    changed = [
        order
        for key, order in sorted(after.items())
        if key not in known or order != known[key].facts
    ]
    ids = {key: stored.id for key, stored in known.items()}
    if changed:
        ids |= _write_orders(merchant_id, shop_id, changed)
        line_ids = _write_lines(merchant_id, [(ids[order.external_id], order) for order in changed])
        _write_refunds(merchant_id, [(ids[order.external_id], order) for order in changed])
    else:
        line_ids = {}
    unchanged = {stored.id: stored.line_ids for stored in known.values()}
    return [
        Stored(
            ids[key],
            merchant_id,
            shop_id,
            order,
            line_ids[ids[key]] if ids[key] in line_ids else unchanged[ids[key]],
        )
        for key, order in sorted(after.items())
    ]


def known_already(
    merchant_id: int,
    shop_id: int,
    reports: Sequence[facts.Order | facts.RefundNotice],
    *,
    of_any_version: bool = False,
) -> set[str]:
    """The orders that these reports would not change, but perhaps for their version. Reads only,
    and needs no lock: what changes meanwhile changed by a newer report.
    """
    known = queries.by_external_ids(merchant_id, shop_id, {external_id(each) for each in reports})
    after = {key: stored.facts for key, stored in known.items()}
    for report in reports:
        key, told = external_id(report), _as_order(report)
        if key in after and after[key].currency == told.currency:
            after[key] = facts.merged(after[key], told)
    before = {key: stored.facts for key, stored in known.items()}
    if of_any_version:
        before = {key: replace(each, version=after[key].version) for key, each in before.items()}
    return {key for key, each in before.items() if after[key] == each}


def external_id(report: Report) -> str:
    if isinstance(report, facts.Order):
        return report.external_id
    return report.order_external_id


def _as_order(report: facts.Order | facts.RefundNotice) -> facts.Order:
    if isinstance(report, facts.RefundNotice):
        return facts.Order(
            external_id=report.order_external_id,
            version=0,
            status=Status.STUB,
            currency=report.currency,
            placed_at=None,
            refunds=(report.refund,),
        )
    return replace(report, customer=_masked(report.customer))


def _masked(customer: facts.Customer) -> facts.Customer:
    return facts.Customer(
        external_id=customer.external_id,
        new=customer.new,
        email_hash=people.buyer_email_hash(customer.email),
        phone_hash=people.buyer_phone_hash(customer.phone),
    )


def _upsert(model: type[Model], rows: list[dict[str, Any]], key: list[str], *returning: Any) -> Any:
    statement = inserting(model, rows)
    kept = {"merchant_id", "id", "created_at", *key}
    columns = {name: statement.excluded[name] for name in rows[0] if name not in kept}
    statement = statement.on_conflict_do_update(index_elements=["merchant_id", *key], set_=columns)
    return db.session.execute(statement.returning(*returning))


def _write_orders(merchant_id: int, shop_id: int, orders: Sequence[facts.Order]) -> dict[str, int]:
    rows = [queries.order_row(merchant_id, shop_id, order) for order in orders]
    written = _upsert(Order, rows, ["shop_id", "external_id"], Order.external_id, Order.id)
    return {external_id: row_id for external_id, row_id in written}  # noqa: C416


def _write_lines(
    merchant_id: int, orders: Sequence[tuple[int, facts.Order]]
) -> dict[int, dict[str, int]]:
    rows = [
        queries.line_row(merchant_id, order_id, position, line)
        for order_id, order in orders
        for position, line in enumerate(order.lines)
    ]
    ids: dict[int, dict[str, int]] = {order_id: {} for order_id, _ in orders}
    if rows:
        written = _upsert(
            Line, rows, ["order_id", "external_id"], Line.order_id, Line.external_id, Line.id
        )
        for order_id, external_id, line_id in written:
            ids[order_id][external_id] = line_id
    return ids


def _write_refunds(merchant_id: int, orders: Sequence[tuple[int, facts.Order]]) -> None:
    rows = [
        queries.refund_row(merchant_id, order_id, refund)
        for order_id, order in orders
        for refund in order.refunds
    ]
    replaced = [order_id for order_id, order in orders if order.refunds_complete]
    if replaced:
        kept = [(row["order_id"], row["external_id"]) for row in rows]
        db.session.execute(
            sa.delete(Refund).where(
                Refund.merchant_id == merchant_id,
                Refund.order_id.in_(replaced),
                sa.tuple_(Refund.order_id, Refund.external_id).not_in(kept),
            )
        )
    if rows:
        _upsert(Refund, rows, ["order_id", "external_id"], Refund.id)
