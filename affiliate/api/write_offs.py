"""Write-offs: what a payee owes and is not expected to pay back, decided by two people."""

from typing import Literal, cast

import sqlalchemy as sa

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.settlements import HANDLERS, payee, require_any
from affiliate.api.shapes import (
    AgencyId,
    Body,
    Instant,
    ListQuery,
    LongText,
    MerchantId,
    Money,
    Page,
    PositiveMoney,
    PromoterId,
    Resource,
    Text,
    UserId,
    WriteOffId,
)
from affiliate.errors import invalid
from affiliate.i18n import _
from affiliate.payouts import service
from affiliate.payouts.models import WriteOff
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right

State = Literal["requested", "approved", "refused"]


class NewWriteOff(Body):
    merchant: MerchantId
    promoter: PromoterId | None = None
    agency: AgencyId | None = None
    amount: PositiveMoney
    reason: Text
    note: LongText | None = None


class WriteOffChange(Body):
    note: LongText | None = None


class WriteOffQuery(ListQuery):
    merchant: MerchantId | None = None
    state: State | None = None


class WriteOffShown(Resource):
    id: WriteOffId
    merchant: MerchantId
    payee: str
    amount: Money
    reason: str
    state: State
    created_by: UserId
    decided_by: UserId | None
    decided_at: Instant | None
    recovered_at: Instant | None
    note: str | None
    created_at: Instant
    version: int


@endpoint("POST", "/write-offs", needs=HANDLERS, status=201)
def create(caller: Caller, body: NewWriteOff) -> WriteOffShown:
    """Ask to write off what a payee owes a merchant; another person has to approve."""
    require_any(caller, HANDLERS, body.merchant)
    people.merchant(body.merchant)
    asked = service.request_write_off(
        body.merchant,
        _whose(body),
        body.amount.currency,
        amount=body.amount.amount,
        reason=body.reason,
        by=caller.user_id,
        note=body.note,
    )
    return show(asked)


@endpoint("GET", "/write-offs", needs=Right.READ_MONEY)
def all_write_offs(caller: Caller, query: WriteOffQuery) -> Page[WriteOffShown]:
    """Write-offs, newest first."""
    found = sa.select(WriteOff).where(within(WriteOff.merchant_id, caller.scope(Right.READ_MONEY)))
    if query.merchant is not None:
        found = found.where(WriteOff.merchant_id == query.merchant)
    if query.state is not None:
        found = found.where(WriteOff.state == query.state)
    return paging.page(found, query, by=[WriteOff.id], show=show)


@endpoint("GET", "/write-offs/{write_off_id}", needs=Right.READ_MONEY)
def one(caller: Caller, write_off_id: WriteOffId) -> WriteOffShown:
    """One write-off."""
    caller.require(Right.READ_MONEY, write_off_id[0])
    return show(service.write_off(*write_off_id))


@endpoint("PATCH", "/write-offs/{write_off_id}", needs=HANDLERS)
def change(
    caller: Caller, write_off_id: WriteOffId, body: WriteOffChange, if_match: IfMatch
) -> WriteOffShown:
    """Change the note. What was asked and decided stays."""
    require_any(caller, HANDLERS, write_off_id[0])
    asked = service.write_off(*write_off_id, lock=True)
    if_match.check(asked.version)
    if "note" in body.given():
        service.change_write_off_note(asked, body.note)
    return show(asked)


@endpoint("POST", "/write-offs/{write_off_id}/approve", needs=HANDLERS)
def approve(caller: Caller, write_off_id: WriteOffId) -> WriteOffShown:
    """As another person than who asked: the debt is bad debt from now on."""
    require_any(caller, HANDLERS, write_off_id[0])
    return show(service.approve_write_off(*write_off_id, by=caller.user_id))


@endpoint("POST", "/write-offs/{write_off_id}/refuse", needs=HANDLERS)
def refuse(caller: Caller, write_off_id: WriteOffId) -> WriteOffShown:
    """Nothing is booked; it may be asked for again."""
    require_any(caller, HANDLERS, write_off_id[0])
    return show(service.refuse_write_off(*write_off_id, by=caller.user_id))


def _whose(body: NewWriteOff) -> tuple[str, int]:
    if (body.promoter is None) == (body.agency is None):
        raise invalid("/promoter", "missing", _("Name a promoter or an agency."))
    if body.promoter is not None:
        return "promoter", people.promoter(body.promoter).id
    assert body.agency is not None
    return "agency", people.agency(body.agency).id


def show(asked: WriteOff) -> WriteOffShown:
    return WriteOffShown(
        id=(asked.merchant_id, asked.id),
        merchant=asked.merchant_id,
        payee=payee(asked.payee_kind, asked.payee_id),
        amount=Money.of(asked.amount, asked.currency),
        reason=asked.reason,
        state=cast(State, asked.state),
        created_by=asked.created_by,
        decided_by=asked.decided_by,
        decided_at=asked.decided_at,
        recovered_at=asked.recovered_at,
        note=asked.note,
        created_at=asked.created_at,
        version=asked.version,
    )
