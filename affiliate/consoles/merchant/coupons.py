"""Coupons: whose they are, how they stand in the shops, and what a person must do about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from affiliate import clock
from affiliate.attribution import queries
from affiliate.attribution.models import Coupon
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Shop
from affiliate.consoles import lists
from affiliate.consoles.merchant import bp, coupon_words, typed_coupon
from affiliate.consoles.merchant.typed_coupon import TypedCoupon
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound
from affiliate.i18n import _
from affiliate.intake.coupons import queries as in_shops
from affiliate.intake.coupons import wishes
from affiliate.intake.coupons.wishes import Terms
from affiliate.intake.models import CouponState, ShopCoupon, Wish
from affiliate.people import queries as people
from affiliate.people.models import Promoter
from affiliate.people.rules import Right
from affiliate.programs import queries as programs
from affiliate.programs.models import Program

TABS = {"by_hand": CouponState.BY_HAND, "failed": CouponState.FAILED}
DONE = {
    "pause": _("It is switched off in the shops."),
    "resume": _("It is switched on in the shops again."),
    "remove": _("It is nobody's any more, and deleted in the shops."),
}
WHAT = {"pause": wishes.pause, "resume": wishes.resume, "remove": wishes.remove}
DECISIONS = {"check": wishes.check, "again": wishes.again, "take_over": wishes.take_over}


@dataclass(frozen=True, slots=True)
class InShop:
    row: ShopCoupon
    shop: Shop
    gives: str
    reason: Any
    place: str  # where it is made by hand
    is_told: bool  # by the shop's orders
    can_be_asked: bool
    days: tuple[date | None, date | None]  # the first and the last, in the merchant's zone


@dataclass(frozen=True, slots=True)
class Row:
    coupon: Coupon
    promoter: Promoter
    program: Program
    shops: list[InShop]

    @property
    def switchable(self) -> list[ShopCoupon]:
        return [
            each.row
            for each in self.shops
            if each.row.wish != Wish.REMOVED and not each.row.taken_over
        ]

    @property
    def can_go_on(self) -> bool:
        """Whether it may be put into one more shop."""
        return self.coupon.until is None and self.program.ended_at is None

    @property
    def is_paused(self) -> bool:
        return all(each.wish == Wish.PAUSED for each in self.switchable)


@bp.get("/coupons/")
def coupons() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    found, cursor = lists.page(_chosen(merchant_id), [Coupon.id])
    return render_template(
        "merchant/coupons.html",
        rows=_rows(merchant_id, found),
        next=cursor,
        counts=in_shops.states(merchant_id),
        may_write=current_caller().may(Right.RUN_MERCHANT),
        is_ready=bool(programs.running(merchant_id) and catalog.shops(merchant_id)),
    )


@bp.get("/coupons/new")
def new_coupon() -> ResponseReturnValue:
    given: Any = request.args
    for name in ("instead", "into"):
        if (key := given.get(name, "")).isdecimal() and "program" not in given:
            given = MultiDict({**_as_before(int(key)), name: key})
    return _form(_asked(given), None)


@bp.post("/coupons/new")
def create_coupon() -> ResponseReturnValue:
    """A new code, or a known one into one more shop."""
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    asked = _asked(request.form)
    if asked is None:
        return _form(None, None)
    known, terms = _known(asked), asked.terms()
    promoter, code = (None, "") if known else (asked.promoter(), asked.code())
    if not known and not code:
        asked.faults.setdefault("code", _("A code, please."))
    if asked.faults:
        return _form(asked, None)
    try:
        with db.session.begin_nested():
            made = known or _given(asked, promoter, code, terms)
            if known:
                wishes.put(known, asked.program, asked.shop_ids, terms)
    except AffiliateError as refusal:
        asked.refused(refusal)
        return _form(asked, refusal)
    flash(_("Saved. Below is how it stands in each shop."), "done")
    return redirect(url_for("merchant.coupon", coupon_id=made.id), 303)


def _given(asked: TypedCoupon, promoter: Promoter | None, code: str, terms: Terms) -> Coupon:
    assert promoter is not None, "or there would be a fault"
    if (instead := asked.typed.get("instead", "")).isdecimal():
        wishes.remove(queries.coupon(asked.program.merchant_id, int(instead), lock=True))
    return wishes.create(asked.program, promoter.id, code, asked.shop_ids, terms)


def _known(asked: TypedCoupon) -> Coupon | None:
    """The coupon that is to go into one more shop, of the program that was asked for."""
    into = asked.typed.get("into", "")
    if not into.isdecimal():
        return None
    found = queries.coupon(asked.program.merchant_id, int(into), lock=True)
    if found.program_id != asked.program.id:
        raise NotFound(_("There is no such thing here."))
    return found


@bp.get("/coupons/<int:coupon_id>")
def coupon(coupon_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    (row,) = _rows(merchant_id, [queries.coupon(merchant_id, coupon_id)])
    return render_template(
        "merchant/coupon.html", each=row, may_write=current_caller().may(Right.RUN_MERCHANT)
    )


@bp.post("/coupons/<int:coupon_id>/<any(pause, resume, remove):what>")
def switch_coupon(coupon_id: int, what: str) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    WHAT[what](queries.coupon(merchant_id, coupon_id, lock=True))
    flash(DONE[what], "done")
    if what == "remove":
        return redirect(url_for("merchant.coupons"), 303)
    return redirect(url_for("merchant.coupon", coupon_id=coupon_id), 303)


@bp.get("/coupons/<int:coupon_id>/remove")
def ask_to_remove(coupon_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    (row,) = _rows(merchant_id, [queries.coupon(merchant_id, coupon_id)])
    return render_template("merchant/coupon_remove.html", each=row)


@bp.post("/coupons/<int:coupon_id>/shops/<int:shop_id>/<any(check, again, take_over):what>")
def decide_coupon(coupon_id: int, shop_id: int, what: str) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    found = queries.coupon(merchant_id, coupon_id)
    DECISIONS[what](in_shops.in_shop(found, shop_id, lock=True))
    flash(_("The shop is asked. Look again in a moment."), "done")
    return redirect(url_for("merchant.coupon", coupon_id=coupon_id), 303)


def _asked(typed: Any) -> TypedCoupon | None:
    """None where there is nothing yet that a coupon could be of."""
    merchant_id = current_merchant_id()
    running = [program for program, _terms in programs.running(merchant_id)]
    shops = catalog.shops(merchant_id)
    if not running or not shops:
        return None
    zone = ZoneInfo(people.merchant(merchant_id).timezone)
    return TypedCoupon(typed, running, shops, zone)


def _as_before(coupon_id: int) -> dict[str, Any]:
    merchant_id = current_merchant_id()
    found = queries.coupon(merchant_id, coupon_id)
    promoter = people.promoter(found.promoter_id)
    known = {"program": str(found.program_id), "promoter": promoter.name}
    zone = ZoneInfo(people.merchant(merchant_id).timezone)
    rows = in_shops.live(found)
    return known | (typed_coupon.like(rows[0], zone) if rows else {})


def _form(asked: TypedCoupon | None, refusal: AffiliateError | None) -> ResponseReturnValue:
    faults = asked.faults if asked else {}
    known = _known(asked) if asked else None
    page = render_template(
        "merchant/coupon_form.html",
        asked=asked,
        known=known,
        code=asked.code() if asked and not known else "",
        faults=faults,
        refusal=faults.get("") or (refusal.message if refusal and not faults else None),
        today=clock.now().astimezone(asked.zone).date().isoformat() if asked else "",
    )
    return page, (refusal.status if refusal else 422) if faults else 200


def _chosen(merchant_id: int) -> sa.Select[Any]:
    found = sa.select(Coupon).where(Coupon.merchant_id == merchant_id)
    tab = request.args.get("state", "")
    if tab == "ended":
        return found.where(Coupon.until.is_not(None))
    found = found.where(Coupon.until.is_(None))
    if tab in TABS:
        stands = sa.exists().where(
            ShopCoupon.merchant_id == merchant_id,
            ShopCoupon.coupon_id == Coupon.id,
            ShopCoupon.state == TABS[tab],
        )
        found = found.where(stands)
    return found


def _rows(merchant_id: int, found: Sequence[Coupon]) -> list[Row]:
    if not found:
        return []
    standing = in_shops.of_coupons([(merchant_id, each.id) for each in found])
    everybody = people.promoters({each.promoter_id for each in found})
    running = programs.by_keys({(merchant_id, each.program_id) for each in found})
    zone = ZoneInfo(people.merchant(merchant_id).timezone)
    return [
        Row(
            each,
            everybody[each.promoter_id],
            running[merchant_id, each.program_id],
            [_in_shop(row, zone) for row in standing[merchant_id, each.id]],
        )
        for each in found
    ]


def _in_shop(row: ShopCoupon, zone: ZoneInfo) -> InShop:
    shop = catalog.shop(row.merchant_id, row.shop_id)
    first = row.starts_at and row.starts_at.astimezone(zone).date()
    last = row.ends_at and (row.ends_at.astimezone(zone) - timedelta(microseconds=1)).date()
    return InShop(
        row,
        shop,
        coupon_words.discount(row),
        coupon_words.reason(row, shop),
        coupon_words.place(shop),
        coupon_words.is_told(shop),
        in_shops.can_be_asked(shop),
        (first, last),
    )
