"""Making a shop's coupons what is wanted of them: the shop is asked between two transactions.

Rows are leased. Each is looked up in the shop before anything is changed there, so that whoever
comes after a kill or a lost answer finds what was made, and makes nothing twice. `sent_at` is
written before the shop is told to make a code, and only when it had none of this name.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog

from affiliate import clock, ids, jobs
from affiliate.attribution.models import Coupon
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Shop
from affiliate.catalog.queries import Door
from affiliate.db import among, db, unit_of_work
from affiliate.intake.api import Client, NotNow, Refused
from affiliate.intake.coupons import COUPONS, Coupons
from affiliate.intake.coupons.interface import Exists, Found, Offer
from affiliate.intake.fetching import OF_THE_SHOP, client_of
from affiliate.intake.models import CouponState, ShopCoupon, Wish
from affiliate.intake.reading import Unreadable
from affiliate.people import queries as people
from affiliate.people.models import Promoter
from affiliate.programs.book import normal_code
from affiliate.programs.models import Membership, MembershipState, Program

log = structlog.get_logger(__name__)

BATCH = 20  # rows that are leased at once
LEASE = timedelta(minutes=10)
CHECK_EVERY = timedelta(days=1)
LONGEST_PAUSE = 3600  # seconds
TRIES = 40  # of about an hour each in the end
ASKED = (CouponState.WANTED, CouponState.THERE, CouponState.PAUSED)


class Task(NamedTuple):
    """A row as it was when its turn began."""

    id: int
    version: int
    state: str
    target: str
    external_id: str | None
    taken_over: bool
    was_sent: bool
    attempts: int
    offer: Offer


def ask(merchant_id: int, shop_id: int) -> int:
    """Work off what is due at this shop; returns how many coupons it was asked about."""
    asked = 0
    while True:
        shop = catalog.door(merchant_id, shop_id)
        leased = _lease(merchant_id, shop_id) if shop else {}
        if shop is None or not leased:
            return asked
        try:
            with client_of(shop) as client:
                while leased:
                    row_id = next(iter(leased))
                    _turn(shop, client, row_id, leased[row_id])
                    leased.pop(row_id)
                    asked += 1
        except (NotNow, Refused) as error:
            # The shop itself cannot be asked now: all that is left waits with the one that failed.
            _postpone(merchant_id, leased, error)
            return asked


def _lease(merchant_id: int, shop_id: int) -> dict[int, datetime]:
    """The end of the lease by row: who finds another one there has lost it."""
    now = clock.now()
    with unit_of_work():
        found = (
            sa.select(ShopCoupon)
            .where(
                ShopCoupon.merchant_id == merchant_id,
                ShopCoupon.shop_id == shop_id,
                ShopCoupon.state.in_(ASKED),
                ShopCoupon.due_at <= now,
            )
            .order_by(ShopCoupon.due_at, ShopCoupon.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        leased = {}
        for row in db.session.scalars(found):
            row.due_at = leased[row.id] = now + LEASE
        return leased


def _turn(shop: Door, client: Client, row_id: int, lease: datetime) -> None:
    task = _begun(shop, row_id, lease)
    if task is None:
        return
    kind = COUPONS[shop.platform]
    try:
        after = _made_so(kind, client, shop, task)
    except Exists as error:
        after = _taken(kind, client, task, str(error))
    except Refused as error:
        if error.code in OF_THE_SHOP:
            raise
        after = _refused(task, error)
    except Unreadable as error:
        after = _failed("unreadable", f"{error.code} at {error.pointer}")
    except NotNow:
        raise
    except Exception as error:
        log.exception("a coupon failed", merchant=shop.merchant_id, shop=shop.id)
        after = _failed("internal_error", f"{type(error).__name__}: see the log at this time")
    _note(shop, task, after)


def _begun(shop: Door, row_id: int, lease: datetime) -> Task | None:
    """The row's turn, if it is still ours: its wish may be another one by now."""
    with unit_of_work():
        row = _row(shop.merchant_id, row_id)
        if row.due_at != lease or row.state not in ASKED:
            return None
        coupon = db.session.get_one(Coupon, (row.merchant_id, row.coupon_id))
        zone = people.merchant(row.merchant_id).timezone
        return Task(
            id=row.id,
            version=row.version,
            state=row.state,
            target=row.target,
            external_id=row.external_id,
            taken_over=row.taken_over,
            was_sent=row.sent_at is not None,
            attempts=row.attempts,
            offer=_offer(row, coupon, zone),
        )


def _offer(row: ShopCoupon, coupon: Coupon, zone: str) -> Offer:
    return Offer(
        code=coupon.code,
        mark=ids.encode("cpn", coupon.merchant_id, coupon.id),
        percent_ppm=row.percent_ppm,
        amount=row.amount,
        currency=row.currency,
        minimum=row.minimum,
        uses=row.uses,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        zone=zone,
    )


def _row(merchant_id: int, row_id: int) -> ShopCoupon:
    key = (merchant_id, row_id)
    return db.session.get_one(ShopCoupon, key, with_for_update=True, populate_existing=True)


# --- asking ------------------------------------------------------------------------------------

After = dict[str, Any]  # what the row is to say


def _made_so(kind: Coupons, client: Client, shop: Door, task: Task) -> After:
    found = _look(kind, client, task)
    if task.taken_over:
        return _known(task, found)
    if found is None:
        return _missing(kind, client, shop, task)
    if task.external_id is None and not _is_ours(kind, task, found):
        if task.target == Wish.REMOVED:
            return _stands(CouponState.REMOVED)
        return _failed("exists", "")
    return _switched(kind, client, task, found)


def _look(kind: Coupons, client: Client, task: Task) -> Found | None:
    if task.external_id is None and task.target == Wish.REMOVED and not task.was_sent:
        return None
    if task.external_id is None or task.taken_over:
        return kind.find(client, task.offer)
    found = kind.read(client, task.offer, task.external_id)
    is_same = found is not None and normal_code(found.code) == normal_code(task.offer.code)
    return found if is_same else None


def _is_ours(kind: Coupons, task: Task, found: Found) -> bool:
    """Without a mark it is ours if it came after we sent for it, and is what was sent."""
    return found.is_ours and (kind.has_marks or task.was_sent)


def _known(task: Task, found: Found | None) -> After:
    """Of a code that the shop had before us only what becomes of it is noted."""
    if task.target == Wish.REMOVED:
        return _stands(CouponState.REMOVED)
    if found is None:
        return _failed("gone", "")
    return _stands(CouponState.THERE if found.runs else CouponState.PAUSED, found.id)


def _missing(kind: Coupons, client: Client, shop: Door, task: Task) -> After:
    if task.target == Wish.REMOVED:
        return _stands(CouponState.REMOVED)
    if task.external_id is not None:
        return _failed("gone", "")
    if task.target == Wish.PAUSED:
        return _stands(CouponState.PAUSED)  # nothing there is as good as switched off
    starts = task.offer.starts_at
    if not kind.has_start and starts is not None and starts > clock.now():
        return {"state": CouponState.WANTED, "due_at": starts, "error": None}
    if not _sending(shop, task):
        return {}
    return _stands(CouponState.THERE, kind.create(client, task.offer))


def _sending(shop: Door, task: Task) -> bool:
    """From here on it may be there, whatever becomes of us. False when the wish is another one."""
    with unit_of_work():
        row = _row(shop.merchant_id, task.id)
        if row.version == task.version:
            row.sent_at = clock.now()
        return row.version == task.version


def _switched(kind: Coupons, client: Client, task: Task, found: Found) -> After:
    is_over = task.offer.ends_at is not None and task.offer.ends_at <= clock.now()
    if task.target == Wish.REMOVED:
        kind.remove(client, found.id)
        return _stands(CouponState.REMOVED, found.id)
    if task.target == Wish.PAUSED:
        if found.runs:
            kind.pause(client, task.offer, found.id)
        return _stands(CouponState.PAUSED, found.id)
    if not found.runs and not is_over:
        if task.state == CouponState.THERE:
            return _failed("switched_off", "")
        kind.resume(client, task.offer, found.id)
    return _stands(CouponState.THERE, found.id)


def _taken(kind: Coupons, client: Client, task: Task, words: str) -> After:
    """The shop says that it has the code: perhaps we made it, and the answer was lost."""
    try:
        found = kind.find(client, task.offer)
    except Refused as error:
        return _failed(error.code, error.message)
    if found is None:
        return _failed("refused", words or "the shop says that it has this code already")
    if task.external_id is None and _is_ours(kind, task, found):
        return _stands(CouponState.THERE, found.id)
    return _failed("exists", "")


def _stands(state: str, external_id: str | None = None) -> After:
    after: After = {"state": state, "due_at": clock.now() + CHECK_EVERY, "error": None}
    return after | ({"external_id": external_id} if external_id else {})


def _failed(code: str, message: str) -> After:
    error = {"code": code, "message": message[:500]}
    return {"state": CouponState.FAILED, "due_at": None, "error": error}


def _refused(task: Task, error: Refused) -> After:
    """A mere look that was refused leaves the coupon as it was."""
    if task.state == CouponState.WANTED:
        return _failed(error.code, error.message)
    told = {"code": error.code, "message": error.message[:500]}
    return {"state": task.state, "due_at": clock.now() + CHECK_EVERY, "error": told}


def _note(shop: Door, task: Task, after: After) -> None:
    """What came of it. What was wished meanwhile stays wanted, but what the shop has is kept."""
    with unit_of_work():
        row = _row(shop.merchant_id, task.id)
        if "external_id" in after:
            row.external_id = after["external_id"]
        row.asked_at = clock.now()
        if row.version != task.version:
            row.due_at = clock.now() if row.state in ASKED else None
            return
        row.state, row.due_at, row.error = after["state"], after["due_at"], after["error"]
        row.attempts = 0
        if row.state == CouponState.REMOVED or (row.ends_at and row.ends_at <= clock.now()):
            row.due_at = None  # nothing is to be seen there any more
        if row.state == CouponState.FAILED and row.external_id is None:
            row.sent_at = None  # the shop said that it made nothing


def _postpone(merchant_id: int, leased: Mapping[int, datetime], error: NotNow | Refused) -> None:
    """Ask again later. What a person must mend is told at once where something is wanted; a mere
    look waits.
    """
    code = error.code if isinstance(error, Refused) else "no_answer"
    log.warning("a shop is asked for coupons later", merchant=merchant_id, code=code)
    with unit_of_work():
        found = sa.select(ShopCoupon).where(
            ShopCoupon.merchant_id == merchant_id, among(ShopCoupon.id, leased)
        )
        found = found.with_for_update().execution_options(populate_existing=True)
        for row in db.session.scalars(found.order_by(ShopCoupon.id)):
            if row.state not in ASKED or row.due_at != leased[row.id]:
                continue
            row.attempts += 1
            row.error = {"code": code, "message": str(error)[:500]}
            seconds = max(
                getattr(error, "seconds", 60), min(LONGEST_PAUSE, 30 * 2 ** min(row.attempts, 7))
            )
            row.due_at = clock.now() + timedelta(seconds=seconds)
            is_for_good = isinstance(error, Refused) or row.attempts >= TRIES
            if row.state == CouponState.WANTED and is_for_good:
                row.state, row.due_at = CouponState.FAILED, None


# --- what nobody rang for ----------------------------------------------------------------------


def sweep() -> int:
    """Let codes stop and go on with their promoters, and ring where the shop is to be asked."""
    follow()
    due = db.session.execute(
        sa.select(ShopCoupon.merchant_id, ShopCoupon.shop_id)
        .join(
            Shop, sa.and_(Shop.merchant_id == ShopCoupon.merchant_id, Shop.id == ShopCoupon.shop_id)
        )
        .where(
            ShopCoupon.due_at <= clock.now(),
            ShopCoupon.state.in_(ASKED),
            Shop.disconnected_at.is_(None),
        )
        .distinct()
    ).all()
    for merchant_id, shop_id in due:
        jobs.ring(jobs.Job.ASK_COUPONS, merchant_id, shop_id)
    return len(due)


def follow() -> None:
    """A code stands still while nobody could earn by it: its program has ended, its promoter left
    or is suspended. It goes on when that is over.
    """
    runs = sa.and_(
        Program.ended_at.is_(None),
        Promoter.suspended_at.is_(None),
        sa.func.coalesce(Membership.state == MembershipState.ACTIVE, sa.false()),
    )
    changed = db.session.scalars(
        sa.select(ShopCoupon)
        .join(
            Coupon,
            sa.and_(
                Coupon.merchant_id == ShopCoupon.merchant_id, Coupon.id == ShopCoupon.coupon_id
            ),
        )
        .join(
            Program,
            sa.and_(Program.merchant_id == Coupon.merchant_id, Program.id == Coupon.program_id),
        )
        .join(Promoter, Promoter.id == Coupon.promoter_id)
        .outerjoin(
            Membership,
            sa.and_(
                Membership.merchant_id == Coupon.merchant_id,
                Membership.program_id == Coupon.program_id,
                Membership.promoter_id == Coupon.promoter_id,
            ),
        )
        .where(ShopCoupon.wish != Wish.REMOVED, ShopCoupon.stopped == runs)
        .with_for_update(of=ShopCoupon, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    for row in changed:
        row.stopped = not row.stopped
        wanted(row)


def wanted(row: ShopCoupon) -> None:
    """The wish is another one: the shop is to be asked, if it can be and has anything of ours."""
    row.version += 1
    row.attempts = 0
    is_ours = (row.external_id or row.sent_at) and not row.taken_over
    if row.wish == Wish.REMOVED and not is_ours:
        row.state, row.due_at, row.error = CouponState.REMOVED, None, None
    elif row.state not in (CouponState.BY_HAND, CouponState.REMOVED):
        row.state, row.due_at, row.error = CouponState.WANTED, clock.now(), None
        jobs.ring(jobs.Job.ASK_COUPONS, row.merchant_id, row.shop_id)
