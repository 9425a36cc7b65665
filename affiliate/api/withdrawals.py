"""Withdrawals: a payee asks a merchant that pays on request for its money."""

import sqlalchemy as sa
from pydantic import Field

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.payouts import READERS, Why
from affiliate.api.settlements import HANDLERS, payee, require_any
from affiliate.api.shapes import (
    AgencyId,
    Body,
    Currency,
    Instant,
    ListQuery,
    LongText,
    MerchantId,
    Money,
    Page,
    Pair,
    PayoutId,
    PositiveMoney,
    PromoterId,
    Resource,
    WithdrawalId,
)
from affiliate.errors import NotFound, invalid
from affiliate.i18n import _
from affiliate.payouts import service
from affiliate.payouts.models import Asked, Withdrawal
from affiliate.payouts.service import withdrawals
from affiliate.people import queries as people
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right

ASKERS = (Right.PROMOTE, Right.RUN_AGENCY)


class NewWithdrawal(Body):
    merchant: MerchantId
    amount: PositiveMoney | None = Field(None, description="None: all there is in `currency`")
    currency: Currency | None = Field(None, description="Instead of an amount")
    promoter: PromoterId | None = Field(None, description="Where the key acts for several")
    agency: AgencyId | None = None
    note: LongText | None = None


class WithdrawalChange(Body):
    note: LongText | None = None


class WithdrawalQuery(ListQuery):
    merchant: MerchantId | None = None
    promoter: PromoterId | None = None
    state: Asked | None = None


class WithdrawalShown(Resource):
    id: WithdrawalId
    merchant: MerchantId
    payee: str
    amount: Money
    state: Asked
    reason: str | None = Field(description="Why it was refused; the money is available again")
    payout: PayoutId | None
    note: str | None
    created_at: Instant
    version: int


@endpoint("POST", "/withdrawals", needs=ASKERS, status=201)
def create(caller: Caller, body: NewWithdrawal) -> WithdrawalShown:
    """Ask for money; it is set aside at once. One at a time for each merchant and currency."""
    people.merchant(body.merchant)
    currency = body.amount.currency if body.amount else body.currency
    if currency is None or (body.amount and body.currency not in (None, currency)):
        message = _("Give an amount, or the currency of which to take all.")
        raise invalid("/amount", "missing", message)
    asked = service.withdraw(
        body.merchant,
        _asker(caller, body),
        currency,
        by=caller.user_id,
        amount=body.amount.amount if body.amount else None,
        note=body.note,
    )
    return show(asked)


@endpoint("GET", "/withdrawals", needs=READERS)
def all_withdrawals(caller: Caller, query: WithdrawalQuery) -> Page[WithdrawalShown]:
    """Withdrawals, newest first: a payee's own, or those asked of one's merchants."""
    found = sa.select(Withdrawal).where(_visible(caller))
    if query.merchant is not None:
        found = found.where(Withdrawal.merchant_id == query.merchant)
    if query.promoter is not None:
        found = found.where(
            Withdrawal.payee_kind == "promoter", Withdrawal.payee_id == query.promoter
        )
    if query.state is not None:
        found = found.where(Withdrawal.state == query.state)
    return paging.page(found, query, by=[Withdrawal.id], show=show)


@endpoint("GET", "/withdrawals/{withdrawal_id}", needs=READERS)
def one(caller: Caller, withdrawal_id: WithdrawalId) -> WithdrawalShown:
    """One withdrawal."""
    return show(_seen(caller, withdrawal_id))


@endpoint("PATCH", "/withdrawals/{withdrawal_id}", needs=ASKERS)
def change(
    caller: Caller, withdrawal_id: WithdrawalId, body: WithdrawalChange, if_match: IfMatch
) -> WithdrawalShown:
    """Change the note. The amount stays: refuse it and ask again."""
    _own(caller, withdrawal_id)
    asked = withdrawals.find(*withdrawal_id, lock=True)
    if_match.check(asked.version)
    if "note" in body.given():
        withdrawals.change_note(asked, body.note)
    return show(asked)


@endpoint("POST", "/withdrawals/{withdrawal_id}/refuse", needs=(*HANDLERS, *ASKERS))
def refuse(caller: Caller, withdrawal_id: WithdrawalId, body: Why) -> WithdrawalShown:
    """Until a settlement takes it: the money is available again. Also by who asked."""
    asked = withdrawals.find(*withdrawal_id)
    if not caller.is_payee(asked.payee_kind, asked.payee_id):
        if not caller.may(*HANDLERS):
            raise NotFound("There is no such withdrawal.")
        require_any(caller, HANDLERS, withdrawal_id[0])
    return show(service.refuse(*withdrawal_id, by=caller.user_id, reason=body.reason))


def _asker(caller: Caller, body: NewWithdrawal) -> tuple[str, int]:
    """Who asks: named, or the only one this caller is."""
    mine = [
        *(("promoter", each) for each in sorted(caller.promoter_ids)),
        *(("agency", each) for each in sorted(caller.agency_ids)),
    ]
    if body.promoter is not None:
        mine = [each for each in mine if each == ("promoter", body.promoter)]
    if body.agency is not None:
        mine = [each for each in mine if each == ("agency", body.agency)]
    if len(mine) == 1:
        return mine[0]
    if not mine:
        raise NotFound("There is no such payee here.")
    raise invalid("/promoter", "missing", _("Say for whom: this key acts for several."))


def _visible(caller: Caller) -> sa.ColumnElement[bool]:
    promoters, agencies = caller.promoter_ids, caller.agency_ids
    mine = sa.or_(
        sa.and_(Withdrawal.payee_kind == "promoter", Withdrawal.payee_id.in_(promoters)),
        sa.and_(Withdrawal.payee_kind == "agency", Withdrawal.payee_id.in_(agencies)),
    )
    if not caller.may(Right.READ_MONEY):
        return mine
    return sa.or_(within(Withdrawal.merchant_id, caller.scope(Right.READ_MONEY)), mine)


def _seen(caller: Caller, withdrawal_id: Pair) -> Withdrawal:
    asked = withdrawals.find(*withdrawal_id)
    if caller.is_payee(asked.payee_kind, asked.payee_id):
        return asked
    if not caller.may(Right.READ_MONEY):
        raise NotFound("There is no such withdrawal.")
    caller.require(Right.READ_MONEY, asked.merchant_id)
    return asked


def _own(caller: Caller, withdrawal_id: Pair) -> None:
    asked = withdrawals.find(*withdrawal_id)
    if not caller.is_payee(asked.payee_kind, asked.payee_id):
        raise NotFound("There is no such withdrawal.")


def show(asked: Withdrawal) -> WithdrawalShown:
    return WithdrawalShown(
        id=(asked.merchant_id, asked.id),
        merchant=asked.merchant_id,
        payee=payee(asked.payee_kind, asked.payee_id),
        amount=Money.of(asked.amount, asked.currency),
        state=Asked(asked.state),
        reason=asked.reason,
        payout=None if asked.payout_id is None else (asked.merchant_id, asked.payout_id),
        note=asked.note,
        created_at=asked.created_at,
        version=asked.version,
    )
