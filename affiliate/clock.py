"""The one place that knows what time it is. Everything is UTC; zones are for display."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from time import time_ns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
SECOND = 1_000_000  # in ticks

_shift = timedelta(0)
_frozen: datetime | None = None


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return (_frozen or datetime.now(UTC)) + _shift


def ticks() -> int:
    """The same as whole microseconds since 1970."""
    if _frozen is None and not _shift:
        return time_ns() // 1000
    return in_ticks(now())


def in_ticks(instant: datetime) -> int:
    return (instant - EPOCH) // TICK


@contextmanager
def at(instant: datetime) -> Iterator[None]:
    """For tests: the clock stands still at this instant, in this process only."""
    global _frozen  # noqa: PLW0603
    before, _frozen = _frozen, instant.astimezone(UTC)
    try:
        yield
    finally:
        _frozen = before


@contextmanager
def moved(by: timedelta) -> Iterator[None]:
    """For tests and the demo: the clock runs on, but earlier or later, in this process only."""
    global _shift  # noqa: PLW0603
    before, _shift = _shift, _shift + by
    try:
        yield
    finally:
        _shift = before


def instant(text: str) -> datetime:
    """An instant from RFC 3339 text; a bare date means its end in UTC (DOMAIN 5).

    Raises ValueError on anything else, also on a time without a zone.
    """
    if len(text) == len("2026-11-22"):
        return datetime.combine(date.fromisoformat(text), time.min, UTC) + timedelta(days=1)
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time needs its zone, for example 2026-11-22T10:00:00Z")
    return found.astimezone(UTC)
