"""Risk cases: what looked odd, the money that waits, and a person's decision."""

from typing import Any

import sqlalchemy as sa

from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    Body,
    CaseId,
    Instant,
    ListQuery,
    LongText,
    MerchantId,
    OrderId,
    Page,
    PromoterId,
    Resource,
)
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.risk import queries, service
from affiliate.risk.models import Case, CaseState


class Decision(Body):
    note: LongText | None = None


class CaseQuery(ListQuery):
    merchant: MerchantId | None = None
    state: CaseState | None = None


class CaseShown(Resource):
    id: CaseId
    merchant: MerchantId
    order: OrderId | None
    promoter: PromoterId | None
    score: int
    signals: list[dict[str, Any]]
    state: CaseState
    note: str | None
    decided_at: Instant | None
    created_at: Instant
    version: int


@endpoint("GET", "/risk-cases", needs=Right.RUN_MERCHANT)
def all_cases(caller: Caller, query: CaseQuery) -> Page[CaseShown]:
    """Cases, newest first."""
    found = sa.select(Case).where(within(Case.merchant_id, caller.scope(Right.RUN_MERCHANT)))
    if query.merchant is not None:
        found = found.where(Case.merchant_id == query.merchant)
    if query.state is not None:
        found = found.where(Case.state == query.state)
    return paging.page(found, query, by=[Case.id], show=show)


@endpoint("GET", "/risk-cases/{case_id}", needs=Right.RUN_MERCHANT)
def one(caller: Caller, case_id: CaseId) -> CaseShown:
    """One case."""
    caller.require(Right.RUN_MERCHANT, case_id[0])
    return show(queries.case(*case_id))


@endpoint("POST", "/risk-cases/{case_id}/clear", needs=Right.RUN_MERCHANT)
def clear(caller: Caller, case_id: CaseId, body: Decision) -> CaseShown:
    """Nothing is wrong: the money goes its way."""
    caller.require(Right.RUN_MERCHANT, case_id[0])
    case = queries.case(*case_id, lock=True)
    return show(service.clear(case, by=caller.user_id, note=body.note))


@endpoint("POST", "/risk-cases/{case_id}/confirm", needs=Right.RUN_MERCHANT)
def confirm(caller: Caller, case_id: CaseId, body: Decision) -> CaseShown:
    """It is what it looks like: of an order nobody is paid, a promoter's money stays held."""
    caller.require(Right.RUN_MERCHANT, case_id[0])
    case = queries.case(*case_id, lock=True)
    return show(service.confirm(case, by=caller.user_id, note=body.note))


def show(case: Case) -> CaseShown:
    return CaseShown(
        id=(case.merchant_id, case.id),
        merchant=case.merchant_id,
        order=None if case.order_id is None else (case.merchant_id, case.order_id),
        promoter=case.promoter_id,
        score=case.score,
        signals=case.signals,
        state=CaseState(case.state),
        note=case.note,
        decided_at=case.decided_at,
        created_at=case.created_at,
        version=case.version,
    )
