"""Claims: a promoter says that an order is theirs, and a person of the merchant decides.

An accepted claim moves the credit; `commissions.service.accept_claim` books what follows from it.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import audit, clock
from affiliate.attribution.models import Claim, ClaimState
from affiliate.catalog.models import Shop
from affiliate.db import db
from affiliate.errors import Conflict, FieldError
from affiliate.i18n import _
from affiliate.orders.models import Order
from affiliate.programs import queries as programs
from affiliate.programs.models import Program
from affiliate.programs.service import NotEnrolled


class AlreadyClaimed(Conflict):
    code = "already_claimed"


class ClaimDecided(Conflict):
    code = "claim_decided"


class OrderNotFound(Conflict):
    """No order of this shop has the number that was claimed."""

    code = "order_not_found"


def claim(
    program: Program, promoter_id: int, shop: Shop, order_number: str, evidence: str
) -> Claim:
    """Claim an order, known to us or not: the answer does not tell."""
    member = programs.membership(program.merchant_id, program.id, promoter_id)
    if member is None or member.active_from is None:
        message = _("The promoter does not take part in this program.")
        raise NotEnrolled(message, errors=(FieldError("/promoter", "not_enrolled", message),))
    made: Claim | None = db.session.scalar(
        insert(Claim)
        .values(
            merchant_id=program.merchant_id,
            shop_id=shop.id,
            program_id=program.id,
            promoter_id=promoter_id,
            order_number=order_number.strip(),
            evidence=evidence,
            state=ClaimState.OPEN,
            version=1,
            created_at=clock.now(),
        )
        .on_conflict_do_nothing(
            index_elements=["merchant_id", "shop_id", "order_number", "promoter_id"],
            index_where=sa.text("state = 'open'"),
        )
        .returning(Claim)
    )
    if made is None:
        raise AlreadyClaimed(_("You have claimed this order already; it waits for a decision."))
    return made


def accept(claim: Claim, order: Order, *, by: int, reason: str | None) -> None:
    """The caller holds the order's lock and books afterwards. An earlier accepted claim yields."""
    _require_open(claim)
    earlier = db.session.scalar(
        sa.select(Claim)
        .filter_by(merchant_id=claim.merchant_id, order_id=order.id, state=ClaimState.ACCEPTED)
        .with_for_update()
    )
    if earlier is not None:
        earlier.state = ClaimState.REFUSED
        earlier.reason = reason
        earlier.version += 1
        db.session.flush()
    claim.order_id = order.id
    _decide(claim, ClaimState.ACCEPTED, by=by, reason=reason)


def refuse(claim: Claim, *, by: int, reason: str | None) -> Claim:
    if claim.state == ClaimState.REFUSED:
        return claim
    _require_open(claim)
    _decide(claim, ClaimState.REFUSED, by=by, reason=reason)
    return claim


def change_evidence(claim: Claim, evidence: str) -> Claim:
    _require_open(claim)
    claim.evidence = evidence
    claim.version += 1
    db.session.flush()
    return claim


def _require_open(claim: Claim) -> None:
    if claim.state != ClaimState.OPEN:
        raise ClaimDecided(_("Somebody has decided about this claim already."))


def _decide(claim: Claim, state: ClaimState, *, by: int, reason: str | None) -> None:
    claim.state, claim.decided_at, claim.decided_by = state, clock.now(), by
    claim.reason = reason
    claim.version += 1
    db.session.flush()
    audit.record(
        f"claim.{state}", subject=f"clm:{claim.id}", by=by, merchant_id=claim.merchant_id,
        reason=reason,
    )  # fmt: skip
