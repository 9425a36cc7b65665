"""Reads about payouts and the accounts they go to."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from affiliate import clock
from affiliate.commissions.models import Entry
from affiliate.db import among, db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.payouts.models import (
    Payout,
    PayoutAccount,
    PayoutAttempt,
    PayoutCall,
    PayoutEvent,
    PayoutLine,
    PayoutProof,
    PayoutWithholding,
    State,
)
from affiliate.payouts.service.states import PayoutNotThere


def find(merchant_id: int, payout_id: int) -> Payout:
    found = db.session.get(Payout, (merchant_id, payout_id))
    if found is None:
        raise PayoutNotThere(_("There is no such payout."))
    return found


def withholdings(payout: Payout) -> Sequence[PayoutWithholding]:
    """What is kept back of it, tax by tax."""
    return db.session.scalars(
        sa.select(PayoutWithholding)
        .filter_by(merchant_id=payout.merchant_id, payout_id=payout.id)
        .order_by(PayoutWithholding.tax)
    ).all()


def paid_again(payout: Payout) -> Payout | None:
    """The last payout that took over what came back from this one, as far as it stands."""
    other, ours = aliased(PayoutLine), PayoutLine
    return db.session.scalar(
        sa.select(Payout)
        .join(other, _same(other, Payout))
        .join(ours, sa.and_(ours.merchant_id == other.merchant_id, ours.entry_id == other.entry_id))
        .where(_same(ours, payout), ours.live.is_(False), other.live)
        .order_by(Payout.id.desc())
        .limit(1)
    )


def _same(line: Any, payout: Any) -> sa.ColumnElement[bool]:
    return sa.and_(line.merchant_id == payout.merchant_id, line.payout_id == payout.id)


def account_of(
    payee_kind: str, payee_id: int, account_id: int, *, lock: bool = False
) -> PayoutAccount:
    """This payee's account; anybody else's does not exist."""
    found = db.session.get(
        PayoutAccount, account_id, with_for_update=lock or None, populate_existing=lock
    )
    if found is None or (found.payee_kind, found.payee_id) != (payee_kind, payee_id):
        raise NotFound(_("There is no such payout account."))
    return found


def account_in_use(payee_kind: str, payee_id: int, currency: str) -> PayoutAccount | None:
    """Where payouts go at present: the last one that has cooled off (drafts.ACCOUNTS)."""
    return db.session.scalar(
        sa.select(PayoutAccount)
        .where(
            PayoutAccount.payee_kind == payee_kind,
            PayoutAccount.payee_id == payee_id,
            PayoutAccount.currency == currency,
            sa.or_(
                PayoutAccount.used_from <= clock.now(),
                PayoutAccount.used_from <= PayoutAccount.created_at,
            ),
            sa.or_(
                PayoutAccount.replaced_at.is_(None),
                PayoutAccount.replaced_at >= PayoutAccount.used_from,
            ),
        )
        .order_by(PayoutAccount.used_from.desc(), PayoutAccount.id.desc())
        .limit(1)
    )


def accounts(account_ids: Collection[int]) -> dict[int, PayoutAccount]:
    found = db.session.scalars(
        sa.select(PayoutAccount).where(PayoutAccount.id.in_(set(account_ids)))
    )
    return {account.id: account for account in found}


def lines(
    payout: Payout, entry_ids: Collection[int] | None = None, *, limit: int = 200
) -> Sequence[Any]:
    """The entries it owns or owned, or those of them, each with the order it comes from."""
    wanted = sa.true() if entry_ids is None else PayoutLine.entry_id.in_(entry_ids)
    return db.session.execute(
        sa.select(
            PayoutLine.entry_id,
            PayoutLine.amount,
            PayoutLine.live,
            Entry.commission_id,
            Entry.order_id,
        )
        .join(
            Entry,
            sa.and_(Entry.merchant_id == PayoutLine.merchant_id, Entry.id == PayoutLine.entry_id),
        )
        .where(
            PayoutLine.merchant_id == payout.merchant_id, PayoutLine.payout_id == payout.id, wanted
        )
        .order_by(PayoutLine.entry_id)
        .limit(limit)
    ).all()


def timeline(payout: Payout) -> list[PayoutEvent]:
    """Every state it took, the draft it began as included."""
    began = PayoutEvent(
        merchant_id=payout.merchant_id,
        payout_id=payout.id,
        state=State.DRAFT,
        user_id=None,
        detail={},
        created_at=payout.created_at,
    )
    later = db.session.scalars(
        sa.select(PayoutEvent)
        .where(
            PayoutEvent.merchant_id == payout.merchant_id,
            PayoutEvent.payout_id == payout.id,
            PayoutEvent.state != State.DRAFT,
        )
        .order_by(PayoutEvent.id)
    )
    return [began, *later]


def call(payout: Payout) -> PayoutCall | None:
    """How its provider is called; None where there is none."""
    return db.session.get(PayoutCall, (payout.merchant_id, payout.id), populate_existing=True)


def attempts(payout: Payout, *, limit: int = 50) -> Sequence[PayoutAttempt]:
    """The last sendings, newest first."""
    return db.session.scalars(
        sa.select(PayoutAttempt)
        .filter_by(merchant_id=payout.merchant_id, payout_id=payout.id)
        .order_by(PayoutAttempt.id.desc())
        .limit(limit)
    ).all()


def proof(payout: Payout) -> PayoutProof | None:
    """What somebody stated about it and nobody has dropped."""
    return db.session.scalar(
        sa.select(PayoutProof)
        .filter_by(merchant_id=payout.merchant_id, payout_id=payout.id, dropped_at=None)
        .execution_options(populate_existing=True)
    )


def by_references(references: Collection[str]) -> Sequence[Payout]:
    return db.session.scalars(sa.select(Payout).where(among(Payout.reference, references))).all()


def held(merchant_id: int, settlement_id: int | None = None) -> list[int]:
    """Payouts that are not handed over and own money that is held meanwhile.

    Not those of a settlement that is still being built: it is looked at again when it is done.
    """
    found = _held(Payout.id).where(Payout.merchant_id == merchant_id).order_by(Payout.id)
    if settlement_id is not None:
        found = found.where(Payout.settlement_id == settlement_id)
    return list(db.session.scalars(found))


def merchants_with_held() -> list[int]:
    return list(db.session.scalars(_held(Payout.merchant_id).order_by(Payout.merchant_id)))


def _held(what: Any) -> sa.Select[Any]:
    return (
        sa.select(what)
        .distinct()
        .join(
            PayoutLine,
            sa.and_(
                PayoutLine.merchant_id == Payout.merchant_id, PayoutLine.payout_id == Payout.id
            ),
        )
        .join(
            Entry,
            sa.and_(Entry.merchant_id == Payout.merchant_id, Entry.id == PayoutLine.entry_id),
        )
        .where(
            Payout.state.in_([State.AWAITING_APPROVAL, State.APPROVED]),
            PayoutLine.live,
            Entry.on_hold.is_not(None),
        )
    )
