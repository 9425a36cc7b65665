"""Pay-ins: money that a merchant sent to cover what it owes."""

import sqlalchemy as sa

from affiliate import money
from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    Instant,
    ListQuery,
    LongText,
    MerchantId,
    Money,
    Page,
    PayInId,
    PositiveMoney,
    Resource,
    Text,
    UserId,
)
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.settlement import queries, service
from affiliate.settlement.models import PayIn


class NewPayIn(Body):
    merchant: MerchantId
    money: PositiveMoney
    reference: Text  # the bank's; good once for each merchant
    note: LongText | None = None


class PayInChange(Body):
    note: LongText | None = None


class Returned(Body):
    reason: Text


class PayInQuery(ListQuery):
    merchant: MerchantId | None = None


class PayInShown(Resource):
    id: PayInId
    merchant: MerchantId
    money: Money
    reference: str
    note: str | None
    created_by: UserId
    created_at: Instant
    returned_at: Instant | None
    return_reason: str | None
    version: int


@endpoint("POST", "/pay-ins", needs=Right.HANDLE_MONEY, status=201)
def create(caller: Caller, body: NewPayIn) -> PayInShown:
    """Book money that arrived from a merchant."""
    caller.require(Right.HANDLE_MONEY, body.merchant)
    people.merchant(body.merchant)
    arrived = money.Money(body.money.amount, body.money.currency)
    pay_in = service.record_pay_in(
        body.merchant, arrived, reference=body.reference, by=caller.user_id, note=body.note
    )
    return show(pay_in)


@endpoint("GET", "/pay-ins", needs=Right.READ_MONEY)
def all_pay_ins(caller: Caller, query: PayInQuery) -> Page[PayInShown]:
    """Pay-ins, newest first."""
    found = sa.select(PayIn).where(within(PayIn.merchant_id, caller.scope(Right.READ_MONEY)))
    if query.merchant is not None:
        found = found.where(PayIn.merchant_id == query.merchant)
    return paging.page(found, query, by=[PayIn.id], show=show)


@endpoint("GET", "/pay-ins/{pay_in_id}", needs=Right.READ_MONEY)
def one(caller: Caller, pay_in_id: PayInId) -> PayInShown:
    """One pay-in."""
    caller.require(Right.READ_MONEY, pay_in_id[0])
    return show(queries.pay_in(*pay_in_id))


@endpoint("PATCH", "/pay-ins/{pay_in_id}", needs=Right.HANDLE_MONEY)
def change(caller: Caller, pay_in_id: PayInId, body: PayInChange, if_match: IfMatch) -> PayInShown:
    """Change the note. What was booked stays."""
    caller.require(Right.HANDLE_MONEY, pay_in_id[0])
    pay_in = queries.pay_in(*pay_in_id, lock=True)
    if_match.check(pay_in.version)
    if "note" in body.given():
        service.change_pay_in_note(pay_in, body.note)
    return show(pay_in)


@endpoint("POST", "/pay-ins/{pay_in_id}/return", needs=Right.HANDLE_MONEY)
def take_back(caller: Caller, pay_in_id: PayInId, body: Returned) -> PayInShown:
    """The bank took it back: the merchant owes it again. Asking again changes nothing."""
    caller.require(Right.HANDLE_MONEY, pay_in_id[0])
    pay_in = queries.pay_in(*pay_in_id, lock=True)
    return show(service.return_pay_in(pay_in, by=caller.user_id, reason=body.reason))


def show(pay_in: PayIn) -> PayInShown:
    return PayInShown(
        id=(pay_in.merchant_id, pay_in.id),
        merchant=pay_in.merchant_id,
        money=Money.of(pay_in.amount, pay_in.currency),
        reference=pay_in.reference,
        note=pay_in.note,
        created_by=pay_in.created_by,
        created_at=pay_in.created_at,
        returned_at=pay_in.returned_at,
        return_reason=pay_in.return_reason,
        version=pay_in.version,
    )
