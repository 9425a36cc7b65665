"""Who may approve how much: limits, exceptions for payers with one person, and delegations."""

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    DelegationId,
    ExceptionId,
    Instant,
    LimitId,
    ListQuery,
    MerchantId,
    Money,
    MoneyIn,
    Page,
    Resource,
    Text,
    UserId,
)
from affiliate.errors import NotFound, invalid
from affiliate.i18n import _
from affiliate.people import delegations
from affiliate.people import queries as people
from affiliate.people.models import ApprovalLimit, Grant
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.settlement import service
from affiliate.settlement.models import ApprovalException

DELEGATION_READERS = (Right.APPROVE_SETTLEMENTS, Right.ADMINISTER)


class NewLimit(Body):
    user: UserId
    most: MoneyIn = Field(description="What they may approve at once in this currency")


class LimitChange(Body):
    most: MoneyIn | None = None


class LimitQuery(ListQuery):
    user: UserId | None = None


class LimitShown(Resource):
    id: LimitId
    user: UserId
    most: Money
    created_at: Instant
    version: int


@endpoint("POST", "/approval-limits", needs=Right.ADMINISTER, status=201)
def set_limit(body: NewLimit) -> LimitShown:
    """Limit what somebody may approve. Who has any limit approves nothing in other currencies."""
    people.user(body.user)
    return _limit(delegations.set_limit(body.user, body.most.currency, body.most.amount))


@endpoint("GET", "/approval-limits", needs=Right.ADMINISTER)
def all_limits(query: LimitQuery) -> Page[LimitShown]:
    """Limits, newest first."""
    found = sa.select(ApprovalLimit)
    if query.user is not None:
        found = found.where(ApprovalLimit.user_id == query.user)
    return paging.page(found, query, by=[ApprovalLimit.id], show=_limit)


@endpoint("GET", "/approval-limits/{limit_id}", needs=Right.ADMINISTER)
def one_limit(limit_id: LimitId) -> LimitShown:
    """One limit."""
    return _limit(delegations.limit(limit_id))


@endpoint("PATCH", "/approval-limits/{limit_id}", needs=Right.ADMINISTER)
def change_limit(limit_id: LimitId, body: LimitChange, if_match: IfMatch) -> LimitShown:
    """Raise or lower it."""
    found = delegations.limit(limit_id, lock=True)
    if_match.check(found.version)
    if body.most is not None:
        if body.most.currency != found.currency:
            message = _("A limit stays in its currency; set another one for the other.")
            raise invalid("/most/currency", "currency_mismatch", message)
        delegations.set_limit(found.user_id, found.currency, body.most.amount)
    return _limit(found)


@endpoint("DELETE", "/approval-limits/{limit_id}", needs=Right.ADMINISTER, status=204)
def drop_limit(limit_id: LimitId) -> None:
    """Without any limit they approve every amount."""
    delegations.drop_limit(delegations.limit(limit_id, lock=True))


def _limit(row: ApprovalLimit) -> LimitShown:
    return LimitShown(
        id=row.id,
        user=row.user_id,
        most=Money.of(row.amount, row.currency),
        created_at=row.created_at,
        version=row.version,
    )


class NewException(Body):
    merchant: MerchantId
    reason: Text
    limits: list[MoneyIn] = Field(min_length=1, max_length=20, description="One for each currency")
    until: Instant


class ExceptionChange(Body):
    ended: bool = Field(False, description="True: from now on two people again")


class ExceptionQuery(ListQuery):
    merchant: MerchantId | None = None


class ExceptionShown(Resource):
    id: ExceptionId
    merchant: MerchantId
    reason: str
    limits: list[Money]
    until: Instant
    ended_at: Instant | None
    created_by: UserId
    created_at: Instant
    version: int


@endpoint("POST", "/approval-exceptions", needs=Right.ADMINISTER, status=201)
def record_exception(caller: Caller, body: NewException) -> ExceptionShown:
    """Let a payer with one person approve its own settlements, up to these amounts.

    It is named on every settlement that made use of it.
    """
    people.merchant(body.merchant)
    limits = {each.currency: each.amount for each in body.limits}
    if len(limits) < len(body.limits):
        raise invalid("/limits", "twice", _("One limit for each currency."))
    found = service.record_exception(
        body.merchant, reason=body.reason, limits=limits, until=body.until, by=caller.user_id
    )
    return _exception(found)


@endpoint("GET", "/approval-exceptions", needs=Right.READ_MONEY)
def all_exceptions(caller: Caller, query: ExceptionQuery) -> Page[ExceptionShown]:
    """Exceptions, newest first."""
    found = sa.select(ApprovalException).where(
        within(ApprovalException.merchant_id, caller.scope(Right.READ_MONEY))
    )
    if query.merchant is not None:
        found = found.where(ApprovalException.merchant_id == query.merchant)
    return paging.page(found, query, by=[ApprovalException.id], show=_exception)


@endpoint("GET", "/approval-exceptions/{exception_id}", needs=Right.READ_MONEY)
def one_exception(caller: Caller, exception_id: ExceptionId) -> ExceptionShown:
    """One exception."""
    caller.require(Right.READ_MONEY, exception_id[0])
    return _exception(service.exception(*exception_id))


@endpoint("PATCH", "/approval-exceptions/{exception_id}", needs=Right.ADMINISTER)
def end_exception(
    exception_id: ExceptionId, body: ExceptionChange, if_match: IfMatch
) -> ExceptionShown:
    """End it. What was approved under it stays approved."""
    found = service.exception(*exception_id, lock=True)
    if_match.check(found.version)
    if body.ended:
        service.end_exception(found)
    return _exception(found)


def _exception(row: ApprovalException) -> ExceptionShown:
    return ExceptionShown(
        id=(row.merchant_id, row.id),
        merchant=row.merchant_id,
        reason=row.reason,
        limits=[Money.of(amount, currency) for currency, amount in sorted(row.limits.items())],
        until=row.until,
        ended_at=row.ended_at,
        created_by=row.created_by,
        created_at=row.created_at,
        version=row.version,
    )


class NewDelegation(Body):
    to: UserId
    merchant: MerchantId | None = Field(None, description="None: wherever the giver approves")
    since: Instant
    until: Instant


class DelegationShown(Resource):
    id: DelegationId
    by: UserId
    to: UserId
    merchant: MerchantId | None
    since: Instant
    until: Instant
    created_at: Instant


@endpoint("POST", "/delegations", needs=Right.APPROVE_SETTLEMENTS, status=201)
def delegate(caller: Caller, body: NewDelegation) -> DelegationShown:
    """Let another person approve in one's place for a time, within one's own limits."""
    people.user(body.to)
    given = delegations.delegate(
        caller.user_id, body.to, since=body.since, until=body.until, merchant_id=body.merchant
    )
    return _delegation(given)


@endpoint("GET", "/delegations", needs=DELEGATION_READERS)
def all_delegations(caller: Caller, query: ListQuery) -> Page[DelegationShown]:
    """Those one gave or was given; operators see all."""
    whose = None if caller.may(Right.ADMINISTER) else caller.user_id
    return paging.page(delegations.of_user(whose), query, by=[Grant.id], show=_delegation)


@endpoint("GET", "/delegations/{delegation_id}", needs=DELEGATION_READERS)
def one_delegation(caller: Caller, delegation_id: DelegationId) -> DelegationShown:
    """One delegation."""
    return _delegation(_own(caller, delegation_id))


@endpoint("POST", "/delegations/{delegation_id}/end", needs=DELEGATION_READERS)
def end_delegation(caller: Caller, delegation_id: DelegationId) -> DelegationShown:
    """From now on; by who gave it or an operator. Again changes nothing."""
    given = _own(caller, delegation_id)
    if given.delegated_by != caller.user_id and not caller.may(Right.ADMINISTER):
        raise NotFound("There is no such delegation.")
    return _delegation(delegations.end(given))


def _own(caller: Caller, delegation_id: int) -> Grant:
    given = delegations.find(delegation_id)
    if caller.may(Right.ADMINISTER) or caller.user_id in (given.user_id, given.delegated_by):
        return given
    raise NotFound("There is no such delegation.")


def _delegation(row: Grant) -> DelegationShown:
    assert row.delegated_by is not None
    assert row.since is not None
    assert row.until is not None
    return DelegationShown(
        id=row.id,
        by=row.delegated_by,
        to=row.user_id,
        merchant=row.merchant_id,
        since=row.since,
        until=row.until,
        created_at=row.created_at,
    )
