"""Commissions: what each payee earns of each line, as the sum of its entries."""

from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    AgencyId,
    CommissionId,
    EntryId,
    Instant,
    LineId,
    ListQuery,
    Money,
    OrderId,
    Page,
    ProgramId,
    PromoterId,
    Resource,
)
from affiliate.commissions import queries
from affiliate.commissions.models import Commission, Entry
from affiliate.errors import NotFound
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right

READERS = (Right.READ_MERCHANT, Right.PROMOTE, Right.RUN_AGENCY)


class CommissionQuery(ListQuery):
    order: OrderId | None = None
    promoter: PromoterId | None = None
    state: Literal["estimated", "pending", "available", "reserved", "paid", "void"] | None = None


class EntryShown(Resource):
    id: EntryId
    amount: Money
    state: str
    hold_until: Instant | None
    on_hold: str | None
    released_at: Instant | None
    created_at: Instant
    reason: list[Any]


class CommissionShown(Resource):
    """`amount` is what was accrued, `reversed` what was taken back, `net` what is earned."""

    id: CommissionId
    order: OrderId
    line: LineId
    payee_kind: str
    payee: PromoterId | None  # null: the platform, or an agency
    agency: AgencyId | None
    role: str
    via: PromoterId | None  # the credited promoter, where the caller may know
    program: ProgramId
    base: Money
    rate_ppm: int
    amount: Money
    reversed: Money
    net: Money
    state: str
    hold_until: Instant | None
    on_hold: str | None
    entries: list[EntryShown]


@endpoint("GET", "/commissions", needs=READERS)
def all_commissions(caller: Caller, query: CommissionQuery) -> Page[CommissionShown]:
    """Commissions, newest first: a merchant's, or a promoter's own."""
    found = queries.all_commissions().where(_visible(caller))
    if query.order is not None:
        merchant_id, order_id = query.order
        found = found.where(Commission.merchant_id == merchant_id, Commission.order_id == order_id)
    if query.promoter is not None:
        found = found.where(
            Commission.payee_kind == "promoter", Commission.payee_id == query.promoter
        )
    if query.state is not None:
        found = found.where(Commission.state == query.state)
    rows, cursor = paging.rows(found, query, by=[Commission.id])
    return Page(data=shown(caller, rows), next=cursor)


@endpoint("GET", "/commissions/{commission_id}", needs=READERS)
def one(caller: Caller, commission_id: CommissionId) -> CommissionShown:
    """One commission."""
    merchant_id, row_id = commission_id
    found = queries.all_commissions().where(
        Commission.merchant_id == merchant_id, Commission.id == row_id, _visible(caller)
    )
    rows, _ = paging.rows(found, ListQuery(), by=[Commission.id])
    if not rows:
        raise NotFound("There is no such commission here.")
    return shown(caller, rows)[0]


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    merchants = (
        within(Commission.merchant_id, caller.scope(Right.READ_MERCHANT))
        if caller.may(Right.READ_MERCHANT)
        else sa.false()
    )
    own = sa.and_(Commission.payee_kind == "promoter", Commission.payee_id.in_(caller.promoter_ids))
    agencys = sa.and_(Commission.payee_kind == "agency", Commission.payee_id.in_(caller.agency_ids))
    return sa.or_(merchants, own, agencys)


def shown(caller: Caller, rows: Sequence[Commission]) -> list[CommissionShown]:
    """Those of these commissions that the caller may see, with their entries."""
    rows = [
        row
        for row in rows
        if caller.has(Right.READ_MERCHANT, row.merchant_id) or _is_own(caller, row)
    ]
    entries = queries.entries_of([(row.merchant_id, row.id) for row in rows])
    return [_shown(caller, row, entries.get((row.merchant_id, row.id), [])) for row in rows]


def _is_own(caller: Caller, row: Commission) -> bool:
    return caller.is_payee(row.payee_kind, row.payee_id)


def _shown(caller: Caller, row: Commission, entries: Sequence[Entry]) -> CommissionShown:
    def money(amount: int) -> Money:
        return Money.of(amount, row.currency)

    knows_via = (
        caller.has(Right.READ_MERCHANT, row.merchant_id)
        or row.via_id in caller.promoter_ids
        or (row.payee_kind == "agency" and row.payee_id in caller.agency_ids)
    )
    pending = [entry for entry in entries if entry.state == "pending"]
    return CommissionShown(
        id=(row.merchant_id, row.id),
        order=(row.merchant_id, row.order_id),
        line=(row.merchant_id, row.line_id),
        payee_kind=row.payee_kind,
        payee=row.payee_id if row.payee_kind == "promoter" else None,
        agency=row.payee_id if row.payee_kind == "agency" else None,
        role=row.role,
        via=row.via_id if knows_via else None,
        program=(row.merchant_id, row.program_id),
        base=money(row.base),
        rate_ppm=row.rate_ppm,
        amount=money(row.amount),
        reversed=money(row.reversed),
        net=money(row.amount - row.reversed),
        state=row.state,
        hold_until=max((entry.hold_until for entry in pending if entry.hold_until), default=None),
        on_hold=next((entry.on_hold for entry in entries if entry.on_hold), None),
        entries=[_entry(entry) for entry in entries],
    )


def _entry(entry: Entry) -> EntryShown:
    return EntryShown(
        id=(entry.merchant_id, entry.id),
        amount=Money.of(entry.amount, entry.currency),
        state=entry.state,
        hold_until=entry.hold_until,
        on_hold=entry.on_hold,
        released_at=entry.released_at,
        created_at=entry.created_at,
        reason=entry.reason,
    )
