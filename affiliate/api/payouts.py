"""Payouts: one transfer to one payee in one currency, from draft to the bank's last word."""

from collections.abc import Mapping
from typing import Any, Literal, cast

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import endpoint
from affiliate.api.settlements import HANDLERS, payee, require_any
from affiliate.api.shapes import (
    AccountId,
    Body,
    CommissionId,
    EntryId,
    Instant,
    ListQuery,
    MerchantId,
    Money,
    OrderId,
    Page,
    Pair,
    PayoutId,
    PromoterId,
    Resource,
    SettlementId,
    Text,
    UserId,
)
from affiliate.errors import NotFound
from affiliate.payouts import queries, service
from affiliate.payouts.models import Payout, PayoutAccount, PayoutLine, State
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.settlement import service as settlements

READERS = (Right.READ_MONEY, Right.PROMOTE, Right.RUN_AGENCY)
SHOWN_LINES = 200


class Why(Body):
    reason: Text


class Paid(Body):
    reference: Text | None = Field(None, description="The bank's, as on the statement")
    paid_at: Instant | None = Field(None, description="None: now")


class Stated(Body):
    outcome: Literal["paid", "failed"]
    proof: Text = Field(description="What shows it: a letter, a statement, a case at the provider")
    reference: Text | None = Field(None, description="The bank's; needed for `paid`")
    paid_at: Instant | None = Field(None, description="None: when it is confirmed")


class PayoutQuery(ListQuery):
    settlement: SettlementId | None = None
    merchant: MerchantId | None = None
    promoter: PromoterId | None = None
    state: State | None = None
    rail: Text | None = None


class PayoutShown(Resource):
    id: PayoutId
    merchant: MerchantId
    settlement: SettlementId
    payee: str
    account: AccountId
    masked: str
    rail: str
    gross: Money
    withheld: Money
    net: Money
    state: State
    reference: str = Field(description="What the bank sees; never another for this payout")
    reason: str | None
    provider_reference: str | None
    paid_at: Instant | None
    created_at: Instant
    version: int


class LineShown(Resource):
    entry: EntryId
    commission: CommissionId
    order: OrderId
    money: Money
    live: bool = Field(description="False once another payout may own the entry")


class Step(Resource):
    state: State
    at: Instant
    user: UserId | None
    detail: dict[str, Any]


class Attempt(Resource):
    """A sending to a provider. Without an answer it was cut short, and the provider is asked."""

    at: Instant
    said: str | None
    detail: str | None


class Calls(Resource):
    """How its provider is called: what comes next and when, and what it said last."""

    next: Literal["send", "ask"]
    at: Instant | None = Field(description="None: it has nothing more to say")
    said: str | None
    said_at: Instant | None
    detail: str | None
    until: Instant | None = Field(description="When an action of the payee lapses")
    attempts: list[Attempt] = Field(description="The last 50, newest first")


class Proof(Resource):
    """What one person states of a payout of which nobody knows, for another to confirm."""

    outcome: Literal["paid", "failed"]
    proof: str
    reference: str | None
    paid_at: Instant | None
    stated_by: UserId
    stated_at: Instant
    confirmed_by: UserId | None


class Confirm(Resource):
    """What the payee's app needs to let them confirm it: for WeChat Pay the `package` of its
    `requestMerchantTransfer`.
    """

    package: str | None
    until: Instant | None


class PayoutDetail(PayoutShown):
    lines: list[LineShown] = Field(description=f"The first {SHOWN_LINES}; …/lines has all")
    timeline: list[Step]
    confirm: Confirm | None = Field(description="While it waits for the payee")
    calls: Calls | None = Field(description="None: no provider is called, or you handle no money")
    proof: Proof | None


@endpoint("GET", "/payouts", needs=READERS)
def all_payouts(caller: Caller, query: PayoutQuery) -> Page[PayoutShown]:
    """Payouts, newest first; a promoter's own."""
    found = sa.select(Payout).where(_visible(caller))
    if query.settlement is not None:
        found = found.where(sa.tuple_(Payout.merchant_id, Payout.settlement_id) == query.settlement)
    if query.merchant is not None:
        found = found.where(Payout.merchant_id == query.merchant)
    if query.promoter is not None:
        found = found.where(Payout.payee_kind == "promoter", Payout.payee_id == query.promoter)
    if query.state is not None:
        found = found.where(Payout.state == query.state)
    if query.rail is not None:
        found = found.where(Payout.rail == query.rail)
    rows, following = paging.rows(found, query, by=[Payout.id])
    accounts = queries.accounts([row.account_id for row in rows])
    return Page(data=[PayoutShown(**_fields(row, accounts)) for row in rows], next=following)


@endpoint("GET", "/payouts/{payout_id}", needs=READERS)
def one(caller: Caller, payout_id: PayoutId) -> PayoutDetail:
    """One payout, with its entries and everything that happened to it."""
    return detail(caller, _seen(caller, payout_id))


@endpoint("GET", "/payouts/{payout_id}/lines", needs=READERS)
def lines(caller: Caller, payout_id: PayoutId, query: ListQuery) -> Page[LineShown]:
    """The entries it owns or owned."""
    payout = _seen(caller, payout_id)
    found = sa.select(PayoutLine).filter_by(merchant_id=payout.merchant_id, payout_id=payout.id)
    rows, following = paging.rows(found, query, by=[PayoutLine.entry_id])
    return Page(data=_lines(payout, [row.entry_id for row in rows]), next=following)


@endpoint("POST", "/payouts/{payout_id}/cancel", needs=HANDLERS)
def cancel(caller: Caller, payout_id: PayoutId, body: Why) -> PayoutDetail:
    """Take it out of its settlement, until it is handed over. The others stay as they are."""
    require_any(caller, HANDLERS, payout_id[0])
    payout = settlements.cancel_payout(*payout_id, by=caller.user_id, reason=body.reason)
    return detail(caller, payout)


@endpoint("POST", "/payouts/{payout_id}/mark-paid", needs=HANDLERS)
def mark_paid(caller: Caller, payout_id: PayoutId, body: Paid) -> PayoutDetail:
    """The bank carried it out. Refused where a provider can be asked (`provider_says`), and where
    nobody knows (`needs_two_people`). Paid by hand it needs a reference.
    """
    require_any(caller, HANDLERS, payout_id[0])
    payout = service.mark_paid(
        *payout_id, by=caller.user_id, paid_at=body.paid_at, reference=body.reference
    )
    return detail(caller, payout)


@endpoint("POST", "/payouts/{payout_id}/mark-failed", needs=HANDLERS)
def mark_failed(caller: Caller, payout_id: PayoutId, body: Why) -> PayoutDetail:
    """The bank refused it: the money is available again."""
    require_any(caller, HANDLERS, payout_id[0])
    payout = service.mark_failed(*payout_id, by=caller.user_id, reason=body.reason)
    return detail(caller, payout)


@endpoint("POST", "/payouts/{payout_id}/mark-returned", needs=HANDLERS)
def mark_returned(caller: Caller, payout_id: PayoutId, body: Why) -> PayoutDetail:
    """It was paid and came back: the next settlement pays the same entries again."""
    require_any(caller, HANDLERS, payout_id[0])
    payout = service.mark_returned(*payout_id, by=caller.user_id, reason=body.reason)
    return detail(caller, payout)


@endpoint("POST", "/payouts/{payout_id}/state-outcome", needs=HANDLERS)
def state_outcome(caller: Caller, payout_id: PayoutId, body: Stated) -> PayoutDetail:
    """Of an unknown payout whose provider cannot tell: what became of it, with a proof. Another
    person has to confirm it; only people can.
    """
    require_any(caller, HANDLERS, payout_id[0])
    service.state_outcome(
        *payout_id,
        by=caller.user_id,
        outcome=State(body.outcome),
        proof=body.proof,
        reference=body.reference,
        paid_at=body.paid_at,
    )
    return detail(caller, queries.find(*payout_id))


@endpoint("POST", "/payouts/{payout_id}/confirm-outcome", needs=HANDLERS)
def confirm_outcome(caller: Caller, payout_id: PayoutId) -> PayoutDetail:
    """The second person: the proof is good enough, and the payout ends as it was stated."""
    require_any(caller, HANDLERS, payout_id[0])
    return detail(caller, service.confirm_outcome(*payout_id, by=caller.user_id))


@endpoint("POST", "/payouts/{payout_id}/drop-outcome", needs=HANDLERS)
def drop_outcome(caller: Caller, payout_id: PayoutId) -> PayoutDetail:
    """It was not so: another statement can be made."""
    require_any(caller, HANDLERS, payout_id[0])
    return detail(caller, service.drop_outcome(*payout_id, by=caller.user_id))


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    mine = sa.or_(
        sa.and_(Payout.payee_kind == "promoter", Payout.payee_id.in_(caller.promoter_ids)),
        sa.and_(Payout.payee_kind == "agency", Payout.payee_id.in_(caller.agency_ids)),
    )
    if not caller.may(Right.READ_MONEY):
        return mine
    return sa.or_(within(Payout.merchant_id, caller.scope(Right.READ_MONEY)), mine)


def _seen(caller: Caller, payout_id: Pair) -> Payout:
    payout = queries.find(*payout_id)
    if caller.is_payee(payout.payee_kind, payout.payee_id):
        return payout
    if not caller.may(Right.READ_MONEY):
        raise NotFound("There is no such payout.")
    caller.require(Right.READ_MONEY, payout.merchant_id)
    return payout


def detail(caller: Caller, payout: Payout) -> PayoutDetail:
    """Who did what is for those who handle money, not for the payee."""
    names_users = caller.has(Right.READ_MONEY, payout.merchant_id)
    timeline = [
        Step(
            state=State(each.state),
            at=each.created_at,
            user=each.user_id if names_users else None,
            detail=each.detail,
        )
        for each in queries.timeline(payout)
    ]
    fields = _fields(payout, queries.accounts([payout.account_id]))
    return PayoutDetail(
        **fields,
        lines=_lines(payout),
        timeline=timeline,
        confirm=_confirm(payout),
        calls=_calls(payout) if names_users else None,
        proof=_proof(payout) if names_users else None,
    )


def _confirm(payout: Payout) -> Confirm | None:
    call = queries.call(payout) if payout.state == State.ACTION_REQUIRED else None
    return Confirm(package=call.action, until=call.until) if call else None


def _calls(payout: Payout) -> Calls | None:
    call = queries.call(payout)
    if call is None:
        return None
    return Calls(
        next=cast(Literal["send", "ask"], call.next),
        at=call.call_at,
        said=call.said,
        said_at=call.said_at,
        detail=call.detail,
        until=call.until,
        attempts=[
            Attempt(at=each.created_at, said=each.said, detail=each.detail)
            for each in queries.attempts(payout)
        ],
    )


def _proof(payout: Payout) -> Proof | None:
    found = queries.proof(payout)
    if found is None:
        return None
    return Proof(
        outcome=cast(Literal["paid", "failed"], found.outcome),
        proof=found.proof,
        reference=found.reference,
        paid_at=found.paid_at,
        stated_by=found.stated_by,
        stated_at=found.created_at,
        confirmed_by=found.confirmed_by,
    )


def _fields(row: Payout, accounts: Mapping[int, PayoutAccount]) -> dict[str, Any]:
    return {
        "id": (row.merchant_id, row.id),
        "merchant": row.merchant_id,
        "settlement": (row.merchant_id, row.settlement_id),
        "payee": payee(row.payee_kind, row.payee_id),
        "account": row.account_id,
        "masked": accounts[row.account_id].masked,
        "rail": row.rail,
        "gross": Money.of(row.gross, row.currency),
        "withheld": Money.of(row.withheld, row.currency),
        "net": Money.of(row.net, row.currency),
        "state": State(row.state),
        "reference": row.reference,
        "reason": row.reason,
        "provider_reference": row.provider_reference,
        "paid_at": row.paid_at,
        "created_at": row.created_at,
        "version": row.version,
    }


def _lines(payout: Payout, entry_ids: list[int] | None = None) -> list[LineShown]:
    found = queries.lines(payout, entry_ids, limit=SHOWN_LINES)
    if entry_ids is not None:
        found = sorted(found, key=lambda line: -line.entry_id)  # as pages are ordered
    key = payout.merchant_id
    return [
        LineShown(
            entry=(key, each.entry_id),
            commission=(key, each.commission_id),
            order=(key, each.order_id),
            money=Money.of(each.amount, payout.currency),
            live=each.live,
        )
        for each in found
    ]
