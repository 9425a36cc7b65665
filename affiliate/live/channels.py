"""Whom news is for, by name, and how it is told."""

from collections.abc import Iterable
from typing import Any

import structlog
from flask import current_app
from redis import Redis
from redis.connection import parse_url
from redis.exceptions import RedisError

from affiliate.config import Settings
from affiliate.db import after_commit

log = structlog.get_logger(__name__)


def merchant(merchant_id: int) -> str:
    return f"merchant:{merchant_id}"


def goods(merchant_id: int) -> str:
    """What a merchant sells: for whoever looks at it in the market."""
    return f"goods:{merchant_id}"


def promoter(promoter_id: int) -> str:
    return f"promoter:{promoter_id}"


def product(merchant_id: int, product_id: int) -> str:
    """Anybody's: of the pages that show it."""
    return f"product:{merchant_id}:{product_id}"


def prefix(settings: Settings) -> str:
    """Valkey's channels know no database numbers, so two instances on one server need this."""
    place: dict[str, Any] = parse_url(settings.redis_url or "")  # type: ignore[no-untyped-call]
    return f"live:{place.get('db', 0)}:"


def announce(names: Iterable[str]) -> None:
    """Tell these that there is something new, once it is safely stored: once for any number."""
    wanted = sorted(set(names))
    if wanted:
        after_commit(lambda: publish(wanted))


def publish(names: list[str]) -> None:
    """Tell them now, where there is nothing to commit."""
    redis: Redis = current_app.extensions["redis"]
    before = prefix(current_app.config["SETTINGS"])
    try:
        with redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.publish(before + name, b"")
            pipe.execute()
    except RedisError:
        log.warning("open pages were not told and will see it later", exc_info=True)
