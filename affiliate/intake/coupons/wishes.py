"""What a merchant wants of a coupon in the shops: written down here, done by a job."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from affiliate import audit, clock, jobs
from affiliate.attribution import service as attribution
from affiliate.attribution.models import Coupon
from affiliate.attribution.service import Taken
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Shop
from affiliate.catalog.platforms import connection
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, Invalid
from affiliate.i18n import _
from affiliate.intake.coupons import COUPONS, queries
from affiliate.intake.coupons.asking import wanted
from affiliate.intake.models import CouponState, ShopCoupon, Wish
from affiliate.money import PPM, Money
from affiliate.programs.models import Program

STEP_PPM = 100  # two digits behind the point of a percentage: what every shop takes
MOST_USES = 10**6
BY_HAND = re.compile(r"\S{1,100}")  # a buyer types it


class NotInShops(Conflict):
    """There is no shop in which something of it could be changed."""

    code = "not_in_shops"


class NothingToDecide(Conflict):
    """It does not wait for somebody's word."""

    code = "nothing_to_decide"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a coupon gives: a percentage, or an amount in the currency of the shops."""

    percent_ppm: int | None = None
    amount: Money | None = None
    minimum: Money | None = None  # what must be bought for it to be good
    uses: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def create(
    program: Program, promoter_id: int, code: str, shop_ids: Sequence[int], terms: Terms
) -> Coupon:
    """Give a code to a promoter, and have it made in these shops, if any."""
    coupon = attribution.add_coupon(program, promoter_id, code)
    if shop_ids:
        put(coupon, program, shop_ids, terms)
    elif terms != Terms():
        message = _("In which shops?")
        raise Invalid(message, errors=(FieldError("/shops", "missing", message),))
    return coupon


def put(
    coupon: Coupon, program: Program, shop_ids: Sequence[int], terms: Terms
) -> list[ShopCoupon]:
    """Have a coupon made in these shops (one at least), or note that it is to be copied there."""
    assert shop_ids
    shops = {shop.id: shop for shop in catalog.shops(program.merchant_id, shop_ids)}
    faults = [*_strangers(program, shop_ids, shops), *_term_faults(terms)]
    if coupon.until is not None:
        faults.append(FieldError("/code", "ended", _("This coupon has ended.")))
    for shop in shops.values():
        faults += [*_code_faults(coupon.code, shop), *_currency_faults(terms, shop)]
    if faults:
        raise Invalid(_("The shop cannot take this coupon."), errors=tuple(faults))
    rows = [_add(coupon, shops[shop_id], terms) for shop_id in dict.fromkeys(shop_ids)]
    attribution.note_change(coupon)
    return rows


def pause(coupon: Coupon) -> None:
    _wish(coupon, Wish.PAUSED)


def resume(coupon: Coupon) -> None:
    _wish(coupon, Wish.THERE)


def remove(coupon: Coupon) -> None:
    """The code is nobody's from now on, and is deleted in the shops; one that the shop had before
    us stays there.
    """
    attribution.end_coupon(coupon)
    for row in queries.live(coupon, lock=True):
        row.wish = Wish.REMOVED
        wanted(row)
        audit.record(
            "coupon.removed",
            subject=f"cpn:{coupon.id}",
            merchant_id=coupon.merchant_id,
            shop=row.shop_id,
        )
    attribution.note_change(coupon)


def again(row: ShopCoupon) -> None:
    """Ask the shop anew: something was mended. What is gone there is made again."""
    if row.wish == Wish.REMOVED and row.state != CouponState.FAILED:
        raise NothingToDecide(_("There is nothing to try again."))
    if row.error and row.error["code"] == "gone":
        row.external_id = row.sent_at = None
        row.taken_over = False
    if row.state == CouponState.BY_HAND:
        if not queries.can_be_asked(catalog.shop(row.merchant_id, row.shop_id)):
            raise NothingToDecide(_("This shop cannot be asked: copy the code there."))
        row.state = CouponState.WANTED
    wanted(row)


def take_over(row: ShopCoupon) -> None:
    """The shop had this code before us: from now on it is known, and left as it is."""
    if row.state != CouponState.FAILED or (row.error or {}).get("code") != "exists":
        raise NothingToDecide(_("There is nothing to take over."))
    row.taken_over = True
    wanted(row)
    audit.record(
        "coupon.taken_over",
        subject=f"cpn:{row.coupon_id}",
        merchant_id=row.merchant_id,
        shop=row.shop_id,
    )


def check(row: ShopCoupon) -> None:
    """Look now whether it is as we believe."""
    if row.state in (CouponState.WANTED, CouponState.THERE, CouponState.PAUSED):
        row.due_at = clock.now()
        jobs.ring(jobs.Job.ASK_COUPONS, row.merchant_id, row.shop_id)


def _wish(coupon: Coupon, wish: Wish) -> None:
    rows = [row for row in queries.live(coupon, lock=True) if not row.taken_over]
    if not rows:
        raise NotInShops(_("This coupon is in no shop where we could switch it."))
    for row in rows:
        if row.wish != wish:
            row.wish = wish
            wanted(row)
    attribution.note_change(coupon)


def _add(coupon: Coupon, shop: Shop, terms: Terms) -> ShopCoupon:
    is_asked = queries.can_be_asked(shop)
    row = ShopCoupon(
        merchant_id=coupon.merchant_id,
        coupon_id=coupon.id,
        shop_id=shop.id,
        normal_code=coupon.normal_code,
        percent_ppm=terms.percent_ppm,
        amount=terms.amount and terms.amount.minor,
        currency=shop.currency,
        minimum=terms.minimum and terms.minimum.minor,
        uses=terms.uses,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
        state=CouponState.WANTED if is_asked else CouponState.BY_HAND,
        due_at=clock.now() if is_asked else None,
    )
    try:
        with db.session.begin_nested():
            db.session.add(row)
            db.session.flush()
    except IntegrityError as error:
        message = _("%(shop)s has this code already.", shop=shop.name)
        raise Taken(message, errors=(FieldError("/code", "taken", message),)) from error
    if is_asked:
        jobs.ring(jobs.Job.ASK_COUPONS, row.merchant_id, row.shop_id)
    gives: dict[str, Any] = {"percent_ppm": terms.percent_ppm}
    if terms.amount is not None:
        gives = {"amount": terms.amount.minor, "currency": shop.currency}
    audit.record(
        "coupon.offered",
        subject=f"cpn:{coupon.id}",
        merchant_id=coupon.merchant_id,
        shop=shop.id,
        **gives,
    )
    return row


# --- what is wrong with it -----------------------------------------------------------------------


def _strangers(
    program: Program, shop_ids: Sequence[int], shops: Collection[int]
) -> list[FieldError]:
    """Shops of others, or in which the program does not count."""
    message = _("This is no shop of the program.")
    return [
        FieldError(f"/shops/{place}", "unknown_shop", message)
        for place, shop_id in enumerate(shop_ids)
        if shop_id not in shops or (program.shop_ids and shop_id not in program.shop_ids)
    ]


def _term_faults(terms: Terms) -> list[FieldError]:
    faults = []
    if (terms.percent_ppm is None) == (terms.amount is None):
        message = _("A percentage or an amount, one of them.")
        faults.append(FieldError("/discount", "missing", message))
    ppm = terms.percent_ppm
    if ppm is not None and not 0 < ppm <= PPM:
        message = _("More than 0% and at most 100%.")
        faults.append(FieldError("/discount/percent_ppm", "out_of_range", message))
    elif ppm is not None and ppm % STEP_PPM:
        message = _("At most two digits behind the point.")
        faults.append(FieldError("/discount/percent_ppm", "too_fine", message))
    more_than_nothing = _("More than 0.")
    if terms.amount is not None and terms.amount.minor <= 0:
        faults.append(FieldError("/discount/amount", "out_of_range", more_than_nothing))
    if terms.minimum is not None and terms.minimum.minor <= 0:
        faults.append(FieldError("/minimum", "out_of_range", more_than_nothing))
    if terms.uses is not None and not 0 < terms.uses <= MOST_USES:
        message = _("From %(least)s to %(most)s.", least=1, most=MOST_USES)
        faults.append(FieldError("/uses", "out_of_range", message))
    return [*faults, *_date_faults(terms)]


def _date_faults(terms: Terms) -> list[FieldError]:
    if terms.ends_at is None:
        return []
    if terms.starts_at is not None and terms.ends_at <= terms.starts_at:
        return [FieldError("/ends_at", "end_before_start", _("The end is before the start."))]
    if terms.ends_at <= clock.now():
        return [FieldError("/ends_at", "in_the_past", _("This is over already."))]
    return []


def _code_faults(code: str, shop: Shop) -> list[FieldError]:
    if not queries.can_be_asked(shop):
        if BY_HAND.fullmatch(code):
            return []
        message = _("A code has no spaces.")
    else:
        letters = COUPONS[shop.platform].letters
        if letters.fullmatch(code):
            return []
        title = connection(shop.platform).title
        if letters.fullmatch("-"):
            message = _("%(shop)s takes letters from A to Z, digits, - and _.", shop=title)
        else:
            message = _("%(shop)s takes letters from A to Z and digits.", shop=title)
    return [FieldError("/code", "bad_code", message)]


def _currency_faults(terms: Terms, shop: Shop) -> list[FieldError]:
    message = _("%(shop)s has %(currency)s.", shop=shop.name, currency=shop.currency)
    return [
        FieldError(f"{place}/currency", "other_currency", message)
        for place, given in (("/discount/amount", terms.amount), ("/minimum", terms.minimum))
        if given is not None and given.currency != shop.currency
    ]
