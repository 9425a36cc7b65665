"""Asking shops what they changed, so that nothing depends on a webhook that may be lost.

A window of time is read page by page to its end and then closed; the next one begins before the end
of it, so that nothing falls between. Each page and its place are one transaction: who dies goes on
where he was. Lists that move while they are read are read again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog

from affiliate import clock, jobs
from affiliate.catalog import queries as catalog
from affiliate.catalog import service as shops
from affiliate.catalog.models import Shop
from affiliate.catalog.platforms import connection
from affiliate.catalog.queries import Door
from affiliate.db import db, unit_of_work
from affiliate.intake import reading, service
from affiliate.intake.api import Client, NotNow, Page, Refused, Window
from affiliate.intake.fetching import client_of
from affiliate.intake.models import Pull
from affiliate.intake.platforms import PLATFORMS, Platform, Report
from affiliate.intake.reading import Unreadable
from affiliate.orders import service as orders

log = structlog.get_logger(__name__)

EVERY = timedelta(minutes=30)
OVERLAP = timedelta(minutes=15)  # clocks differ, and lists lag behind
LAG = timedelta(minutes=2)  # what has just changed is still on its way by webhook
LONGEST = timedelta(hours=24)
FIRST = timedelta(days=7)  # before the shop was connected
LEASE = timedelta(minutes=10)
ROUNDS = 5
KEEP = timedelta(days=90)
LONGEST_PAUSE = 3600  # seconds


class Next(NamedTuple):
    """What a shop is asked for next."""

    window: Window
    whole: bool = False


class Errand:
    """What shops are asked for again and again: their orders, or (intake/products.py) products."""

    what = "orders"
    job = jobs.Job.PULL_ORDERS

    def is_able(self, platform: Platform) -> bool:
        return platform.pull is not None

    def every(self, platform: Platform) -> timedelta:  # noqa: ARG002
        return EVERY

    def next(self, shop: Door, last: Pull | None, *, at_once: bool) -> Next | None:
        now = clock.now()
        if last is None:
            made = catalog.shop(shop.merchant_id, shop.id).created_at
            since = begin = made - FIRST
        else:
            since, begin = last.until - OVERLAP, last.until
        until = min(now - LAG, since + LONGEST + OVERLAP)
        least = timedelta(seconds=1) if at_once else EVERY - LAG
        # While there is more than a day to read, windows follow each other at once.
        is_due = until - begin >= min(least, LONGEST)
        return Next(Window(since, until)) if is_due else None

    def ask(self, shop: Door, client: Client, row: Pull) -> Page:
        pull_page = PLATFORMS[shop.platform].pull
        assert pull_page is not None
        return pull_page(client, Window(row.since, row.until), row.cursor)

    def keep(self, shop: Door, page: Page, asked_at: datetime) -> int:  # noqa: ARG002
        """Store a page; returns how much of it no webhook had told us."""
        return service.keep_read(shop, _news(shop, page.bodies), "pulled")

    def end(self, row: Pull) -> None:
        """The window was read to its end."""


ORDERS = Errand()


def is_pulled(shop: Shop | Door, errand: Errand = ORDERS) -> bool:
    """Whether the platform can be asked and the connection has what that needs."""
    wanted = connection(shop.platform).api
    return errand.is_able(PLATFORMS[shop.platform]) and shops.keys(shop).has(wanted)


def ring_for_due(errand: Errand = ORDERS) -> int:
    """Ring for shops whose next window has come, or whose last one was left open."""
    now = clock.now()
    last = (
        sa.select(Pull.merchant_id, Pull.shop_id, sa.func.max(Pull.until).label("until"))
        .where(Pull.what == errand.what)
        .group_by(Pull.merchant_id, Pull.shop_id)
        .subquery()
    )
    unended = sa.select(Pull.id).where(
        Pull.merchant_id == Shop.merchant_id,
        Pull.shop_id == Shop.id,
        Pull.what == errand.what,
        Pull.ended_at.is_(None),
    )
    able = {name: each for name, each in PLATFORMS.items() if errand.is_able(each)}
    come = [
        sa.and_(Shop.platform == name, last.c.until < now - errand.every(platform))
        for name, platform in able.items()
    ]
    found = db.session.scalars(
        sa.select(Shop)
        .outerjoin(last, sa.and_(last.c.merchant_id == Shop.merchant_id, last.c.shop_id == Shop.id))
        .where(
            Shop.disconnected_at.is_(None),
            Shop.platform.in_(able),
            sa.or_(last.c.until.is_(None), *come, unended.where(Pull.due_at <= now).exists()),
            ~unended.where(Pull.due_at > now).exists(),
        )
    ).all()
    due = [shop for shop in found if is_pulled(shop, errand)]
    for shop in due:
        jobs.ring(errand.job, shop.merchant_id, shop.id)
    return len(due)


def pull(merchant_id: int, shop_id: int, *, at_once: bool = False, errand: Errand = ORDERS) -> int:
    """Read all windows that are due; returns how many changes no webhook had told us."""
    missed = 0
    while shop := catalog.door(merchant_id, shop_id):
        if not is_pulled(shop, errand):
            return missed
        row = _opened(shop, errand, at_once=at_once)
        if row is None:
            return missed
        try:
            with client_of(shop) as client:
                while row.ended_at is None:
                    missed += _turn(shop, client, row, errand)
        except (NotNow, Refused) as error:
            _failed(row, error)
            return missed
        log.info("a shop was asked", **told(row))
    return missed


def told(row: Pull) -> dict[str, Any]:
    names = ("merchant_id", "shop_id", "what", "rounds", "pages", "seen", "total", "missed")
    return {name: getattr(row, name) for name in names} | {
        "since": row.since.isoformat(),
        "until": row.until.isoformat(),
    }


def _opened(shop: Door, errand: Errand, *, at_once: bool) -> Pull | None:
    """The window that was left open, if its lease is over; else the next one, if it has come."""
    now = clock.now()
    with unit_of_work():
        row = unended(shop.merchant_id, shop.id, errand)
        if row is not None:
            if row.due_at is not None and row.due_at > now:
                return None
            row.due_at = now + LEASE
            return row
        last = db.session.scalar(
            _of(shop.merchant_id, shop.id, errand).order_by(Pull.until.desc()).limit(1)
        )
        following = errand.next(shop, last, at_once=at_once)
        if following is None:
            return None
        return opened(shop.merchant_id, shop.id, errand, following, due_at=now + LEASE)


def unended(merchant_id: int, shop_id: int, errand: Errand) -> Pull | None:
    """The window that is open. One at a time opens or takes over one; the shop's row is what they
    meet at.
    """
    catalog.shop(merchant_id, shop_id, lock=True)
    mine = _of(merchant_id, shop_id, errand)
    return db.session.scalar(mine.where(Pull.ended_at.is_(None)).with_for_update())


def opened(
    merchant_id: int, shop_id: int, errand: Errand, following: Next, *, due_at: datetime
) -> Pull:
    row = Pull(
        merchant_id=merchant_id,
        shop_id=shop_id,
        what=errand.what,
        whole=following.whole,
        since=following.window.since,
        until=following.window.until,
        due_at=due_at,
    )
    db.session.add(row)
    db.session.flush()
    return row


def _of(merchant_id: int, shop_id: int, errand: Errand) -> sa.Select[Pull]:
    return (
        sa.select(Pull)
        .where(Pull.merchant_id == merchant_id, Pull.shop_id == shop_id, Pull.what == errand.what)
        .execution_options(populate_existing=True)
    )


def _turn(shop: Door, client: Client, row: Pull, errand: Errand) -> int:
    """One page: asked for outside, stored with its place inside a transaction."""
    asked_at = clock.now()
    try:
        page = errand.ask(shop, client, row)
    except Unreadable as error:
        raise Refused("unreadable", f"{error.code} at {error.pointer}") from None
    with unit_of_work():
        row = db.session.get_one(Pull, (row.merchant_id, row.id), with_for_update=True)
        missed = errand.keep(shop, page, asked_at)
        _noted(row, page, missed)
        if row.ended_at is not None:
            errand.end(row)
    return missed


def _noted(row: Pull, page: Page, missed: int) -> None:
    now = clock.now()
    row.pages += 1
    row.seen += len(page.bodies)
    row.missed += missed
    row.moved |= row.total is not None and page.total is not None and page.total != row.total
    row.total = page.total if row.total is None else row.total
    row.cursor, row.failures, row.error, row.due_at = page.cursor, 0, None, now + LEASE
    if page.cursor:
        return
    complete = row.total is None or (row.seen == row.total and not row.moved)
    if complete or row.rounds == ROUNDS:
        row.ended_at = now
        if not complete:
            message = f"{row.seen} seen, {row.total} told, after {ROUNDS} rounds"
            row.error = {"code": "counts_differ", "message": message}
            log.warning("a shop's list never stood still", **told(row))
        return
    row.rounds += 1
    row.seen, row.total, row.moved = 0, None, False


def _news(shop: Door, bodies: Sequence[bytes]) -> list[bytes]:
    """Those that tell something we do not know. What cannot be read is news: somebody must look."""
    platform = PLATFORMS[shop.platform]
    reports: dict[int, Sequence[Report]] = {}
    for index, body in enumerate(bodies):
        try:
            reports[index] = platform.read(reading.load(body))
        except Unreadable:
            continue
    every = [report for some in reports.values() for report in some]
    known = orders.known_already(
        shop.merchant_id, shop.id, every, of_any_version=platform.dated_by_us
    )
    return [
        body
        for index, body in enumerate(bodies)
        if index not in reports
        or not {orders.external_id(each) for each in reports[index]} <= known
    ]


def forget() -> int:
    """Drop the log of windows after 90 days; the last one says where to go on, so it is not so old
    while the shop is asked.
    """
    old = sa.delete(Pull).where(Pull.ended_at < clock.now() - KEEP)
    return int(db.session.execute(old).rowcount)  # type: ignore[attr-defined]


def _failed(row: Pull, error: NotNow | Refused) -> None:
    """The window stays open, and is gone on with later from where it was."""
    code = error.code if isinstance(error, Refused) else "no_answer"
    with unit_of_work():
        row = db.session.get_one(Pull, (row.merchant_id, row.id), with_for_update=True)
        seconds = max(
            getattr(error, "seconds", 60), min(LONGEST_PAUSE, 60 * 2 ** min(row.failures, 6))
        )
        row.failures += 1
        row.error = service.fault(code, "", str(error))
        row.due_at = clock.now() + timedelta(seconds=seconds)
        if code == "bad_cursor":
            row.cursor, row.seen, row.total, row.moved = "", 0, None, False
    log.warning("a shop could not be asked", code=code, error=str(error), **told(row))
