"""What shops tell of their products, by webhook and when asked, on its way to the catalogue.

Nobody waits for it: orders are booked by others. Products are taken over many at a time, in any
order, as the shop's own version of each decides what is news.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog

from affiliate import clock, jobs, security
from affiliate.catalog import queries as catalog
from affiliate.catalog import service as shelves
from affiliate.catalog.models import Product, Shop
from affiliate.catalog.queries import Door
from affiliate.catalog.service import Gone, ProductFacts
from affiliate.db import db, unit_of_work
from affiliate.errors import AffiliateError
from affiliate.intake import pulling, reading, service
from affiliate.intake.api import Client, Page, Window
from affiliate.intake.catalogue import parts
from affiliate.intake.catalogue.interface import Catalogue, Ground
from affiliate.intake.models import Event, Pull
from affiliate.intake.platforms import PLATFORMS, Platform
from affiliate.intake.pulling import Errand, Next
from affiliate.intake.reading import Node, Unreadable

log = structlog.get_logger(__name__)

BATCH = 200  # events that are taken over in one transaction
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
ASIDE = 20  # products of one page that are put aside, if none of them can be read


class Waiting(NamedTuple):
    """An event about a product, as a plain row."""

    id: int
    topic: str
    body: bytes | None
    received_at: datetime


@dataclass(slots=True)
class Told:
    """What was told of products; of several states of one the newest."""

    products: dict[str, ProductFacts] = field(default_factory=dict)
    gone: list[Gone] = field(default_factory=list)

    def add(
        self, body: Node, catalogue: Catalogue, ground: Ground, at: datetime, seen: bool
    ) -> None:
        """What a body says that came at that time; `seen` if the shop was asked for it."""
        is_left = parts.is_left(body)
        if is_left or parts.is_only_an_id(body):
            version = int(at.timestamp() * 1_000_000)
            self.gone.append(Gone(body.get("id").key(), version, leaves_trace=not is_left))
            return
        facts = catalogue.read(body, ground)
        if facts is None:
            return
        known = self.products.get(facts.external_id)
        if known is None or (facts.shop_version or 0) >= (known.shop_version or 0):
            self.products[facts.external_id] = replace(facts, seen_at=at) if seen else facts


# --- by webhook ----------------------------------------------------------------------------------


def drain(merchant_id: int, shop_id: int, batch: int = BATCH) -> int:
    """Take over what waits; returns how many events that were. Each batch is one transaction. If
    one fails, its events are tried one by one, until that is put aside which fails alone.
    """
    taken, size = 0, batch
    while True:
        events: Sequence[Waiting] = ()
        try:
            with unit_of_work():
                events = _claim(merchant_id, shop_id, size)
                _book(catalog.shop(merchant_id, shop_id), events)
        except Exception as error:
            if service.is_away(error) or not events:
                raise
            if size == 1:
                log.exception("product put aside", merchant=merchant_id, shop=shop_id)
                _put_aside(merchant_id, events[0], error)
                size = batch
            else:
                log.warning("products fail, now one by one", shop=shop_id, exc_info=True)
                size = 1
            continue
        if not events:
            return taken
        taken += len(events)


def _claim(merchant_id: int, shop_id: int, most: int) -> Sequence[Waiting]:
    columns = (Event.id, Event.topic, Event.body, Event.received_at)
    rows = db.session.execute(
        sa.select(*columns)
        .where(
            Event.merchant_id == merchant_id,
            Event.shop_id == shop_id,
            Event.state == "waiting",
            Event.goods,
            ~Event.thin,
        )
        .order_by(Event.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return [Waiting(*row) for row in rows]


def _book(shop: Shop, events: Sequence[Waiting]) -> None:
    catalogue = PLATFORMS[shop.platform].catalogue
    assert catalogue is not None
    told, done, put_aside = Told(), [], {}
    for event in events:
        try:
            body = reading.load(security.unseal(event.body or b"", place=service.PLACE))
            told.add(body, catalogue, _ground(shop), event.received_at, event.topic == "fetched")
        except Unreadable as error:
            put_aside[event.id] = service.fault(error.code, error.pointer, error.message)
        except security.Sealed as error:
            put_aside[event.id] = service.fault("sealed", "", str(error))
        else:
            done.append(event.id)
    service.note(shop.merchant_id, done, put_aside)
    shelves.take_products(shop, list(told.products.values()), told.gone)


def _put_aside(merchant_id: int, event: Waiting, error: Exception) -> None:
    code = error.code if isinstance(error, AffiliateError) else "internal_error"
    found = service.fault(code, "", f"{type(error).__name__}: see the log at this time")
    with unit_of_work():
        service.note(merchant_id, (), {event.id: found})


def _ground(shop: Shop) -> Ground:
    return Ground(shop.domain, shop.currency, shop.country)


# --- by asking -----------------------------------------------------------------------------------


class Products(Errand):
    """All there is when the shop is connected, later what changed; and now and then all again, as
    nobody tells what is there no more.
    """

    what = "products"
    job = jobs.Job.PULL_PRODUCTS

    def is_able(self, platform: Platform) -> bool:
        return platform.catalogue is not None

    def every(self, platform: Platform) -> timedelta:
        assert platform.catalogue is not None
        return pulling.EVERY if platform.catalogue.tells_changes else platform.catalogue.whole_every

    def next(self, shop: Door, last: Pull | None, *, at_once: bool) -> Next | None:  # noqa: ARG002
        platform = PLATFORMS[shop.platform]
        assert platform.catalogue is not None
        now = clock.now()
        if last is not None and now - last.until < self.every(platform):
            return None
        whole = _last_whole(shop.merchant_id, shop.id)
        if last is None or whole is None or now - whole >= platform.catalogue.whole_every:
            return everything()
        return Next(Window(last.until - pulling.OVERLAP, now))

    def ask(self, shop: Door, client: Client, row: Pull) -> Page:
        catalogue = PLATFORMS[shop.platform].catalogue
        assert catalogue is not None
        window = None if row.whole else Window(row.since, row.until)
        return catalogue.pull(client, window, row.cursor)

    def keep(self, shop: Door, page: Page, asked_at: datetime) -> int:
        catalogue = PLATFORMS[shop.platform].catalogue
        assert catalogue is not None
        ours = catalog.shop(shop.merchant_id, shop.id)
        told, unread = Told(), {}
        for content in page.bodies:
            body = reading.load(content)
            try:
                told.add(body, catalogue, _ground(ours), asked_at, seen=True)
            except Unreadable:
                unread[content] = body.get("id").value
        if unread:
            _look_at(ours, unread)
        return shelves.take_products(ours, list(told.products.values()), told.gone)

    def end(self, row: Pull) -> None:
        if row.whole and row.error is None:
            shop = catalog.shop(row.merchant_id, row.shop_id)
            left = shelves.leave_unseen(shop, row.created_at)
            log.info("products are gone", merchant=row.merchant_id, shop=row.shop_id, count=left)


PRODUCTS = Products()


def everything() -> Next:
    return Next(Window(FIRST, clock.now()), whole=True)


def read_again(merchant_id: int, shop_id: int) -> bool:
    """Read all of a shop's products now, somebody asks for it. False if it cannot be asked."""
    shop = catalog.shop(merchant_id, shop_id)
    if shop.disconnected_at is not None or not pulling.is_pulled(shop, PRODUCTS):
        return False
    row = pulling.unended(merchant_id, shop_id, PRODUCTS)
    if row is None:
        pulling.opened(merchant_id, shop_id, PRODUCTS, everything(), due_at=clock.now())
    elif row.error is not None:
        row.due_at = clock.now()  # it was to be tried later
    jobs.ring(PRODUCTS.job, merchant_id, shop_id)
    return True


def _last_whole(merchant_id: int, shop_id: int) -> datetime | None:
    return db.session.scalar(
        sa.select(sa.func.max(Pull.until)).where(
            Pull.merchant_id == merchant_id,
            Pull.shop_id == shop_id,
            Pull.what == PRODUCTS.what,
            Pull.whole,
        )
    )


def _look_at(shop: Shop, unread: dict[bytes, Any]) -> None:
    """What cannot be read is there all the same; some of it is put aside, where somebody looks."""
    service.keep_read(shop, list(unread)[:ASIDE], "pulled")
    shelves.see_products(shop, [str(each) for each in unread.values() if each is not None])
    log.warning("products cannot be read", shop=shop.id, count=len(unread))


# --- how it stands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sync:
    """How a shop's products are kept."""

    shop: Shop
    count: int  # that are there now
    is_told: bool  # its platform sends them by webhook
    is_asked: bool  # it has the keys that asking needs
    every: timedelta
    read_at: datetime | None  # when it was last read to an end
    seen: int | None  # so far, while it is being read
    total: int | None
    fault: str | None  # why it could not be asked


def syncs(shops: Collection[Shop]) -> list[Sync]:
    """In the order of the shops, which are of one merchant."""
    if not shops:
        return []
    merchant_id, ids = next(iter(shops)).merchant_id, [shop.id for shop in shops]
    counts = _counts(merchant_id, ids)
    pulls = _pulls(merchant_id, ids)
    return [_sync(shop, counts.get(shop.id, 0), pulls.get(shop.id, [])) for shop in shops]


def _sync(shop: Shop, count: int, pulls: Sequence[Pull]) -> Sync:
    platform = PLATFORMS[shop.platform]
    told = platform.catalogue is not None
    reading_now = next((each for each in pulls if each.ended_at is None), None)
    ended = [each.ended_at for each in pulls if each.ended_at is not None]
    last = pulls[0] if pulls else None
    return Sync(
        shop=shop,
        count=count,
        is_told=told,
        is_asked=told and pulling.is_pulled(shop, PRODUCTS),
        every=PRODUCTS.every(platform) if told else timedelta(),
        read_at=max(ended, default=None),
        seen=reading_now.seen if reading_now and not reading_now.error else None,
        total=reading_now.total if reading_now else None,
        fault=last.error["code"] if last and last.error else None,
    )


def _counts(merchant_id: int, shop_ids: Sequence[int]) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Product.shop_id, sa.func.count())
        .where(
            Product.merchant_id == merchant_id,
            Product.shop_id.in_(shop_ids),
            Product.gone_at.is_(None),
        )
        .group_by(Product.shop_id)
    )
    return {shop_id: count for shop_id, count in rows}  # noqa: C416


def _pulls(merchant_id: int, shop_ids: Sequence[int]) -> dict[int, list[Pull]]:
    """The last two windows of each shop, the newest first."""
    number = sa.func.row_number().over(partition_by=Pull.shop_id, order_by=Pull.id.desc())
    newest = (
        sa.select(Pull.id, number.label("number"))
        .where(
            Pull.merchant_id == merchant_id,
            Pull.shop_id.in_(shop_ids),
            Pull.what == PRODUCTS.what,
        )
        .subquery()
    )
    rows: Iterable[Pull] = db.session.scalars(
        sa.select(Pull)
        .join(newest, sa.and_(newest.c.id == Pull.id, newest.c.number <= 2))
        .where(Pull.merchant_id == merchant_id)
        .order_by(Pull.id.desc())
    )
    found: dict[int, list[Pull]] = {}
    for row in rows:
        found.setdefault(row.shop_id, []).append(row)
    return found
