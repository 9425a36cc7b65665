"""Coupon codes and platforms' sharer ids: whose they are, from when to when."""

from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, StringConstraints

from affiliate.api import paging
from affiliate.api.endpoint import IfMatch, endpoint
from affiliate.api.shapes import (
    Body,
    CouponId,
    Instant,
    ListQuery,
    MerchantId,
    Page,
    ProgramId,
    PromoterId,
    Resource,
    SharerId,
    ShopId,
)
from affiliate.attribution import queries, service
from affiliate.attribution.models import Coupon, Sharer
from affiliate.catalog import queries as catalog
from affiliate.errors import invalid
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries as programs

Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
EXTERNAL: Any = Field(description="The platform's own id of who shares")


class NewCoupon(Body):
    program: ProgramId
    promoter: PromoterId
    code: Code = Field(description="Upper and lower case are the same")


class NewSharer(Body):
    program: ProgramId
    promoter: PromoterId
    shop: ShopId
    external_id: Code = EXTERNAL


class Ending(Body):
    ended: bool = Field(False, description="From now on it is nobody's")


class OwnedQuery(ListQuery):
    merchant: MerchantId | None = None
    promoter: PromoterId | None = None


class CouponShown(Resource):
    id: CouponId
    merchant: MerchantId
    program: ProgramId
    promoter: PromoterId
    code: str
    since: Instant
    until: Instant | None
    version: int


class SharerShown(Resource):
    id: SharerId
    merchant: MerchantId
    shop: ShopId
    program: ProgramId
    promoter: PromoterId
    external_id: str = EXTERNAL
    since: Instant
    until: Instant | None
    version: int


@endpoint("POST", "/coupons", needs=Right.RUN_MERCHANT, status=201)
def create(caller: Caller, body: NewCoupon) -> CouponShown:
    """Give a coupon code to a promoter: orders that use it from now on are theirs."""
    caller.require(Right.RUN_MERCHANT, body.program[0])
    program = programs.program(*body.program)
    return show_coupon(service.add_coupon(program, body.promoter, body.code))


@endpoint("GET", "/coupons", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_coupons(caller: Caller, query: OwnedQuery) -> Page[CouponShown]:
    """Coupons, newest first. A promoter sees their own."""
    return paging.page(_chosen(Coupon, caller, query), query, by=[Coupon.id], show=show_coupon)


@endpoint("GET", "/coupons/{coupon_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, coupon_id: CouponId) -> CouponShown:
    """One coupon."""
    return show_coupon(_seen(caller, queries.coupon(*coupon_id)))


@endpoint("PATCH", "/coupons/{coupon_id}", needs=Right.RUN_MERCHANT)
def change(caller: Caller, coupon_id: CouponId, body: Ending, if_match: IfMatch) -> CouponShown:
    """End a coupon; its code may then be given to somebody else."""
    caller.require(Right.RUN_MERCHANT, coupon_id[0])
    coupon = queries.coupon(*coupon_id, lock=True)
    if_match.check(coupon.version)
    return show_coupon(service.end_coupon(coupon) if body.ended else coupon)


@endpoint("POST", "/sharers", needs=Right.RUN_MERCHANT, status=201)
def create_sharer(caller: Caller, body: NewSharer) -> SharerShown:
    """Say whom a platform's sharer id stands for in one shop."""
    caller.require(Right.RUN_MERCHANT, body.program[0])
    program = programs.program(*body.program)
    if body.shop[0] != program.merchant_id:
        raise invalid("/shop", "unknown_shop", "This merchant has no such shop.")
    shop = catalog.shop(*body.shop)
    return show_sharer(service.add_sharer(program, body.promoter, shop, body.external_id))


@endpoint("GET", "/sharers", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_sharers(caller: Caller, query: OwnedQuery) -> Page[SharerShown]:
    """Sharer ids, newest first. A promoter sees their own."""
    return paging.page(_chosen(Sharer, caller, query), query, by=[Sharer.id], show=show_sharer)


@endpoint("GET", "/sharers/{sharer_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one_sharer(caller: Caller, sharer_id: SharerId) -> SharerShown:
    """One sharer id."""
    return show_sharer(_seen(caller, queries.sharer(*sharer_id)))


@endpoint("PATCH", "/sharers/{sharer_id}", needs=Right.RUN_MERCHANT)
def change_sharer(
    caller: Caller, sharer_id: SharerId, body: Ending, if_match: IfMatch
) -> SharerShown:
    """End it; the id may then stand for somebody else."""
    caller.require(Right.RUN_MERCHANT, sharer_id[0])
    sharer = queries.sharer(*sharer_id, lock=True)
    if_match.check(sharer.version)
    return show_sharer(service.end_sharer(sharer) if body.ended else sharer)


def _chosen(model: Any, caller: Caller, query: OwnedQuery) -> sa.Select[Any]:
    merchants = within(model.merchant_id, caller.scope(Right.READ_MERCHANT))
    found = sa.select(model).where(sa.or_(merchants, model.promoter_id.in_(caller.promoter_ids)))
    if query.merchant is not None:
        found = found.where(model.merchant_id == query.merchant)
    if query.promoter is not None:
        found = found.where(model.promoter_id == query.promoter)
    return found


def _seen(caller: Caller, row: Any) -> Any:
    if row.promoter_id not in caller.promoter_ids:
        caller.require(Right.READ_MERCHANT, row.merchant_id)
    return row


def show_coupon(coupon: Coupon) -> CouponShown:
    return CouponShown(
        id=(coupon.merchant_id, coupon.id),
        merchant=coupon.merchant_id,
        program=(coupon.merchant_id, coupon.program_id),
        promoter=coupon.promoter_id,
        code=coupon.code,
        since=coupon.since,
        until=coupon.until,
        version=coupon.version,
    )


def show_sharer(sharer: Sharer) -> SharerShown:
    return SharerShown(
        id=(sharer.merchant_id, sharer.id),
        merchant=sharer.merchant_id,
        shop=(sharer.merchant_id, sharer.shop_id),
        program=(sharer.merchant_id, sharer.program_id),
        promoter=sharer.promoter_id,
        external_id=sharer.external_id,
        since=sharer.since,
        until=sharer.until,
        version=sharer.version,
    )
