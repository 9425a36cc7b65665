"""What became of a payout of which nobody knows, when its provider cannot tell either: one person
states it with a proof, another confirms it.

The database refuses the same person twice, service users, and an end without the second one.
"""

from datetime import datetime

import sqlalchemy as sa

from affiliate import audit, clock
from affiliate.db import db
from affiliate.errors import Forbidden, NotFound, invalid
from affiliate.i18n import _
from affiliate.payouts import queries
from affiliate.payouts.models import Payout, PayoutCall, PayoutProof, State
from affiliate.payouts.service import states
from affiliate.payouts.service.states import Outcome, WrongState
from affiliate.people.service import PeopleOnly, person

__all__ = ["PeopleOnly", "SelfConfirmation", "confirm_outcome", "drop_outcome", "state_outcome"]


class SelfConfirmation(Forbidden):
    code = "self_confirmation"


def state_outcome(
    merchant_id: int,
    payout_id: int,
    *,
    by: int,
    outcome: State,
    proof: str,
    reference: str | None = None,
    paid_at: datetime | None = None,
) -> PayoutProof:
    """The first person. Nothing happens to the money yet."""
    payout = _unknown(merchant_id, payout_id)
    user = person(by)
    if queries.proof(payout) is not None:
        raise WrongState(_("Somebody has already stated what became of this payout."))
    if outcome == State.PAID and not reference:
        message = _("What was paid has a reference of the bank.")
        raise invalid("/reference", "missing", message)
    states.check_time(paid_at)
    found = PayoutProof(
        merchant_id=merchant_id,
        payout_id=payout_id,
        outcome=outcome,
        proof=proof,
        reference=reference,
        paid_at=paid_at,
        stated_by=user.id,
    )
    db.session.add(found)
    db.session.flush()
    _record("payout.stated", payout, by, outcome=str(outcome), proof=proof)
    return found


def confirm_outcome(merchant_id: int, payout_id: int, *, by: int) -> Payout:
    """The second person, for whom the first one's proof is good enough."""
    payout = _unknown(merchant_id, payout_id)
    user, found = person(by), _stated(payout)
    if found.stated_by == user.id:
        raise SelfConfirmation(_("Who stated it cannot confirm it; another person has to."))
    found.confirmed_by, found.confirmed_at = user.id, clock.now()
    # Nobody is asked any more, and the database sees the proof before the payout ends.
    db.session.execute(
        sa.update(PayoutCall)
        .where(PayoutCall.merchant_id == merchant_id, PayoutCall.payout_id == payout_id)
        .values(call_at=None)
    )
    db.session.flush()
    _record("payout.confirmed", payout, by, outcome=found.outcome)
    outcome = Outcome(State(found.outcome), found.proof, found.reference, found.paid_at)
    states.conclude([(payout, outcome)], by=user.id)
    return payout


def drop_outcome(merchant_id: int, payout_id: int, *, by: int) -> Payout:
    """Either of them: it was not so. The statement is kept, and another can be made."""
    payout = _unknown(merchant_id, payout_id)
    found = _stated(payout)
    found.dropped_by, found.dropped_at = person(by).id, clock.now()
    db.session.flush()
    _record("payout.dropped", payout, by)
    return payout


def _unknown(merchant_id: int, payout_id: int) -> Payout:
    payout = states.locked(merchant_id, payout_id)
    if payout.state != State.UNKNOWN:
        raise WrongState(_("What became of this payout is known."))
    return payout


def _stated(payout: Payout) -> PayoutProof:
    found = queries.proof(payout)
    if found is None:
        raise NotFound(_("Nobody has stated what became of this payout."))
    return found


def _record(action: str, payout: Payout, by: int, **detail: str) -> None:
    audit.record(
        action, subject=f"pay:{payout.id}", by=by, merchant_id=payout.merchant_id,
        net=payout.net, currency=payout.currency, **detail,
    )  # fmt: skip
