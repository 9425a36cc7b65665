"""Coupon codes and platforms' sharer ids: whose they are, from when to when. Codes also as they
stand in the shops.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

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
    Money,
    Page,
    PositiveMoney,
    ProgramId,
    PromoterId,
    Resource,
    SharerId,
    ShopId,
)
from affiliate.attribution import queries, service
from affiliate.attribution.models import Coupon, Sharer
from affiliate.catalog import queries as catalog
from affiliate.db import db
from affiliate.errors import invalid
from affiliate.intake.coupons import queries as in_shops
from affiliate.intake.coupons import wishes
from affiliate.intake.coupons.wishes import MOST_USES, STEP_PPM, Terms
from affiliate.intake.models import CouponState, ShopCoupon, Wish
from affiliate.money import PPM
from affiliate.money import Money as Amount
from affiliate.people.queries import within
from affiliate.people.rules import Caller, Right
from affiliate.programs import queries as programs

Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
EXTERNAL: Any = Field(description="The platform's own id of who shares")


SHOPS: Any = Field([], max_length=50, description="In which it is to be; needs a `discount`")


class Discount(Body):
    """A percentage or an amount, one of them."""

    percent_ppm: int | None = Field(None, ge=STEP_PPM, le=PPM, multiple_of=STEP_PPM)
    amount: PositiveMoney | None = Field(None, description="In the currency of the shops")


class CouponTerms(Body):
    discount: Discount | None = None
    minimum: PositiveMoney | None = Field(None, description="What must be bought for it")
    uses: int | None = Field(None, ge=1, le=MOST_USES, description="By all buyers together")
    starts_at: Instant | None = None
    ends_at: Instant | None = None

    def terms(self) -> Terms:
        discount = self.discount
        return Terms(
            percent_ppm=discount.percent_ppm if discount else None,
            amount=_amount(discount.amount) if discount else None,
            minimum=_amount(self.minimum),
            uses=self.uses,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
        )


class NewCoupon(CouponTerms):
    program: ProgramId
    promoter: PromoterId
    code: Code = Field(description="Upper and lower case are the same")
    shops: list[ShopId] = SHOPS


class CouponChange(Body):
    ended: bool = Field(False, description="It is nobody's from now on, and deleted in the shops")
    paused: bool = Field(False, description="Switched off in the shops, or on again")


class InShop(Body):
    what: Literal["check", "again", "take_over"] = Field(
        description="Look whether it is there; try again what failed; know the shop's own code"
    )


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


class DiscountShown(Resource):
    percent_ppm: int | None
    amount: Money | None


class CouponFault(Resource):
    code: str
    message: str = Field(description="The shop's words, where it said any")


class CouponInShop(Resource):
    shop: ShopId
    state: CouponState = Field(
        description="`by_hand`: to be copied; `wanted`: the shop is still to be asked;"
        " `failed`: somebody must decide"
    )
    wish: Wish
    stopped: bool = Field(description="Paused as its promoter does not take part now")
    discount: DiscountShown
    minimum: Money | None
    uses: int | None
    starts_at: Instant | None
    ends_at: Instant | None
    taken_over: bool = Field(description="The shop's own code: known, and never changed by us")
    error: CouponFault | None
    asked_at: Instant | None
    seen_at: Instant | None = Field(description="When the first order carried it")


class CouponShown(Resource):
    id: CouponId
    merchant: MerchantId
    program: ProgramId
    promoter: PromoterId
    code: str
    since: Instant
    until: Instant | None
    shops: list[CouponInShop]
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
    """Give a coupon code to a promoter: orders that use it from now on are theirs. With `shops` it
    is made there too, or, where a shop cannot be asked, is to be copied there.
    """
    caller.require(Right.RUN_MERCHANT, body.program[0])
    program = programs.program(*body.program)
    shop_ids = _own_shops(body.shops, program.merchant_id)
    return _shown(
        caller,
        [wishes.create(program, body.promoter, body.code, shop_ids, body.terms())],
    )[0]


@endpoint("GET", "/coupons", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def all_coupons(caller: Caller, query: OwnedQuery) -> Page[CouponShown]:
    """Coupons, newest first. A promoter sees their own."""
    rows, cursor = paging.rows(_chosen(Coupon, caller, query), query, by=[Coupon.id])
    return Page(data=_shown(caller, rows), next=cursor)


@endpoint("GET", "/coupons/{coupon_id}", needs=(Right.READ_MERCHANT, Right.PROMOTE))
def one(caller: Caller, coupon_id: CouponId) -> CouponShown:
    """One coupon."""
    return _shown(caller, [_seen(caller, queries.coupon(*coupon_id))])[0]


@endpoint("PATCH", "/coupons/{coupon_id}", needs=Right.RUN_MERCHANT)
def change(
    caller: Caller, coupon_id: CouponId, body: CouponChange, if_match: IfMatch
) -> CouponShown:
    """Pause a coupon in the shops or let it run again; or end it: its code may then be given to
    somebody else.
    """
    caller.require(Right.RUN_MERCHANT, coupon_id[0])
    coupon = queries.coupon(*coupon_id, lock=True)
    if_match.check(coupon.version)
    if body.ended:
        wishes.remove(coupon)
    elif "paused" in body.given():
        (wishes.pause if body.paused else wishes.resume)(coupon)
    return _shown(caller, [coupon])[0]


@endpoint("DELETE", "/coupons/{coupon_id}", needs=Right.RUN_MERCHANT, status=204)
def remove(caller: Caller, coupon_id: CouponId) -> None:
    """End a coupon and delete it in the shops. One that a shop had before us stays there."""
    caller.require(Right.RUN_MERCHANT, coupon_id[0])
    wishes.remove(queries.coupon(*coupon_id, lock=True))


@endpoint("PUT", "/coupons/{coupon_id}/shops/{shop_id}", needs=Right.RUN_MERCHANT)
def put_into(
    caller: Caller, coupon_id: CouponId, shop_id: ShopId, body: CouponTerms
) -> CouponShown:
    """Have a coupon in one more shop."""
    caller.require(Right.RUN_MERCHANT, coupon_id[0])
    coupon = queries.coupon(*coupon_id, lock=True)
    program = programs.program(coupon.merchant_id, coupon.program_id)
    wishes.put(coupon, program, _own_shops([shop_id], coupon.merchant_id), body.terms())
    return _shown(caller, [coupon])[0]


@endpoint("POST", "/coupons/{coupon_id}/shops/{shop_id}", needs=Right.RUN_MERCHANT)
def decide(caller: Caller, coupon_id: CouponId, shop_id: ShopId, body: InShop) -> CouponShown:
    """Say what is to be done about a coupon in one shop. The shop is asked a moment later."""
    caller.require(Right.RUN_MERCHANT, coupon_id[0])
    coupon = queries.coupon(*coupon_id)
    (shop_number,) = _own_shops([shop_id], coupon.merchant_id)
    row = in_shops.in_shop(coupon, shop_number, lock=True)
    {"check": wishes.check, "again": wishes.again, "take_over": wishes.take_over}[body.what](row)
    db.session.flush()
    return _shown(caller, [coupon])[0]


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


def _own_shops(shops: Sequence[tuple[int, int]], merchant_id: int) -> list[int]:
    for place, (owner, _) in enumerate(shops):
        if owner != merchant_id:
            raise invalid(f"/shops/{place}", "unknown_shop", "This merchant has no such shop.")
    return [shop_id for _, shop_id in shops]


def _amount(given: Money | None) -> Amount | None:
    return Amount(given.amount, given.currency) if given else None


def _shown(caller: Caller, coupons: Sequence[Coupon]) -> list[CouponShown]:
    rows = in_shops.of_coupons([(each.merchant_id, each.id) for each in coupons])
    return [
        CouponShown(
            id=(coupon.merchant_id, coupon.id),
            merchant=coupon.merchant_id,
            program=(coupon.merchant_id, coupon.program_id),
            promoter=coupon.promoter_id,
            code=coupon.code,
            since=coupon.since,
            until=coupon.until,
            shops=[
                _in_shop(row, told=caller.has(Right.READ_MERCHANT, row.merchant_id))
                for row in rows[coupon.merchant_id, coupon.id]
            ],
            version=coupon.version,
        )
        for coupon in coupons
    ]


def _in_shop(row: ShopCoupon, *, told: bool) -> CouponInShop:
    """What the shop said is the merchant's to know."""
    return CouponInShop(
        shop=(row.merchant_id, row.shop_id),
        state=CouponState(row.state),
        wish=Wish(row.wish),
        stopped=row.stopped,
        discount=DiscountShown(
            percent_ppm=row.percent_ppm, amount=_money(row.amount, row.currency)
        ),
        minimum=_money(row.minimum, row.currency),
        uses=row.uses,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        taken_over=row.taken_over,
        error=CouponFault(**row.error) if row.error and told else None,
        asked_at=row.asked_at,
        seen_at=row.seen_at,
    )


def _money(minor: int | None, currency: str) -> Money | None:
    return None if minor is None else Money.of(minor, currency)


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
