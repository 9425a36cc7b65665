"""The steps of a payout, one verb each. Its amount never changes; its money follows its state.

Every verb may be called again: what is done already is answered as it is, what no longer fits is
refused. Lock order: settlement, payout, entries, then the books.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from affiliate import audit, clock, events, ids
from affiliate.commissions import service as commissions
from affiliate.commissions.models import State as EntryState
from affiliate.db import among, db
from affiliate.errors import Conflict, NotFound, invalid
from affiliate.events import Happening
from affiliate.i18n import _
from affiliate.ledger import service as ledger
from affiliate.ledger.service import Code, Posting
from affiliate.payouts import rails, rules
from affiliate.payouts.models import Payout, PayoutEvent, PayoutLine, State

# What somebody says about a payout, or a rule: the rest follows from its settlement.
TOLD = {State.PAID, State.FAILED, State.RETURNED, State.ACTION_REQUIRED}
DECIDED = {State.PAID, State.FAILED, State.RETURNED, State.CANCELLED}


class PayoutNotThere(NotFound):
    pass


class WrongState(Conflict):
    code = "wrong_payout_state"


class ProviderSays(Conflict):
    code = "provider_says"


class NeedsTwo(Conflict):
    code = "needs_two_people"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a payout ends: paid, failed or returned, and what is known of it."""

    state: State
    reason: str | None = None
    reference: str | None = None  # the bank's, of a payment
    paid_at: datetime | None = None
    fee: int = 0  # what the provider took for it, on top


def mark_paid(
    merchant_id: int,
    payout_id: int,
    *,
    by: int,
    paid_at: datetime | None = None,
    reference: str | None = None,
) -> Payout:
    """The bank carried it out: the money leaves the payee's reserved account."""
    payout = locked(merchant_id, payout_id)
    if payout.state == State.PAID:
        _same_again(payout, paid_at, reference)
        return payout
    _check_by_hand(payout)
    rails.check_proof(payout.rail, reference)
    check_time(paid_at)
    conclude([(payout, Outcome(State.PAID, reference=reference, paid_at=paid_at))], by)
    return payout


def mark_failed(merchant_id: int, payout_id: int, *, by: int, reason: str) -> Payout:
    """The bank did not carry it out: the payee has the money available again."""
    payout = locked(merchant_id, payout_id)
    if payout.state != State.FAILED:
        _check_by_hand(payout)
        conclude([(payout, Outcome(State.FAILED, reason))], by)
    return payout


def cancel(merchant_id: int, payout_id: int, *, by: int | None, reason: str) -> Payout:
    """Until it is handed over; from then on only the bank's answer counts.

    Called by settlement, which holds the settlement's lock.
    """
    payout = locked(merchant_id, payout_id)
    if payout.state != State.CANCELLED:
        conclude([(payout, Outcome(State.CANCELLED, reason))], by)
    return payout


def mark_returned(merchant_id: int, payout_id: int, *, by: int, reason: str) -> Payout:
    """It was paid and came back: the next settlement pays the same entries again."""
    payout = locked(merchant_id, payout_id)
    if payout.state != State.RETURNED:
        _check(payout, State.RETURNED)
        conclude([(payout, Outcome(State.RETURNED, reason))], by)
    return payout


def conclude(found: Sequence[tuple[Payout, Outcome]], by: int | None) -> None:
    """Any number of locked payouts of one merchant reach their ends, and their money with them.

    What came back without anybody having told of its payment was paid first.
    """
    of = {state: [one for one in found if one[1].state == state] for state in State}
    back = of[State.RETURNED]
    postings = _pay([*of[State.PAID], *(one for one in back if one[0].state != State.PAID)], by)
    postings += _undo([*of[State.FAILED], *of[State.CANCELLED]], by)
    postings += _take_back(back, by)
    ledger.post(postings)
    tell([payout for payout, _outcome in found])


def tell(payouts: Sequence[Payout]) -> None:
    """Promoters hear of the ends of their payouts, and when one waits for them."""
    events.record_all(
        Happening(
            f"payout.{payout.state}",
            merchant_id=payout.merchant_id,
            promoter_id=payout.payee_id,
            payload={
                "payout": ids.encode("pay", payout.merchant_id, payout.id),
                "amount": payout.net,
                "currency": payout.currency,
            },
        )
        for payout in payouts
        if payout.payee_kind == "promoter" and payout.state in TOLD
    )


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


def locked(merchant_id: int, payout_id: int) -> Payout:
    found = locked_all(merchant_id, [payout_id])
    if not found:
        raise PayoutNotThere(_("There is no such payout."))
    return found[0]


def locked_all(merchant_id: int, payout_ids: Sequence[int]) -> Sequence[Payout]:
    """In the order of their ids, so that two who lock some of the same never wait in a circle."""
    return db.session.scalars(
        sa.select(Payout)
        .where(Payout.merchant_id == merchant_id, among(Payout.id, payout_ids))
        .order_by(Payout.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).all()


def move(payout: Payout, to: State, by: int | None, detail: dict[str, Any]) -> None:
    """Stored with the next flush."""
    _check(payout, to)
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
    if to in DECIDED and by is not None:
        audit.record(
            f"payout.{to}", subject=f"pay:{payout.id}", by=by, merchant_id=payout.merchant_id,
            **(detail | {"net": payout.net, "currency": payout.currency}),
        )  # fmt: skip


def _check(payout: Payout, to: State) -> None:
    if not rules.may_become(State(payout.state), to):
        raise WrongState(_("This payout has moved on, so that is no longer possible."))


def check_time(paid_at: datetime | None) -> None:
    if paid_at is not None and paid_at > clock.now():
        message = _("A payout cannot have been paid later than now.")
        raise invalid("/paid_at", "in_the_future", message)


def _check_by_hand(payout: Payout) -> None:
    """One person's word counts only where there is nobody to ask."""
    if payout.state == State.UNKNOWN:
        raise NeedsTwo(
            _(
                "Nobody knows what became of this payout. Its provider is asked; if that leads "
                "nowhere, one person states with a proof what happened and another confirms it."
            )
        )
    if rails.is_called(payout.rail):
        raise ProviderSays(
            _("The provider of this payout is asked what became of it; nobody marks it by hand.")
        )


def _same_again(payout: Payout, paid_at: datetime | None, reference: str | None) -> None:
    other = (paid_at and paid_at != payout.paid_at) or (
        reference and reference != payout.provider_reference
    )
    if other:
        raise WrongState(_("The payout is paid already, with another time or reference."))


def _pay(found: Sequence[tuple[Payout, Outcome]], by: int | None) -> list[Posting]:
    now = clock.now()
    for payout, outcome in found:
        payout.paid_at = outcome.paid_at or now
        payout.provider_reference = outcome.reference
        move(payout, State.PAID, by, {"reference": outcome.reference} if outcome.reference else {})
    payouts = [payout for payout, _outcome in found]
    _move_entries(payouts, EntryState.RESERVED, EntryState.PAID)
    fees = [_cost(payout, outcome.fee) for payout, outcome in found if outcome.fee]
    return [posting for payout in payouts for posting in _paid(payout)] + fees


def _cost(payout: Payout, fee: int) -> Posting:
    """A provider takes its fee along with the money, so both leave by the same account."""
    merchant, currency = payout.merchant_id, payout.currency
    costs, clearing = ledger.rail_costs(merchant, currency), ledger.clearing(merchant, currency)
    return Posting(Code.RAIL_COST, f"payout:{payout.id}", costs, clearing, fee)


def _undo(found: Sequence[tuple[Payout, Outcome]], by: int | None) -> list[Posting]:
    """Failed or cancelled: the money is where it was before."""
    payouts = _end(found, by)
    _give_back(payouts, EntryState.RESERVED)
    return [_unreserved(payout.merchant_id, payout) for payout in payouts]


def _take_back(found: Sequence[tuple[Payout, Outcome]], by: int | None) -> list[Posting]:
    payouts = _end(found, by)
    _give_back(payouts, EntryState.PAID)
    return [posting for payout in payouts for posting in _returned(payout)]


def _end(found: Sequence[tuple[Payout, Outcome]], by: int | None) -> list[Payout]:
    for payout, outcome in found:
        payout.reason = outcome.reason
        move(payout, outcome.state, by, {"reason": outcome.reason})
    return [payout for payout, _outcome in found]


def _give_back(payouts: Sequence[Payout], state: EntryState) -> None:
    """Other payouts may own the entries again."""
    _move_entries(payouts, state, EntryState.AVAILABLE)
    if payouts:
        db.session.execute(sa.update(PayoutLine).where(*_lines(payouts)).values(live=False))


def _move_entries(payouts: Sequence[Payout], state: EntryState, to: EntryState) -> None:
    db.session.flush()
    if not payouts:
        return
    lines = sa.select(PayoutLine.entry_id).where(*_lines(payouts))
    moved = commissions.move_entries(payouts[0].merchant_id, lines, state, to)
    count = db.session.scalar(sa.select(sa.func.count()).select_from(lines.subquery()))
    assert moved == count, f"entries of payouts {payouts[0].id} and more are not all {state}"


def _lines(payouts: Sequence[Payout]) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        PayoutLine.merchant_id == payouts[0].merchant_id,
        among(PayoutLine.payout_id, [payout.id for payout in payouts]),
        PayoutLine.live.is_(True),
    )


def _paid(payout: Payout) -> list[Posting]:
    merchant, currency, cause = payout.merchant_id, payout.currency, f"payout:{payout.id}"
    source = ledger.reserved(merchant, payout.payee_kind, payout.payee_id, currency)
    clearing, tax = ledger.clearing(merchant, currency), ledger.tax(merchant, currency)
    postings = [
        (Code.PAY, clearing, payout.net),
        (Code.WITHHOLD, tax, payout.withheld - payout.credited),
    ]
    return [Posting(code, cause, source, to, amount) for code, to, amount in postings if amount]


def _returned(payout: Payout) -> list[Posting]:
    """Tax that was remitted stays with the authority, and counts for the next payout."""
    merchant, currency, cause = payout.merchant_id, payout.currency, f"payout:{payout.id}"
    target = ledger.available(merchant, payout.payee_kind, payout.payee_id, currency)
    clearing, tax = ledger.clearing(merchant, currency), ledger.tax(merchant, currency)
    postings = [
        (Code.RETURN, clearing, payout.net),
        (Code.RETURN_TAX, tax, 0 if payout.remittance_id else payout.withheld - payout.credited),
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
        payout.gross - payout.credited,
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
               currency, gross - credited AS amount
        FROM cancelled WHERE withdrawal_id IS NULL
    )
"""
