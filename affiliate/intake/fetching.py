"""Fetching what thin notices speak of: the shop is asked between two transactions.

Notices are leased, not locked: who dies leaves them to be found again when the lease is over.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from affiliate import clock, security
from affiliate.catalog import queries as catalog
from affiliate.catalog import service as shops
from affiliate.catalog.queries import Door
from affiliate.db import among, db, unit_of_work
from affiliate.intake import reading, service
from affiliate.intake.api import Client, NotNow, Refused, base_of
from affiliate.intake.catalogue import parts
from affiliate.intake.models import Event
from affiliate.intake.platforms import PLATFORMS
from affiliate.intake.reading import Unreadable
from affiliate.intake.tokens import ShopTokens
from affiliate.live import channels

log = structlog.get_logger(__name__)

BATCH = 100  # notices that are leased at once
LEASE = timedelta(minutes=5)
LONGEST_PAUSE = 3600  # seconds
TRIES = 40  # of about an hour each in the end
TRIES_FOR_UNKNOWN = 4  # an order may be told before it can be read
# What somebody must mend for the whole shop; its notices wait meanwhile.
OF_THE_SHOP = {"unauthorized", "consent_lost", "not_public", "no_keys"}


class Notice(NamedTuple):
    id: int
    order_key: str
    body: bytes | None
    attempts: int


def client_of(shop: Door) -> Client:
    """Made outside of transactions, as it may ask for a token at once."""
    platform, keys = PLATFORMS[shop.platform], shops.keys(shop)
    if platform.api is None:
        raise Refused("no_keys", "this platform is not asked")
    tokens = ShopTokens(shop.merchant_id, shop.id, keys)
    return Client(platform.api, keys, tokens, base_of(shop.platform, platform.api, keys))


def fetch(merchant_id: int, shop_id: int, *, goods: bool = False) -> int:
    """Fetch what the shop's waiting notices are about; returns how many orders that were, or
    products.
    """
    fetched = 0
    while True:
        shop = catalog.door(merchant_id, shop_id)
        leased = _lease(merchant_id, shop_id, goods=goods) if shop else []
        if shop is None or not leased:
            return fetched
        groups: dict[str, list[Notice]] = {}
        for notice in leased:
            groups.setdefault(notice.order_key, []).append(notice)
        try:
            with client_of(shop) as client:
                while groups:
                    _fetch_one(shop, client, groups[next(iter(groups))])
                    groups.pop(next(iter(groups)))
                    fetched += 1
        except (NotNow, Refused) as error:
            # The shop itself cannot be asked now: all that is left waits with the one that failed.
            _postpone(merchant_id, [each for group in groups.values() for each in group], error)
            return fetched


def _lease(merchant_id: int, shop_id: int, *, goods: bool) -> list[Notice]:
    now = clock.now()
    with unit_of_work():
        found = (
            sa.select(Event.id)
            .where(
                Event.merchant_id == merchant_id,
                Event.shop_id == shop_id,
                Event.state == "waiting",
                Event.thin,
                Event.goods == goods,
                sa.or_(Event.due_at.is_(None), Event.due_at <= now),
            )
            .order_by(Event.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        ids = db.session.scalars(found).all()
        columns = (Event.id, Event.order_key, Event.body, Event.attempts)
        rows = db.session.execute(
            sa.update(Event)
            .where(Event.merchant_id == merchant_id, among(Event.id, ids))
            .values(due_at=now + LEASE)
            .returning(*columns)
            .execution_options(synchronize_session=False)
        )
        return sorted(Notice(*row) for row in rows)


def _fetch_one(shop: Door, client: Client, notices: Sequence[Notice]) -> None:
    """Of several notices about one order or product the last one asks for all."""
    try:
        bodies = _asked(shop, client, notices[-1])
    except Refused as error:
        if error.code in OF_THE_SHOP:
            raise
        if error.code == "not_found" and notices[-1].attempts < TRIES_FOR_UNKNOWN:
            _postpone(shop.merchant_id, notices, error)
        else:
            _put_aside(shop.merchant_id, notices, error.code, "", error.message)
    except Unreadable as error:
        _put_aside(shop.merchant_id, notices, error.code, error.pointer, error.message)
    except NotNow:
        raise
    except Exception as error:
        log.exception("a notice is put aside", merchant=shop.merchant_id, shop=shop.id)
        told = f"{type(error).__name__}: see the log at this time"
        _put_aside(shop.merchant_id, notices, "internal_error", "", told)
    else:
        with unit_of_work():
            service.keep_read(shop, bodies, "fetched")
            _set(shop.merchant_id, notices, state="done", done_at=clock.now(), error=None)


def _asked(shop: Door, client: Client, notice: Notice) -> Sequence[bytes]:
    platform = PLATFORMS[shop.platform]
    if notice.order_key.startswith(service.OF_PRODUCT):
        assert platform.catalogue is not None
        product_id = notice.order_key.removeprefix(service.OF_PRODUCT)
        try:
            return platform.catalogue.fetch(client, product_id)
        except Refused as error:
            if error.code != "not_found":
                raise
            return [parts.left(product_id)]
    assert platform.fetch is not None
    body = reading.load(security.unseal(notice.body or b"", place=service.PLACE))
    return platform.fetch(client, body)


def _postpone(merchant_id: int, notices: Sequence[Notice], error: NotNow | Refused) -> None:
    """Ask again later: sooner at first, then every hour, and not for ever."""
    told = error.code if isinstance(error, Refused) else "no_answer"
    log.warning("a shop is asked again later", merchant=merchant_id, code=told, error=str(error))
    for attempts in {each.attempts for each in notices}:
        alike = [each for each in notices if each.attempts == attempts]
        if attempts + 1 >= TRIES:
            _put_aside(merchant_id, alike, told, "", str(error))
            continue
        seconds = max(getattr(error, "seconds", 60), min(LONGEST_PAUSE, 30 * 2 ** min(attempts, 7)))
        with unit_of_work():
            _set(
                merchant_id,
                alike,
                due_at=clock.now() + timedelta(seconds=seconds),
                error=service.fault(told, "", str(error)),
                attempts=Event.attempts + 1,
            )
            channels.announce([channels.merchant(merchant_id)])


def _put_aside(
    merchant_id: int, notices: Sequence[Notice], code: str, pointer: str, message: str
) -> None:
    with unit_of_work():
        _set(
            merchant_id,
            notices,
            state="quarantined",
            done_at=clock.now(),
            error=service.fault(code, pointer, message),
            attempts=Event.attempts + 1,
        )
        channels.announce([channels.merchant(merchant_id)])


def _set(merchant_id: int, notices: Sequence[Notice], **values: object) -> None:
    db.session.execute(
        sa.update(Event)
        .where(
            Event.merchant_id == merchant_id,
            Event.state == "waiting",
            among(Event.id, [each.id for each in notices]),
        )
        .values(values)
        .execution_options(synchronize_session=False)
    )
