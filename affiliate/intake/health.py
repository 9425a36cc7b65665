"""How the connections of shops are doing: who was heard last, fails, lags, or is silent."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog
from flask import current_app
from redis import Redis
from redis.exceptions import RedisError

from affiliate import clock
from affiliate.catalog.models import Shop
from affiliate.catalog.platforms import connection
from affiliate.db import db
from affiliate.intake import pulling, service
from affiliate.intake.models import Event, Pull
from affiliate.intake.queries import READ_BY_US

log = structlog.get_logger(__name__)

DAY = timedelta(hours=24)
LATE = timedelta(minutes=10)
BEHIND = timedelta(hours=2)
MISSED_MOST = 3  # in a day; a few are always lost on the way


@dataclass(frozen=True, slots=True)
class Health:
    """`state` is the worst of: good, new, behind, silent, failing."""

    state: str
    last_webhook_at: datetime | None
    waiting: int
    quarantined: int
    done: int
    refused: int  # bad signatures in a day
    refused_at: datetime | None  # the last of them
    refused_why: str | None  # headers, time, no_secret or signature
    oldest_waiting_at: datetime | None
    fault: str | None  # code of the last failure to ask the shop
    is_pulled: bool
    pulled_until: datetime | None
    missed: int  # in a day, what no webhook had told


def of_shops(shops: Collection[Shop]) -> dict[int, Health]:
    """By shop; the shops are of one merchant."""
    if not shops:
        return {}
    merchant_id = next(iter(shops)).merchant_id
    ids = [shop.id for shop in shops]
    counts = _counts(merchant_id, ids)
    pulls = _pulls(merchant_id, ids)
    refused = _refused(merchant_id, ids)
    return {shop.id: _of(shop, counts, pulls, refused.get(shop.id, NONE)) for shop in shops}


class Refused(NamedTuple):
    """Bad signatures in a day: how many, and of the last one when and why."""

    times: int = 0
    at: datetime | None = None
    why: str | None = None


NONE = Refused()


def refusals(shop: Shop) -> Refused:
    return _refused(shop.merchant_id, [shop.id]).get(shop.id, NONE)


def _of(
    shop: Shop, counts: dict[int, Any], pulls: dict[int, dict[str, Any]], refused: Refused
) -> Health:
    now = clock.now()
    row, pulled = counts.get(shop.id), pulls.get(shop.id, {})
    last = row.last_webhook_at if row else None
    oldest = row.oldest_waiting_at if row else None
    fault = pulled.get("fault") or (row.fault if row else None)
    able = pulling.is_pulled(shop)
    until = pulled.get("until")
    missed = pulled.get("missed", 0)
    # What was heard after a bad signature came with the right secret: that was mended.
    is_refused = refused.times > 0 and not (last and refused.at and last > refused.at)
    if fault or is_refused or (row and row.quarantined):
        state = "failing"
    elif missed >= MISSED_MOST and connection(shop.platform).hooks and not _is_heard(last, now):
        state = "silent"
    elif (oldest and oldest < now - LATE) or (able and until and until < now - BEHIND):
        state = "behind"
    else:
        state = "good" if row else "new"
    return Health(
        state=state,
        last_webhook_at=last,
        waiting=row.waiting if row else 0,
        quarantined=row.quarantined if row else 0,
        done=row.done if row else 0,
        refused=refused.times,
        refused_at=refused.at,
        refused_why=refused.why,
        oldest_waiting_at=oldest,
        fault=fault,
        is_pulled=able,
        pulled_until=until,
        missed=missed,
    )


def _is_heard(last: datetime | None, now: datetime) -> bool:
    return last is not None and last > now - DAY


def _counts(merchant_id: int, shop_ids: list[int]) -> dict[int, Any]:
    def count(state: str) -> sa.ColumnElement[int]:
        return sa.func.count().filter(Event.state == state, ~Event.goods)

    waiting = sa.and_(Event.state == "waiting", ~Event.goods)
    rows = db.session.execute(
        sa.select(
            Event.shop_id,
            count("waiting").label("waiting"),
            sa.func.count().filter(Event.state == "quarantined").label("quarantined"),
            count("done").label("done"),
            sa.func.max(Event.received_at)
            .filter(Event.topic.not_in(READ_BY_US))
            .label("last_webhook_at"),
            sa.func.min(Event.received_at).filter(waiting).label("oldest_waiting_at"),
            sa.func.max(Event.error["code"].astext).filter(waiting).label("fault"),
        )
        .where(Event.merchant_id == merchant_id, Event.shop_id.in_(shop_ids))
        .group_by(Event.shop_id)
    )
    return {row.shop_id: row for row in rows}


def _pulls(merchant_id: int, shop_ids: list[int]) -> dict[int, dict[str, Any]]:
    since = clock.now() - DAY
    rows = db.session.execute(
        sa.select(
            Pull.shop_id,
            sa.func.max(Pull.until).filter(Pull.ended_at.is_not(None)).label("until"),
            sa.func.coalesce(sa.func.sum(Pull.missed).filter(Pull.created_at > since), 0).label(
                "missed"
            ),
            sa.func.max(Pull.error["code"].astext).filter(Pull.ended_at.is_(None)).label("fault"),
        )
        .where(Pull.merchant_id == merchant_id, Pull.shop_id.in_(shop_ids), Pull.what == "orders")
        .group_by(Pull.shop_id)
    )
    return {
        row.shop_id: {"until": row.until, "missed": int(row.missed), "fault": row.fault}
        for row in rows
    }


def _refused(merchant_id: int, shop_ids: list[int]) -> dict[int, Refused]:
    redis: Redis = current_app.extensions["redis"]
    counters = [service.refusals_of(merchant_id, each) for each in shop_ids]
    last = [service.last_refusal_of(merchant_id, each) for each in shop_ids]
    try:
        found: Any = redis.mget(counters + last)
    except RedisError:
        log.warning("refusals are not counted", exc_info=True)
        return {}
    told = zip(shop_ids, found[: len(shop_ids)], found[len(shop_ids) :], strict=True)
    return {each: _refusal(int(count), text) for each, count, text in told if count}


def _refusal(count: int, text: bytes | None) -> Refused:
    seconds, _space, why = (text or b"").decode().partition(" ")
    return Refused(count, datetime.fromtimestamp(int(seconds), UTC), why) if why else Refused(count)
