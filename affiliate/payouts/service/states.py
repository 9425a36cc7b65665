"""The steps of a payout, one verb each. Its amount never changes; its money follows its state.

Every verb may be called again: what is done already is answered as it is, what no longer fits is
refused. Lock order: settlement, payout, entries, then the books.
"""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate import audit, clock
from affiliate.commissions import service as commissions
from affiliate.commissions.models import State as EntryState
from affiliate.db import among, db
from affiliate.errors import Conflict, NotFound, invalid
from affiliate.i18n import _
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting
from affiliate.payouts import rules
from affiliate.payouts.models import Payout, PayoutEvent, PayoutLine, State

# What somebody says about a payout, or a rule: the rest follows from its settlement.
DECIDED = {State.PAID, State.FAILED, State.RETURNED, State.CANCELLED}


class PayoutNotThere(NotFound):
    pass


class WrongState(Conflict):
    code = "wrong_payout_state"


def mark_paid(
    merchant_id: int,
    payout_id: int,
    *,
    by: int,
    paid_at: datetime | None = None,
    reference: str | None = None,
) -> Payout:
    """The bank carried it out: the money leaves the payee's reserved account."""
    payout = _locked(merchant_id, payout_id)
    if payout.state == State.PAID:
        _same_again(payout, paid_at, reference)
        return payout
    now = clock.now()
    if paid_at is not None and paid_at > now:
        message = _("A payout cannot have been paid later than now.")
        raise invalid("/paid_at", "in_the_future", message)
    payout.paid_at = paid_at or now
    payout.provider_reference = reference
    _move(payout, State.PAID, by, {"reference": reference} if reference else {})
    _move_entries(payout, EntryState.RESERVED, EntryState.PAID)
    ledger.post(_paid(payout))
    return payout


def mark_failed(merchant_id: int, payout_id: int, *, by: int, reason: str) -> Payout:
    """The bank did not carry it out: the payee has the money available again."""
    return _undo(merchant_id, payout_id, State.FAILED, by, reason)


def cancel(merchant_id: int, payout_id: int, *, by: int | None, reason: str) -> Payout:
    """Until it is handed over; from then on only the bank's answer counts.

    Called by settlement, which holds the settlement's lock.
    """
    return _undo(merchant_id, payout_id, State.CANCELLED, by, reason)


def mark_returned(merchant_id: int, payout_id: int, *, by: int, reason: str) -> Payout:
    """It was paid and came back: the next settlement pays the same entries again."""
    payout = _locked(merchant_id, payout_id)
    if payout.state == State.RETURNED:
        return payout
    payout.reason = reason
    _move(payout, State.RETURNED, by, {"reason": reason})
    _give_back(payout, EntryState.PAID)
    ledger.post(_returned(payout))
    return payout


def move_all(
    merchant_id: int,
    settlement_id: int,
    state: State,
    to: State,
    *,
    by: int | None,
    rail: str | None = None,
    currency: str | None = None,
    detail: dict[str, Any] | None = None,
    limit: int | None = None,
) -> int:
    """All payouts of a settlement that stand in one state, in one statement; how many moved."""
    assert rules.may_become(state, to)
    given = {
        "merchant": merchant_id,
        "settlement": settlement_id,
        "state": state,
        "to": to,
        "by": by,
        "rail": rail,
        "currency": currency,
        "detail": json.dumps(detail or {}),
        "limit": limit,
        "now": clock.now(),
    }
    return int(db.session.execute(MOVE_ALL, given).scalar_one())


def cancel_all(merchant_id: int, settlement_id: int, *, by: int, reason: str) -> None:
    """All that is not handed over yet: whole settlements are discarded before their approval.

    What a withdrawal asked for stays reserved for it.
    """
    given = {"merchant": merchant_id, "settlement": settlement_id, "by": by, "now": clock.now()}
    given |= {"reason": reason, "detail": json.dumps({"reason": reason})}
    cancelled = (
        Payout.merchant_id == merchant_id,
        Payout.settlement_id == settlement_id,
        Payout.state.in_([State.DRAFT, State.AWAITING_APPROVAL]),
    )
    lines = (PayoutLine.merchant_id == merchant_id, PayoutLine.live)
    unasked = sa.select(Payout.id).where(*cancelled, Payout.withdrawal_id.is_(None))
    commissions.move_entries(
        merchant_id,
        sa.select(PayoutLine.entry_id).where(*lines, PayoutLine.payout_id.in_(unasked)),
        EntryState.RESERVED,
        EntryState.AVAILABLE,
    )
    ids = list(db.session.scalars(sa.select(Payout.id).where(*cancelled)))
    ledger.post_from(CANCEL_ALL, given)
    db.session.execute(
        sa.update(PayoutLine).where(*lines, among(PayoutLine.payout_id, ids)).values(live=False)
    )


def _locked(merchant_id: int, payout_id: int) -> Payout:
    payout = db.session.get(
        Payout,
        (merchant_id, payout_id),
        with_for_update={"key_share": True},
        populate_existing=True,
    )
    if payout is None:
        raise PayoutNotThere(_("There is no such payout."))
    return payout


def _move(payout: Payout, to: State, by: int | None, detail: dict[str, Any]) -> None:
    if not rules.may_become(State(payout.state), to):
        raise WrongState(_("This payout has moved on, so that is no longer possible."))
    payout.state = to
    payout.version += 1
    db.session.add(
        PayoutEvent(
            merchant_id=payout.merchant_id,
            payout_id=payout.id,
            state=to,
            user_id=by,
            detail=detail,
        )
    )
    db.session.flush()
    if to in DECIDED:
        audit.record(
            f"payout.{to}", subject=f"pay:{payout.id}", by=by, merchant_id=payout.merchant_id,
            **(detail | {"net": payout.net, "currency": payout.currency}),
        )  # fmt: skip


def _same_again(payout: Payout, paid_at: datetime | None, reference: str | None) -> None:
    other = (paid_at and paid_at != payout.paid_at) or (
        reference and reference != payout.provider_reference
    )
    if other:
        raise WrongState(_("The payout is paid already, with another time or reference."))


def _undo(merchant_id: int, payout_id: int, to: State, by: int | None, reason: str) -> Payout:
    payout = _locked(merchant_id, payout_id)
    if payout.state == to:
        return payout
    payout.reason = reason
    _move(payout, to, by, {"reason": reason})
    _give_back(payout, EntryState.RESERVED)
    ledger.post([_unreserved(merchant_id, payout)])
    return payout


def _give_back(payout: Payout, state: EntryState) -> None:
    """Other payouts may own the entries again."""
    _move_entries(payout, state, EntryState.AVAILABLE)
    db.session.execute(sa.update(PayoutLine).where(*_lines(payout)).values(live=False))


def _move_entries(payout: Payout, state: EntryState, to: EntryState) -> None:
    lines = sa.select(PayoutLine.entry_id).where(*_lines(payout))
    moved = commissions.move_entries(payout.merchant_id, lines, state, to)
    count = db.session.scalar(sa.select(sa.func.count()).select_from(lines.subquery()))
    assert moved == count, f"entries of payout {payout.id} are not all {state}"


def _lines(payout: Payout) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        PayoutLine.merchant_id == payout.merchant_id,
        PayoutLine.payout_id == payout.id,
        PayoutLine.live.is_(True),
    )


def _paid(payout: Payout) -> list[Posting]:
    merchant, currency, cause = payout.merchant_id, payout.currency, f"payout:{payout.id}"
    source = ledger.reserved(merchant, payout.payee_kind, payout.payee_id, currency)
    clearing, tax = ledger.clearing(merchant, currency), ledger.tax(merchant, currency)
    postings = [
        (Code.PAY, clearing, payout.net),
        (Code.WITHHOLD, tax, payout.withheld),
    ]
    return [Posting(code, cause, source, to, amount) for code, to, amount in postings if amount]


def _returned(payout: Payout) -> list[Posting]:
    merchant, currency, cause = payout.merchant_id, payout.currency, f"payout:{payout.id}"
    target = ledger.available(merchant, payout.payee_kind, payout.payee_id, currency)
    clearing, tax = ledger.clearing(merchant, currency), ledger.tax(merchant, currency)
    postings = [
        (Code.RETURN, clearing, payout.net),
        (Code.RETURN_TAX, tax, payout.withheld),
    ]
    return [
        Posting(code, cause, source, target, amount) for code, source, amount in postings if amount
    ]


def _unreserved(merchant_id: int, payout: Payout) -> Posting:
    owner = (merchant_id, payout.payee_kind, payout.payee_id, payout.currency)
    asked = payout.withdrawal_id
    return Posting(
        Code.UNRESERVE,
        f"withdrawal:{asked}" if asked else f"payout:{payout.id}",
        ledger.reserved(*owner),
        ledger.available(*owner),
        payout.gross,
    )


MOVE_ALL = sa.text("""
    WITH moved AS (
        UPDATE payouts SET state = :to, version = version + 1
        WHERE merchant_id = :merchant AND id IN (
          SELECT id FROM payouts
           WHERE merchant_id = :merchant AND settlement_id = :settlement AND state = :state
             AND (CAST(:rail AS text) IS NULL OR rail = :rail)
             AND (CAST(:currency AS text) IS NULL OR currency = :currency)
           LIMIT :limit)
        RETURNING id
    ), noted AS (
        INSERT INTO payout_events (merchant_id, payout_id, state, user_id, detail, created_at)
        SELECT :merchant, id, :to, :by, CAST(:detail AS jsonb), :now FROM moved ORDER BY id
    )
    SELECT count(*) FROM moved
""")

CANCEL_ALL = """
    cancelled AS (
        UPDATE payouts SET state = 'cancelled', reason = :reason, version = version + 1
        WHERE merchant_id = :merchant AND settlement_id = :settlement
          AND state IN ('draft', 'awaiting_approval')
        RETURNING *
    ), noted AS (
        INSERT INTO payout_events (merchant_id, payout_id, state, user_id, detail, created_at)
        SELECT :merchant, id, 'cancelled', :by, CAST(:detail AS jsonb), :now
        FROM cancelled ORDER BY id
    ), rows AS (
        SELECT merchant_id, 'unreserve' AS code, 'payout:' || id AS cause, payee_kind, payee_id,
               currency, gross AS amount
        FROM cancelled WHERE withdrawal_id IS NULL
    )
"""
