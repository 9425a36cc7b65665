"""What became of a payout of which nobody knows, when its provider cannot tell either: one person
states it with a proof, another confirms it.

The database refuses the same person twice, service users, and an end without the second one.
"""

from datetime import datetime

import sqlalchemy as sa

from affiliate import clock
from affiliate.db import db
from affiliate.errors import Forbidden, NotFound, invalid
from affiliate.i18n import _
from affiliate.payouts import queries
from affiliate.payouts.models import Payout, PayoutCall, PayoutProof, State
from affiliate.payouts.service import states
from affiliate.payouts.service.states import Outcome, WrongState
from affiliate.people.models import User


class PeopleOnly(Forbidden):
    code = "people_only"


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
    user = _person(by)
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
    return found


def confirm_outcome(merchant_id: int, payout_id: int, *, by: int) -> Payout:
    """The second person, for whom the first one's proof is good enough."""
    payout = _unknown(merchant_id, payout_id)
    user, found = _person(by), _stated(payout)
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
    outcome = Outcome(State(found.outcome), found.proof, found.reference, found.paid_at)
    states.conclude([(payout, outcome)], by=user.id)
    return payout


def drop_outcome(merchant_id: int, payout_id: int, *, by: int) -> Payout:
    """Either of them: it was not so. The statement is kept, and another can be made."""
    payout = _unknown(merchant_id, payout_id)
    found = _stated(payout)
    found.dropped_by, found.dropped_at = _person(by).id, clock.now()
    db.session.flush()
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


def _person(user_id: int) -> User:
    user = db.session.get_one(User, user_id)
    if user.is_service or user.disabled_at is not None:
        raise PeopleOnly(_("Only a person can tell what became of a payout, not a service key."))
    return user
