"""Decisions of people about a settlement: approved once by a second person, or discarded."""

import sqlalchemy as sa

from affiliate import audit, clock, security
from affiliate.commissions.models import State as EntryState
from affiliate.db import db
from affiliate.errors import Conflict, Forbidden
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.payouts import queries as payout_queries
from affiliate.payouts import service as payouts
from affiliate.payouts.models import Payout
from affiliate.payouts.models import State as PayoutState
from affiliate.people import delegations
from affiliate.people import service as people
from affiliate.settlement import queries, rules
from affiliate.settlement.models import ApprovalException, Offset, Settlement, State
from affiliate.settlement.service.building import add_up, move_offsets
from affiliate.settlement.service.exceptions import open_exception
from affiliate.settlement.service.states import WrongState, locked, move, person


class AlreadyApproved(Conflict):
    code = "already_approved"


class SelfApproval(Forbidden):
    code = "self_approval"


class OtherHash(Conflict):
    code = "hash_mismatch"


class OverLimit(Forbidden):
    code = "over_limit"


def approve(merchant_id: int, settlement_id: int, *, by: int, seen: str, otp: str) -> Settlement:
    """Let the money go: once, by a second person, for exactly what this person saw.

    `seen` is the hash that was shown to them. Nobody goes beyond their limits; who stands in for
    somebody, not beyond theirs. The code is asked for last, so that no other refusal uses it up.
    """
    settlement = locked(merchant_id, settlement_id)
    user = person(by)
    _check_state(settlement)
    exception = _exception(settlement) if settlement.created_by == user.id else None
    _check_hash(settlement, seen)
    given_by = _given_by(settlement, user.id)
    people.check_totp(user, otp)
    settlement.approved_by, settlement.approved_at = user.id, clock.now()
    settlement.approved_for = given_by
    settlement.exception_id = exception.id if exception else None
    move(settlement, State.APPROVED)
    payouts.move_all(
        merchant_id, settlement_id, PayoutState.AWAITING_APPROVAL, PayoutState.APPROVED, by=user.id
    )
    move_offsets(settlement, EntryState.PAID)
    _note("settlement.approved", settlement, user.id)
    return settlement


def _exception(settlement: Settlement) -> ApprovalException:
    found = open_exception(settlement.merchant_id)
    if found is None:
        raise SelfApproval(_("Who made a settlement cannot approve it; another person has to."))
    _check_limits(settlement, found.limits)
    return found


def _given_by(settlement: Settlement, user_id: int) -> int | None:
    """In whose place they approve; None is their own."""
    refused: OverLimit | None = None
    for giver in delegations.approves_for(user_id, settlement.merchant_id):
        if giver is not None and giver == settlement.created_by:
            continue  # whose own eyes it cannot be
        limits = delegations.limits_of(giver or user_id)
        try:
            if limits is not None:
                _check_limits(settlement, limits)
        except OverLimit as error:
            refused = error
        else:
            return giver
    if refused:
        raise refused
    raise SelfApproval(_("Who made a settlement cannot approve it; another person has to."))


def _check_limits(settlement: Settlement, limits: dict[str, int]) -> None:
    for currency, sums in settlement.totals.items():
        most = limits.get(currency, 0)
        if sums["net"] > most:
            raise OverLimit(
                _(
                    "%(total)s is more than your limit of %(limit)s.",
                    total=str(Money(sums["net"], currency)),
                    limit=str(Money(most, currency)),
                )
            )


def _check_state(settlement: Settlement) -> None:
    if settlement.approved_by is not None:
        raise AlreadyApproved(_("Somebody has already approved this settlement."))
    if settlement.state != State.REVIEW:
        raise WrongState(_("Only a settlement in review can be approved."))


def _check_hash(settlement: Settlement, seen: str) -> None:
    """Counted anew from the rows, not only compared with what was counted when it was built."""
    assert settlement.hash
    now = rules.digest(queries.canonical_lines(settlement))
    if not (security.same(now, settlement.hash) and security.same(now, seen)):
        raise OtherHash(_("This is not the hash of what is to be paid now: look at it again."))


def discard(merchant_id: int, settlement_id: int, *, by: int) -> Settlement:
    """Before its approval: every entry is available again, as if it had never been made."""
    settlement = locked(merchant_id, settlement_id)
    if settlement.state == State.DISCARDED:
        return settlement
    settlement.discarded_by, settlement.ended_at = by, clock.now()
    move(settlement, State.DISCARDED)
    payouts.cancel_all(merchant_id, settlement_id, by=by, reason="settlement discarded")
    move_offsets(settlement, EntryState.AVAILABLE)
    db.session.execute(
        sa.update(Offset)
        .where(Offset.merchant_id == merchant_id, Offset.settlement_id == settlement_id)
        .values(live=False)
    )
    _note("settlement.discarded", settlement, by)
    return settlement


def _note(action: str, settlement: Settlement, by: int) -> None:
    audit.record(
        action, subject=f"stl:{settlement.id}", by=by, merchant_id=settlement.merchant_id,
        hash=settlement.hash, totals=settlement.totals,
    )  # fmt: skip


def cancel_held(merchant_id: int) -> int:
    """Take payouts out that own held money and are not handed over yet, and refuse withdrawals
    that are no longer covered; returns how many.
    """
    found = payout_queries.held(merchant_id)
    for payout_id in found:
        cancel_payout(merchant_id, payout_id, by=None, reason="on_hold")
    uncovered = payouts.uncovered(merchant_id)
    for withdrawal_id, reason in uncovered:
        payouts.refuse(merchant_id, withdrawal_id, by=None, reason=reason)
    return len(found) + len(uncovered)


def cancel_payout(merchant_id: int, payout_id: int, *, by: int | None, reason: str) -> Payout:
    """Take one payout out; the others stay as they are. Before the approval the hash changes."""
    settlement_id = payout_queries.find(merchant_id, payout_id).settlement_id
    settlement = locked(merchant_id, settlement_id)
    if settlement.state == State.BUILDING:
        raise WrongState(_("The settlement is still being built."))
    payout = payouts.cancel(merchant_id, payout_id, by=by, reason=reason)
    if settlement.state == State.REVIEW:
        add_up(settlement)
        settlement.version += 1
        db.session.flush()
    return payout


def change_note(settlement: Settlement, note: str | None) -> Settlement:
    """The only thing about a settlement that can be edited."""
    settlement.note = note
    settlement.version += 1
    db.session.flush()
    return settlement
