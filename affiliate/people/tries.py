"""Counting tries, so that guessing is slow.

Counted in Valkey, before anything is looked at: neither many tries at once nor a rolled-back
transaction gets around it. While Valkey is away each process counts for itself and allows less,
so that people can still sign in and guessing stays slow.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network

import structlog
from flask import current_app
from redis import Redis
from redis.exceptions import RedisError

from affiliate.errors import AffiliateError
from affiliate.i18n import _n

log = structlog.get_logger(__name__)

ALONE_PART = 3  # without Valkey a process allows this part of the limit


class TooManyTries(AffiliateError):
    status = 429
    code = "too_many_tries"

    def __init__(self, wait: timedelta) -> None:
        self.retry_after = int(wait.total_seconds())
        minutes = -(-self.retry_after // 60)
        words = _n(
            "Too many tries. Wait %(num)s minute.", "Too many tries. Wait %(num)s minutes.", minutes
        )
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    tries: int
    within: timedelta


def count(limit: Limit, who: str) -> None:
    """One more try; TooManyTries once there were too many within the time of the limit."""
    seconds = int(limit.within.total_seconds())
    try:
        number, left = _in_valkey(_key(limit, who), seconds)
        most = limit.tries
    except RedisError:
        log.warning("tries are counted by this process alone", limit=limit.name)
        number, left = _alone(_key(limit, who), seconds)
        most = max(1, limit.tries // ALONE_PART)
    if number > most:
        raise TooManyTries(timedelta(seconds=left))


def allows(limit: Limit, who: str) -> bool:
    """`count` for what is left undone in silence when it was too often."""
    try:
        count(limit, who)
    except TooManyTries:
        return False
    return True


def forget(limit: Limit, who: str) -> None:
    """A right answer makes the wrong ones before it forgotten."""
    _here.pop(_key(limit, who), None)
    try:
        _redis().delete(_key(limit, who))
    except RedisError:
        log.warning("tries are counted by this process alone", limit=limit.name)


def neighbourhood(ip: str | None) -> str:
    """An IPv6 customer has a whole /64 to send from."""
    try:
        address = ip_address(ip or "")
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    return str(ip_network(f"{address}/64", strict=False))


def _in_valkey(key: str, seconds: int) -> tuple[int, int]:
    both = _redis().pipeline()
    both.incr(key)
    both.expire(key, seconds, nx=True)
    both.ttl(key)
    number, _set, left = both.execute()
    return number, left


_here: dict[str, tuple[int, float]] = {}
HERE_MOST = 10_000


def _alone(key: str, seconds: int) -> tuple[int, int]:
    now = time.monotonic()
    if len(_here) > HERE_MOST:
        _here.clear()
    number, until = _here.get(key, (0, 0.0))
    if until <= now:
        number, until = 0, now + seconds
    _here[key] = (number + 1, until)
    return number + 1, int(until - now) + 1


def _key(limit: Limit, who: str) -> str:
    return f"tries:{limit.name}:{who}"


def _redis() -> Redis:
    redis: Redis = current_app.extensions["redis"]
    return redis
