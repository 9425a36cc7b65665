"""What people decided about money and power."""

from typing import Any

from pydantic import Field

from affiliate import audit
from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.shapes import (
    DecisionId,
    Instant,
    KeyId,
    ListQuery,
    MerchantId,
    Page,
    Resource,
    UserId,
)
from affiliate.audit import Decision
from affiliate.people.rules import Caller, Right


class DecisionQuery(ListQuery):
    merchant: MerchantId | None = None
    user: UserId | None = None
    action: str | None = Field(
        default=None, max_length=100, description="`payout.paid`, or `payout` for all about payouts"
    )
    since: Instant | None = None
    until: Instant | None = None


class DecisionShown(Resource):
    id: DecisionId
    happened_at: Instant
    action: str
    subject: str
    merchant: MerchantId | None
    user: UserId | None
    key: KeyId | None
    detail: dict[str, Any]
    hash: str = Field(description="Over the hash of the decision before, and this one")


@endpoint("GET", "/audit", needs=Right.READ_AUDIT)
def decisions(caller: Caller, query: DecisionQuery) -> Page[DecisionShown]:
    """Decisions, newest first: of all, or of the merchants whose finance one is."""
    found = audit.chosen(
        caller.scope(Right.READ_AUDIT),
        of_instance=caller.may(Right.ADMINISTER),
        merchant_id=query.merchant,
        user_ids=None if query.user is None else [query.user],
        action=query.action,
        since=query.since,
        until=query.until,
    )
    return paging.page(found, query, by=[Decision.id], show=show)


def show(row: Decision) -> DecisionShown:
    return DecisionShown(
        id=row.id,
        happened_at=row.happened_at,
        action=row.action,
        subject=audit.public(row.subject, row.merchant_id),
        merchant=row.merchant_id,
        user=row.user_id,
        key=row.key_id,
        detail=row.detail,
        hash=row.hash.hex(),
    )
