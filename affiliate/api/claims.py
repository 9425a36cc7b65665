"""Claims: a promoter says that an order is theirs, and the merchant decides."""

from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    ClaimId,
    Instant,
    ListQuery,
    LongText,
    MerchantId,
    OrderId,
    Page,
    Pair,
    ProgramId,
    PromoterId,
    Resource,
    ShopId,
    Text,
)
from affiliate.attribution import queries, service
from affiliate.attribution.models import Claim, ClaimState
from affiliate.catalog import queries as catalog
from affiliate.commissions import service as commissions
from affiliate.errors import invalid
from affiliate.intake import service as intake
from affiliate.orders.models import Order
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries as programs

Evidence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000)]
REASON: Any = Field(None, description="What the promoter is told")


class NewClaim(Body):
    program: ProgramId
    promoter: PromoterId
    shop: ShopId
    order_number: Text = Field(description="As the buyer knows it, or the shop's id")
    evidence: Evidence = Field(description="Why it is yours: the chat, the post, the time")


class ClaimChange(Body):
    evidence: Evidence = ""


class Acceptance(Body):
    reason: LongText | None = REASON
    order: OrderId | None = Field(None, description="Where several orders have the number")
    confirmed: bool = Field(
        False, description="Take back what was sent to others, from their later earnings"
    )


class Refusal(Body):
    reason: LongText | None = REASON


class ClaimQuery(ListQuery):
    merchant: MerchantId | None = None
    promoter: PromoterId | None = None
    state: ClaimState | None = None


class ClaimShown(Resource):
    id: ClaimId
    merchant: MerchantId
    program: ProgramId
    promoter: PromoterId
    shop: ShopId
    order_number: str
    evidence: str
    state: ClaimState
    order: OrderId | None = Field(description="Once it is accepted")
    reason: str | None
    decided_at: Instant | None
    created_at: Instant
    version: int


@endpoint("POST", "/claims", needs=(Right.RUN_MERCHANT, Right.PROMOTE), status=201)
def create(caller: Caller, body: NewClaim) -> ClaimShown:
    """Claim an order that is credited to nobody, or to somebody else."""
    if body.promoter not in caller.promoter_ids:
        caller.require(Right.RUN_MERCHANT, body.program[0])
    program = programs.program(*body.program)
    if body.shop[0] != program.merchant_id:
        raise invalid("/shop", "unknown_shop", "This merchant has no such shop.")
    shop = catalog.shop(*body.shop)
    return show(service.claim(program, body.promoter, shop, body.order_number, body.evidence))


@endpoint("GET", "/claims", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_claims(caller: Caller, query: ClaimQuery) -> Page[ClaimShown]:
    """Claims, newest first. A promoter sees their own."""
    merchants = within(Claim.merchant_id, caller.scope(Right.READ_MERCHANT))
    found = sa.select(Claim).where(sa.or_(merchants, Claim.promoter_id.in_(caller.promoter_ids)))
    if query.merchant is not None:
        found = found.where(Claim.merchant_id == query.merchant)
    if query.promoter is not None:
        found = found.where(Claim.promoter_id == query.promoter)
    if query.state is not None:
        found = found.where(Claim.state == query.state)
    return paging.page(found, query, by=[Claim.id], show=show)


@endpoint("GET", "/claims/{claim_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, claim_id: ClaimId) -> ClaimShown:
    """One claim."""
    claim = queries.claim(*claim_id)
    if claim.promoter_id not in caller.promoter_ids:
        caller.require(Right.READ_MERCHANT, claim.merchant_id)
    return show(claim)


@endpoint("PATCH", "/claims/{claim_id}", needs=(Right.RUN_MERCHANT, Right.PROMOTE))
def change(caller: Caller, claim_id: ClaimId, body: ClaimChange, if_match: IfMatch) -> ClaimShown:
    """Say more, as long as nobody has decided."""
    claim = queries.claim(*claim_id, lock=True)
    if claim.promoter_id not in caller.promoter_ids:
        caller.require(Right.RUN_MERCHANT, claim.merchant_id)
    if_match.check(claim.version)
    return show(service.change_evidence(claim, body.evidence) if body.evidence else claim)


@endpoint("POST", "/claims/{claim_id}/accept", needs=Right.RUN_MERCHANT)
def accept(caller: Caller, claim_id: ClaimId, body: Acceptance) -> ClaimShown:
    """Credit the order to who claimed it; others give back what they had of it."""
    caller.require(Right.RUN_MERCHANT, claim_id[0])
    claim = queries.claim(*claim_id, lock=True)
    commissions.accept_claim(
        claim,
        by=caller.user_id,
        reason=body.reason,
        confirmed=body.confirmed,
        order=_meant(claim, body.order),
        look=intake.look,
    )
    return show(claim)


@endpoint("POST", "/claims/{claim_id}/refuse", needs=Right.RUN_MERCHANT)
def refuse(caller: Caller, claim_id: ClaimId, body: Refusal) -> ClaimShown:
    """Leave the order as it is."""
    caller.require(Right.RUN_MERCHANT, claim_id[0])
    claim = queries.claim(*claim_id, lock=True)
    return show(service.refuse(claim, by=caller.user_id, reason=body.reason))


def _meant(claim: Claim, key: Pair | None) -> Order | None:
    if key is None:
        return None
    meant = [each for each in queries.orders_of(claim) if (each.merchant_id, each.id) == key]
    if not meant:
        raise invalid("/order", "not_claimed", "This is not an order that the claim may be about.")
    return meant[0]


def show(claim: Claim) -> ClaimShown:
    merchant_id = claim.merchant_id
    return ClaimShown(
        id=(merchant_id, claim.id),
        merchant=merchant_id,
        program=(merchant_id, claim.program_id),
        promoter=claim.promoter_id,
        shop=(merchant_id, claim.shop_id),
        order_number=claim.order_number,
        evidence=claim.evidence,
        state=ClaimState(claim.state),
        order=None if claim.order_id is None else (merchant_id, claim.order_id),
        reason=claim.reason,
        decided_at=claim.decided_at,
        created_at=claim.created_at,
        version=claim.version,
    )
